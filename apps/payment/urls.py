"""Addresses under /api/payment/ and /api/orders/, and where other Stripe set-ups already point their webhooks."""

from django.urls import path, re_path

from apps.common import converters  # noqa: F401  registers <id:…>
from apps.payment.views import checkout, intents, methods, orders, payments, refunds, status
from apps.payment.webhooks.views import stripe_webhook

payment = [
    path("config/", checkout.ConfigView.as_view(), name="payment-config"),
    path("checkout/", checkout.CheckoutView.as_view(), name="payment-checkout"),
    path("status/", status.StatusView.as_view(), name="payment-status"),
    path("payments/", payments.PaymentListView.as_view(), name="payments"),
    path("payments/<id:payment_id>/", payments.PaymentView.as_view(), name="payment"),
    path("payments/<id:payment_id>/status/", payments.PaymentStateView.as_view(), name="payment-state"),
    path("payments/<id:payment_id>/confirm/", payments.ConfirmPaymentView.as_view(), name="payment-confirm"),
    path("payments/<id:payment_id>/cancel/", payments.CancelPaymentView.as_view(), name="payment-cancel"),
    path("intents/", intents.IntentView.as_view(), name="intents"),
    path("refunds/", refunds.RefundListView.as_view(), name="refunds"),
    path("methods/", methods.MethodListView.as_view(), name="methods"),
    path("methods/setup/", methods.SetupView.as_view(), name="method-setup"),
    path("methods/<id:method_id>/", methods.MethodView.as_view(), name="method"),
    path("methods/<id:method_id>/default/", methods.DefaultMethodView.as_view(), name="method-default"),
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
