"""The only package that imports `stripe`.

Out come frozen dataclasses, in go our own idempotency keys. Every call is bounded: 2 s to connect, 6 s to read, three
tries with jitter within 10 s. No call is made while a transaction is open: a lock would be held for as long as
Stripe takes, and a rollback would forget what Stripe has done.
"""

from apps.payment.gateway.calls import (
    CalledInsideTransaction,
    StripeDeclined,
    StripeRefused,
    StripeReplayedFailure,
    StripeUnavailable,
)
from apps.payment.gateway.customers import (
    Customer,
    SavedMethod,
    SetupIntent,
    attach_method,
    create_customer,
    create_setup_intent,
    customer_from_snapshot,
    detach_method,
    method_from_snapshot,
    retrieve_customer,
    retrieve_method,
    retrieve_setup_intent,
    update_customer,
)
from apps.payment.gateway.disputes import (
    StripeDispute,
    close_dispute,
    retrieve_dispute,
    update_evidence,
)
from apps.payment.gateway.endpoints import (
    ListedEvent,
    WebhookEndpoint,
    create_webhook_endpoint,
    list_webhook_endpoints,
    newest_event,
    undelivered_events,
    update_webhook_endpoint,
)
from apps.payment.gateway.intents import (
    PaymentIntent,
    cancel_payment_intent,
    capture_payment_intent,
    confirm_payment_intent,
    create_payment_intent,
    find_payment_intent,
    intent_from_snapshot,
    retrieve_payment_intent,
)
from apps.payment.gateway.refunds import (
    StripeRefund,
    create_refund,
    find_refund,
    list_refunds,
    retrieve_refund,
)
from apps.payment.gateway.sessions import (
    CheckoutSession,
    close_checkout_session,
    create_checkout_session,
    find_checkout_session,
    retrieve_checkout_session,
    session_from_snapshot,
)
from apps.payment.gateway.signatures import (
    SIGNATURE_TOLERANCE,
    BadSignature,
    secret_fingerprint,
    verify_signature,
)
from apps.payment.gateway.values import id_of

__all__ = [
    "SIGNATURE_TOLERANCE",
    "BadSignature",
    "CalledInsideTransaction",
    "CheckoutSession",
    "Customer",
    "ListedEvent",
    "PaymentIntent",
    "SavedMethod",
    "SetupIntent",
    "StripeDeclined",
    "StripeDispute",
    "StripeRefund",
    "StripeRefused",
    "StripeReplayedFailure",
    "StripeUnavailable",
    "WebhookEndpoint",
    "attach_method",
    "cancel_payment_intent",
    "capture_payment_intent",
    "close_checkout_session",
    "close_dispute",
    "confirm_payment_intent",
    "create_checkout_session",
    "create_customer",
    "create_payment_intent",
    "create_refund",
    "create_setup_intent",
    "create_webhook_endpoint",
    "customer_from_snapshot",
    "detach_method",
    "find_checkout_session",
    "find_payment_intent",
    "find_refund",
    "id_of",
    "intent_from_snapshot",
    "list_refunds",
    "list_webhook_endpoints",
    "method_from_snapshot",
    "newest_event",
    "retrieve_checkout_session",
    "retrieve_customer",
    "retrieve_dispute",
    "retrieve_method",
    "retrieve_payment_intent",
    "retrieve_refund",
    "retrieve_setup_intent",
    "secret_fingerprint",
    "session_from_snapshot",
    "undelivered_events",
    "update_customer",
    "update_evidence",
    "update_webhook_endpoint",
    "verify_signature",
]
