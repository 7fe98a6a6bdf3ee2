"""Payments, refunds, disputes, customers, cases and the events that tell of them."""

from apps.payment.models.balance import BalanceEntry
from apps.payment.models.case import AttentionCase
from apps.payment.models.check_run import CheckRun
from apps.payment.models.customer import PaymentMethod, StripeCustomer
from apps.payment.models.dispute import Dispute
from apps.payment.models.event import StripeWebhookEvent
from apps.payment.models.payment import Payment, PaymentLog
from apps.payment.models.refund import Refund, RefundItem
from apps.payment.models.secret import StripeWebhookSecret

__all__ = [
    "AttentionCase",
    "BalanceEntry",
    "CheckRun",
    "Dispute",
    "Payment",
    "PaymentLog",
    "PaymentMethod",
    "Refund",
    "RefundItem",
    "StripeCustomer",
    "StripeWebhookEvent",
    "StripeWebhookSecret",
]
