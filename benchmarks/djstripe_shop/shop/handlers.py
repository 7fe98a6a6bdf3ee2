"""What a project adds to dj-stripe: the order of a paid session becomes paid, once."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from djstripe.event_handlers import djstripe_receiver

from shop.models import Order, OrderLog, Payment, PaymentLog, Variant


@djstripe_receiver("checkout.session.completed")
def on_completed(sender, event, **kwargs):
    settle(event.id, event.data["object"])


def on_trigger(trigger, **kwargs):
    """dj-stripe's callback mode: it checks and keeps the request, and the project does everything else."""
    event = trigger.json_body
    if event["type"] == "checkout.session.completed":
        settle(event["id"], event["data"]["object"])


@transaction.atomic
def settle(event_id, session):
    payment = Payment.objects.select_for_update().get(reference=session["client_reference_id"])
    if payment.status != "pending":
        return
    order = Order.objects.select_for_update().get(pk=payment.order_id)
    if (session["amount_total"], session["currency"]) != (order.total, order.currency):
        raise ValueError(f"{event_id} tells of another amount")
    for line in order.lines.order_by("variant_id"):
        Variant.objects.filter(pk=line.variant_id).update(stock=F("stock") - line.quantity)
    payment.status, payment.intent = "succeeded", session["payment_intent"]
    payment.save()
    order.status, order.email, order.paid_at = "paid", session["customer_details"]["email"], timezone.now()
    order.save()
    PaymentLog.objects.create(payment=payment, kind="succeeded", event=event_id)
    OrderLog.objects.create(order=order, status="paid")
