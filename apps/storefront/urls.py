"""Addresses of the demo shop. Those that Stripe and mailed links lead to work with and without the slash."""

from django.urls import path, re_path

from apps.storefront.views import shell

app_name = "storefront"
urlpatterns = [
    path("", shell("catalogue"), name="catalogue"),
    path("products/<slug:slug>/", shell("product"), name="product"),
    path("cart/", shell("cart"), name="cart"),
    path("checkout/", shell("checkout", stripe_js=True), name="checkout"),
    re_path(r"^checkout/success/?$", shell("success"), name="success"),
    re_path(r"^checkout/cancel/?$", shell("cancel"), name="cancel"),
    path("orders/", shell("orders"), name="orders"),
    re_path(r"^orders/(?P<number>[\w-]{1,40})/?$", shell("order"), name="order"),
    path("payments/", shell("payments"), name="payments"),
    re_path(r"^payments/(?P<payment_id>\d{1,18})/?$", shell("payment"), name="payment"),
    path("courses/", shell("courses"), name="courses"),
    path("cards/", shell("cards", stripe_js=True), name="cards"),
    path("sign-in/", shell("sign_in"), name="sign-in"),
    path("register/", shell("register"), name="register"),
    re_path(r"^password-reset/?$", shell("password_reset"), name="password-reset"),
]
