"""Which app listens to which. Imports point one way; where a right app needs a left one, it is handed over here."""

from __future__ import annotations

from typing import Any


def connect() -> None:
    """Fill the registries. Called once, when the apps are loaded."""
    from apps.accounts.registry import on_sign_in
    from apps.cart.sign_in import MergeCart
    from apps.notifications import subscribers as mail
    from apps.orders.services import lifecycle
    from apps.outbox.services import subscribe
    from apps.payment.webhooks import inbox

    def take_bought_off_cart(payload: dict[str, Any]) -> None:
        lifecycle.take_bought_off_cart(int(payload["order_id"]))

    subscribe("order.paid", "cart", take_bought_off_cart)
    subscribe("order.paid", "mail", mail.order_paid)
    subscribe("order.contact_learned", "mail", mail.order_contact_learned)
    subscribe("order.processing", "mail", mail.order_processing)
    subscribe("order.payment_failed", "mail", mail.order_payment_failed)
    subscribe("payment.attention", "mail", mail.attention)
    subscribe("accounts.password_reset", "mail", mail.password_reset)
    inbox.on_wake(wake)
    on_sign_in.append(MergeCart())


def wake(stripe_id: str) -> None:
    """With no broker the request that stored an event also works on it, and on what follows from it."""
    from apps.outbox.services import deliver_due
    from apps.payment.webhooks.inbox import try_at_once

    try_at_once(stripe_id)
    deliver_due(limit=10)
