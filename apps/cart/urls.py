from django.urls import path

from apps.cart import views
from apps.common import converters  # noqa: F401  registers <id:…>

urlpatterns = [
    path("", views.CartView.as_view(), name="cart"),
    path("add/", views.AddView.as_view(), name="cart-add"),
    path("items/<id:item_id>/", views.ItemView.as_view(), name="cart-item"),
]
