"""Which app listens to which. Imports point one way; where a right app needs a left one, it is handed over here."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings


def connect() -> None:
    """Fill the registries. Called once, when the apps are loaded."""
    from apps.accounts.registry import on_sign_in
    from apps.accounts.sign_ins import NoteSignIn
    from apps.cart.sign_in import MergeCart
    from apps.enrollment import invariants as of_enrollment
    from apps.invoices import invariants as of_invoices
    from apps.payment import invariants
    from apps.payment.webhooks import inbox

    _connect_effects()
    _connect_mails()
    _connect_enrollments()
    _connect_erasing()
    _connect_purging()
    invariants.also += [of_enrollment.checks, of_invoices.checks]
    on_sign_in.append(MergeCart())
    on_sign_in.append(NoteSignIn())
    inbox.on_wake(wake)


def _connect_effects() -> None:
    """What follows a payment, e-mails and enrollments apart."""
    from apps.invoices import subscribers as invoices
    from apps.orders.services import lifecycle
    from apps.outbox.services import subscribe
    from apps.payment.services import customers

    def take_bought_off_cart(payload: dict[str, Any]) -> None:
        lifecycle.take_bought_off_cart(int(payload["order_id"]))

    def tell_stripe_of_a_change(payload: dict[str, Any]) -> None:
        customers.note_change(int(payload["user_id"]))

    subscribe("order.paid", "cart", take_bought_off_cart)
    subscribe("order.paid", "invoices", invoices.order_paid)
    subscribe("order.contact_learned", "invoices", invoices.order_contact_learned)
    subscribe("refund.succeeded", "invoices", invoices.refund_changed)
    subscribe("refund.failed", "invoices", invoices.refund_changed)
    subscribe("accounts.user_changed", "stripe", tell_stripe_of_a_change)


def _connect_mails() -> None:
    from apps.notifications import subscribers as mail
    from apps.outbox.services import subscribe

    subscribe("order.paid", "mail", mail.order_paid)
    subscribe("order.contact_learned", "mail", mail.order_contact_learned)
    subscribe("order.processing", "mail", mail.order_processing)
    subscribe("order.payment_failed", "mail", mail.order_payment_failed)
    subscribe("order.shipped", "mail", mail.order_shipped)
    subscribe("refund.requested", "mail", mail.refund_requested)
    subscribe("refund.rejected", "mail", mail.refund_rejected)
    subscribe("refund.succeeded", "mail", mail.refund_succeeded)
    subscribe("refund.failed", "mail", mail.refund_failed)
    for stage in ("inquiry", "dispute", "appeal"):
        subscribe(f"dispute.{stage}", "mail", partial(mail.dispute_opened, stage))
    for stage in ("won", "lost", "warning_closed", "prevented"):
        subscribe(f"dispute.{stage}", "mail", partial(mail.dispute_closed, stage))
    for kind in ("enrolled", "withdrawn", "suspended", "restored"):
        subscribe(f"enrollment.{kind}", "mail", partial(mail.enrollment_changed, kind))
    subscribe("payment.attention", "mail", mail.attention)
    subscribe("accounts.password_reset", "mail", mail.password_reset)


def _connect_enrollments() -> None:
    from apps.enrollment import subscribers as enrollment
    from apps.outbox.services import subscribe

    for kind in ("order.paid", "order.claimed", "order.standing_changed"):
        subscribe(kind, enrollment.NAME, enrollment.order_changed)
    subscribe("enrollment.track_changed", enrollment.NAME, enrollment.track_changed)


def _connect_erasing() -> None:
    """In the order in which they erase: invoices are issued while the buyer is known, rows are found by their orders,
    e-mails are blanked when no new ones can come, and Stripe, which may be away, is asked last.
    """
    from apps.accounts.privacy import account
    from apps.accounts.privacy.holders import holders
    from apps.cart import privacy as cart
    from apps.enrollment import privacy as enrollment
    from apps.invoices import privacy as invoices
    from apps.notifications import privacy as mail
    from apps.orders import privacy as orders
    from apps.payment import privacy as payment

    rows = [each.HOLDER for each in (invoices, payment, orders, cart, account, mail, enrollment)]
    holders += [*rows, payment.AT_STRIPE]


def _connect_purging() -> None:
    """Whose rows hang on others' come first."""
    from apps.enrollment import purging as enrollment
    from apps.invoices import purging as invoices
    from apps.notifications import purging as mail
    from apps.orders import purging as orders
    from apps.payment import purging as payment

    orders.shares += [each.SHARE for each in (enrollment, mail, invoices, payment, orders)]


def wake(stripe_id: str) -> None:
    """Tell the workers; with no broker the request that stored an event also works on it, and on what follows."""
    if settings.CELERY_BROKER_URL:
        from proshop.waking import waker_of

        waker_of(settings.CELERY_BROKER_URL).nudge()
        return
    from apps.outbox.services import deliver_due
    from apps.payment.webhooks.inbox import try_at_once

    try_at_once(stripe_id)
    deliver_due(limit=10)
