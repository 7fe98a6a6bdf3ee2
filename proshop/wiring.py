"""Which app listens to which. Imports point one way; where a right app needs a left one, it is handed over here."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings


def connect() -> None:
    """Fill the registries. Called once, when the apps are loaded."""
    from apps.accounts.privacy import account
    from apps.accounts.privacy.holders import holders
    from apps.accounts.registry import on_sign_in
    from apps.accounts.sign_ins import NoteSignIn
    from apps.cart import privacy as cart_privacy
    from apps.cart.sign_in import MergeCart
    from apps.enrollment import invariants as enrollment_invariants
    from apps.enrollment import privacy as enrollment_privacy
    from apps.enrollment import purging as enrollment_purging
    from apps.enrollment import subscribers as enrollment
    from apps.invoices import invariants as invoice_invariants
    from apps.invoices import privacy as invoice_privacy
    from apps.invoices import purging as invoice_purging
    from apps.invoices import subscribers as invoices
    from apps.notifications import privacy as mail_privacy
    from apps.notifications import purging as mail_purging
    from apps.notifications import subscribers as mail
    from apps.orders import privacy as order_privacy
    from apps.orders import purging
    from apps.orders.services import lifecycle
    from apps.outbox.services import subscribe
    from apps.payment import invariants
    from apps.payment import privacy as payment_privacy
    from apps.payment import purging as payment_purging
    from apps.payment.services import customers
    from apps.payment.webhooks import inbox

    def take_bought_off_cart(payload: dict[str, Any]) -> None:
        lifecycle.take_bought_off_cart(int(payload["order_id"]))

    def tell_stripe_of_a_change(payload: dict[str, Any]) -> None:
        customers.note_change(int(payload["user_id"]))

    subscribe("order.paid", "cart", take_bought_off_cart)
    subscribe("order.paid", "invoices", invoices.order_paid)
    subscribe("order.contact_learned", "invoices", invoices.order_contact_learned)
    subscribe("refund.succeeded", "invoices", invoices.refund_changed)
    subscribe("refund.failed", "invoices", invoices.refund_changed)
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
    subscribe("accounts.user_changed", "stripe", tell_stripe_of_a_change)
    for kind in ("order.paid", "order.claimed", "order.standing_changed"):
        subscribe(kind, enrollment.NAME, enrollment.order_changed)
    subscribe("enrollment.track_changed", enrollment.NAME, enrollment.track_changed)
    invariants.also += [enrollment_invariants.checks, invoice_invariants.checks]
    # In the order in which they erase: invoices are issued while the buyer is known, rows are found by their orders,
    # e-mails are blanked when no new ones can come, and Stripe, which may be away, is asked last.
    holders += [
        invoice_privacy.HOLDER,
        payment_privacy.HOLDER,
        order_privacy.HOLDER,
        cart_privacy.HOLDER,
        account.HOLDER,
        mail_privacy.HOLDER,
        enrollment_privacy.HOLDER,
        payment_privacy.AT_STRIPE,
    ]
    # Whose rows hang on others' come first.
    purging.shares += [
        each.SHARE for each in (enrollment_purging, mail_purging, invoice_purging, payment_purging, purging)
    ]
    inbox.on_wake(wake)
    on_sign_in.append(MergeCart())
    on_sign_in.append(NoteSignIn())


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
