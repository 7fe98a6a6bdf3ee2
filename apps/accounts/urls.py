from django.urls import path

from apps.accounts import views

urlpatterns = [
    path("register/", views.RegisterView.as_view(), name="register"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("me/", views.MeView.as_view(), name="me"),
    path("password/reset/", views.ResetView.as_view(), name="password-reset"),
    path("password/reset/confirm/", views.ConfirmResetView.as_view(), name="password-reset-confirm"),
]
