"""One table from event type to function, with the reason beside each row.

A handler takes what it needs from the signed snapshot, or from the object that it had fetched, and calls one service
inside the inbox's transaction. It returns Ignored for objects that are not ours, and raises UnknownPayment for ours
that are not here.
"""

from __future__ import annotations

from apps.payment.webhooks import customers, money_back, payments
from apps.payment.webhooks.handling import Handler, of_snapshot

HANDLERS: dict[str, Handler] = {
    # The buyer finished the hosted page. Bank debits arrive here unpaid and settle days later.
    "checkout.session.completed": of_snapshot(payments.on_session),
    # A delayed method went through: the same money as above, now really paid.
    "checkout.session.async_payment_succeeded": of_snapshot(payments.on_session),
    # A delayed method failed for good: the order ends, its stock is free again.
    "checkout.session.async_payment_failed": of_snapshot(payments.on_session_failed),
    # The hold ends with the session; a session that was paid never expires.
    "checkout.session.expired": of_snapshot(payments.on_session),
    # The same money as a completed session, and often here first; the only word of a frontend's own form.
    "payment_intent.succeeded": of_snapshot(payments.on_intent),
    # A bank debit is on its way: the hold has no expiry until it arrives or fails.
    "payment_intent.processing": of_snapshot(payments.on_intent),
    # A card amount is reserved and waits for staff to capture it.
    "payment_intent.amount_capturable_updated": of_snapshot(payments.on_intent),
    # Cancelled by us, in the Dashboard, or by Stripe when nobody captured within seven days.
    "payment_intent.canceled": of_snapshot(payments.on_intent),
    # A decline, kept for the buyer and for staff. A later success may be here already, so Stripe is asked.
    "payment_intent.payment_failed": Handler(
        act=payments.on_intent_failed, ask=payments.ask_intent, asks=payments.is_own_intent
    ),
    # 3-D Secure; may be over by the time that it comes.
    "payment_intent.requires_action": Handler(
        act=payments.on_intent_waits, ask=payments.ask_intent, asks=payments.is_own_intent
    ),
    # The same decline, told of its charge.
    "charge.failed": of_snapshot(payments.on_charge_failed),
    # Brings the charge's id, the card and the receipt.
    "charge.succeeded": of_snapshot(payments.on_charge),
    # Capture is asynchronous: what charge.succeeded did not have yet comes here.
    "charge.updated": of_snapshot(payments.on_charge),
    # Money went back, from here or from the Dashboard, also in parts. States may go back: asked, not read.
    "refund.created": money_back.REFUND,
    "refund.updated": money_back.REFUND,
    # Days later the bank may not have taken it: the order is paid again and staff is told.
    "refund.failed": money_back.REFUND,
    # The older twin of refund.updated, for endpoints that know no other.
    "charge.refund.updated": money_back.REFUND,
    # The object is the charge; its refunds are looked up.
    "charge.refunded": money_back.CHARGE_REFUNDED,
    # A bank claims money back, in whatever order the five arrive.
    "charge.dispute.created": money_back.DISPUTE,
    "charge.dispute.updated": money_back.DISPUTE,
    "charge.dispute.closed": money_back.DISPUTE,
    "charge.dispute.funds_withdrawn": money_back.DISPUTE,
    "charge.dispute.funds_reinstated": money_back.DISPUTE,
    # A method was saved, by a form or during a payment.
    "payment_method.attached": of_snapshot(customers.on_method_told),
    # A new expiry, or a card that the network replaced.
    "payment_method.updated": of_snapshot(customers.on_method_told),
    "payment_method.automatically_updated": of_snapshot(customers.on_method_told),
    # Removed, by us or in the Dashboard.
    "payment_method.detached": of_snapshot(customers.on_method_detached),
    # Saved without a payment; its method is fetched, since the event names it by id alone.
    "setup_intent.succeeded": Handler(
        act=customers.on_setup_succeeded, ask=customers.ask_setup, asks=customers.is_our_setup
    ),
    # Nothing was saved.
    "setup_intent.setup_failed": of_snapshot(customers.on_setup_ended),
    "setup_intent.canceled": of_snapshot(customers.on_setup_ended),
    # The shop's e-mail and name hold.
    "customer.updated": of_snapshot(customers.on_customer_updated),
    # Deleted in the Dashboard: its methods are gone, the next payment makes a new one.
    "customer.deleted": of_snapshot(customers.on_customer_deleted),
}
