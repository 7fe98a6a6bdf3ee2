"""Addresses under /api/payment/ and /api/orders/, and where other Stripe set-ups already point their webhooks."""

from django.urls import path, re_path

from apps.common import converters  # noqa: F401  registers <id:…>
from apps.payment.views import checkout, orders, payments, status
from apps.payment.webhooks.views import stripe_webhook

payment = [
    path("config/", checkout.ConfigView.as_view(), name="payment-config"),
    path("checkout/", checkout.CheckoutView.as_view(), name="payment-checkout"),
    path("status/", status.StatusView.as_view(), name="payment-status"),
    path("payments/", payments.PaymentListView.as_view(), name="payments"),
    path("payments/<id:payment_id>/", payments.PaymentView.as_view(), name="payment"),
]
order = [
    path("", orders.OrderListView.as_view(), name="orders"),
    path("<str:number>/", orders.OrderView.as_view(), name="order"),
    path("<str:number>/cancel/", orders.CancelOrderView.as_view(), name="order-cancel"),
    path("<str:number>/claim/", orders.ClaimOrderView.as_view(), name="order-claim"),
]
# With and without the slash: Stripe counts a redirect as a failure.
webhooks = [
    re_path(rf"^api/{prefix}webhook{suffix}/?$", stripe_webhook)
    for prefix, suffix in (
        ("payment/", ""),
        ("payments/", ""),
        ("payments/", "/stripe"),
        ("stripe/", ""),
        ("v1/payments/", ""),
    )
]
