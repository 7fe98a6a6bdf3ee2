from django.urls import path

from apps.catalog import views

urlpatterns = [
    path("products/", views.ProductListView.as_view(), name="products"),
    path("products/<slug:slug>/", views.ProductView.as_view(), name="product"),
    path("categories/", views.CategoryListView.as_view(), name="categories"),
]
