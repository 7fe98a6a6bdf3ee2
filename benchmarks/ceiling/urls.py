from django.urls import path

from benchmarks.ceiling import views

urlpatterns = [path("store/", views.store), path("settle/", views.settle)]
