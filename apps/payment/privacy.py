"""What payments keep of a person, and what Stripe keeps for the shop.

Amounts, states and Stripe's ids stay: they are the books. Stripe keeps sessions, intents and charges by itself; only
the customer, with the saved methods, can be deleted through its API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.privacy.holders import Holder, Rows, Subject
from apps.common.models import IdempotencyKey
from apps.common.money import to_major
from apps.orders.privacy import orders_about, orders_naming, orders_of
from apps.payment import gateway
from apps.payment.models import (
    AttentionCase,
    Dispute,
    Payment,
    PaymentLog,
    PaymentMethod,
    Refund,
    StripeCustomer,
    StripeWebhookEvent,
)
from apps.payment.webhooks.trimming import trim_for_forgotten

CHUNK = 200

TOLD = (
    "status",
    "currency",
    "method_type",
    "brand",
    "last4",
    "receipt_url",
    "failure_message",
    "created_at",
    "paid_at",
    "stripe_session_id",
    "stripe_payment_intent_id",
    "stripe_charge_id",
)


def _export(subject: Subject) -> dict[str, Any]:
    saved = ("type", "brand", "last4", "exp_month", "exp_year", "is_default", "state", "created_at")
    told = ("stripe_dispute_id", "status", "reason", "evidence", "created_at", "closed_at", "amount", "currency")
    payments = _payments_of(subject)
    return {
        "payments": [_shown(payment) for payment in payments.select_related("order").order_by("pk")],
        "refunds": [
            {
                "amount": to_major(refund.amount, refund.currency),
                "currency": refund.currency,
                **{name: getattr(refund, name) for name in ("status", "reason", "description", "decision_note")},
                "stripe_refund_id": refund.stripe_refund_id,
                "created_at": refund.created_at,
            }
            for refund in Refund.objects.filter(payment__in=payments).order_by("pk")
        ],
        "disputes": [
            {**found, "amount": to_major(found["amount"], found["currency"])}
            for found in Dispute.objects.filter(payment__in=payments).order_by("pk").values(*told)
        ],
        "cases": list(_cases(payments).values("kind", "detail", "note", "opened_at", "solved_at")),
        "saved_methods": list(_methods(subject).values(*saved)),
        "events": [json.loads(payload) for payload in _events(subject, payments).values_list("payload", flat=True)],
    }


def _shown(payment: Payment) -> dict[str, Any]:
    return {
        "order": payment.order.number,
        "amount": to_major(payment.amount, payment.currency),
        "amount_refunded": to_major(payment.amount_refunded, payment.currency),
        **{name: getattr(payment, name) for name in TOLD},
        "asked_of_stripe": json.loads(payment.request_params),
        "history": list(payment.log.values("at", "kind", "to_status", "detail")),
    }


def _rows(subject: Subject) -> Sequence[Rows]:
    payments = _payments_of(subject)
    return [
        Rows("payments", "last four digits, receipt, what Stripe was asked for; amounts and ids stay", payments),
        Rows("payments of other accounts", "what Stripe was asked for", _payments_naming(subject)),
        Rows("refunds", "description and note; amounts stay", Refund.objects.filter(payment__in=payments)),
        Rows("disputes", "the draft of evidence; amounts stay", Dispute.objects.filter(payment__in=payments)),
        Rows("cases", "people's notes", _cases(payments)),
        Rows("stored events", "all but ids, amounts, times and states", _whole_events(subject)),
        Rows("saved methods", "last four digits and expiry", _methods(subject)),
        Rows("customers at Stripe", "deleted there", _customers(subject)),
        Rows("idempotency keys", "deleted", _keys(subject)),
    ]


def _erase(subject: Subject) -> None:
    """What is here. Blanked before the orders are, by which it is found."""
    now = timezone.now()
    payments = list(_payments_of(subject).values_list("pk", flat=True))
    _keys(subject).delete()
    with transaction.atomic(durable=True):
        blank = {"request_params": "{}", "checkout_url": "", "receipt_url": "", "last4": "", "erased_at": now}
        _payments_of(subject).filter(erased_at=None).update(**blank)
        _payments_naming(subject).update(request_params="{}")
        Refund.objects.filter(payment__in=payments).update(description="", decision_note="")
        Dispute.objects.filter(payment__in=payments).update(evidence="")
        AttentionCase.objects.filter(payment__in=payments, solved_by__isnull=False).update(note="")
        _methods(subject).update(
            state=PaymentMethod.State.REMOVED, is_default=False, last4="", exp_month=None, exp_year=None
        )
        _customers(subject).filter(erased_at=None).update(request_params="{}", stale=False, erased_at=now)
    untrimmed = list(_whole_events(subject).values_list("pk", flat=True))
    for start in range(0, len(untrimmed), CHUNK):
        for event in StripeWebhookEvent.objects.filter(pk__in=untrimmed[start : start + CHUNK]):
            trim_for_forgotten(event)


def _export_customers(subject: Subject) -> list[Any]:
    return list(_customers(subject).values("stripe_customer_id", "created_at"))


def _delete_at_stripe(subject: Subject) -> None:
    """The customer that is known, and any that was made while nobody heard of it. Raises StripeUnavailable."""
    if subject.user_id is None:
        return
    mine = _customers(subject).filter(livemode=settings.PAYMENT_ENV == "live")
    if not mine.exists():
        return
    ids = set(mine.exclude(stripe_customer_id=None).values_list("stripe_customer_id", flat=True))
    for address in sorted(subject.addresses):
        ids |= {each.id for each in gateway.list_customers(address) if each.user == str(subject.user_id)}
    for customer_id in sorted(filter(None, ids)):
        gateway.delete_customer(customer_id)


def _obstacles(subject: Subject) -> list[str]:
    payments = _payments_of(subject)
    refunds = Refund.objects.filter(payment__in=payments, status__in=(Refund.Status.REQUESTED, Refund.Status.PENDING))
    disputes = Dispute.objects.filter(payment__in=payments).exclude(status__in=Dispute.OVER)
    told = {
        Refund.Status.REQUESTED: "was asked for and nobody has decided",
        Refund.Status.PENDING: "is on its way",
    }
    return [
        *(
            f"A refund of {refund.money} of order {refund.payment.order.number} {told[Refund.Status(refund.status)]}."
            for refund in refunds.select_related("payment__order").order_by("pk")
        ),
        *(
            f"A dispute of {dispute.money} about order {dispute.payment.order.number} is open."
            for dispute in disputes.select_related("payment__order").order_by("pk")
        ),
    ]


def _names(subject: Subject) -> Iterable[str]:
    """What Stripe calls their payments, refunds, disputes, customers and methods."""
    return _names_with(subject, _payments(subject))


def _names_with(subject: Subject, payments: QuerySet[Payment]) -> Iterable[str]:
    # Not the customer of a payment: whoever holds an order's token may have paid for it.
    columns = ("reference", "stripe_session_id", "stripe_payment_intent_id", "stripe_charge_id")
    for row in payments.values_list(*columns):
        yield from filter(None, row)
    lists = (
        PaymentLog.objects.filter(payment__in=payments).values_list("object_id", flat=True),
        Refund.objects.filter(payment__in=payments).values_list("stripe_refund_id", flat=True),
        Dispute.objects.filter(payment__in=payments).values_list("stripe_dispute_id", flat=True),
        _customers(subject).values_list("stripe_customer_id", flat=True),
        _methods(subject).values_list("stripe_payment_method_id", flat=True),
    )
    for names in lists:
        yield from filter(None, names)


def _payments_of(subject: Subject) -> QuerySet[Payment]:
    return Payment.objects.filter(order__in=orders_of(subject).values("pk"))


def _payments_naming(subject: Subject) -> QuerySet[Payment]:
    return Payment.objects.filter(order__in=orders_naming(subject).values("pk"))


def _payments(subject: Subject) -> QuerySet[Payment]:
    """Both: events of either may hold an address of theirs."""
    return Payment.objects.filter(order__in=orders_about(subject).values("pk"))


def _cases(payments: QuerySet[Payment]) -> QuerySet[AttentionCase]:
    return AttentionCase.objects.filter(payment__in=payments).exclude(note="", solved_by=None)


def _customers(subject: Subject) -> QuerySet[StripeCustomer]:
    return _own(StripeCustomer.objects.all(), subject)


def _methods(subject: Subject) -> QuerySet[PaymentMethod]:
    return _own(PaymentMethod.objects.all(), subject)


def _own(rows: QuerySet[Any], subject: Subject) -> QuerySet[Any]:
    return rows.none() if subject.user_id is None else rows.filter(user=subject.user_id)


def _events(subject: Subject, payments: QuerySet[Payment]) -> QuerySet[StripeWebhookEvent]:
    """Events about these payments, and about the person's customer and methods."""
    names = sorted(set(_names_with(subject, payments)))
    logged = PaymentLog.objects.filter(payment__in=payments).exclude(event_id="").values("event_id")
    about = Q(about__in=names) | Q(object_id__in=names) | Q(stripe_id__in=logged)
    return StripeWebhookEvent.objects.filter(about).order_by("pk")


def _whole_events(subject: Subject) -> QuerySet[StripeWebhookEvent]:
    return _events(subject, _payments(subject)).filter(trimmed_at=None)


def _keys(subject: Subject) -> QuerySet[IdempotencyKey]:
    """Keys are the client's own words; `views.access.caller_of` names the callers."""
    orders = list(orders_of(subject).values_list("pk", "cart_id"))
    callers = [f"order:{pk}" for pk, _ in orders] + [f"cart:{cart}" for _, cart in orders if cart is not None]
    if subject.user_id is not None:
        callers.append(f"user:{subject.user_id}")
    return IdempotencyKey.objects.filter(caller__in=callers)


HOLDER = Holder("payment", export=_export, rows=_rows, erase=_erase, obstacles=_obstacles, names=_names)
AT_STRIPE = Holder("stripe", export=_export_customers, erase=_delete_at_stripe)
"""Asked last, when everything here is blank: Stripe may be away for a while."""
