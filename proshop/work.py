"""The loop behind the requests: whatever is due, whoever runs it.

`manage.py work`, and the tasks of a shop with a broker, run the same rounds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error as DatabaseFailure

from apps.accounts.privacy.erasing import finish_erasures
from apps.accounts.sign_ins import forget_old_sign_ins
from apps.audit.keeping import drop_old as drop_old_entries
from apps.cart.services import forget_old_anonymous_carts
from apps.common import idempotency, limits, stopping
from apps.notifications import services as notifications
from apps.outbox import services as outbox
from apps.payment.services.balance import read_if_due as read_balance_if_due
from apps.payment.services.capturing import finish_captures
from apps.payment.services.carrying_out import finish_refunds
from apps.payment.services.cases import watch_delayed_payments
from apps.payment.services.customers import tell_changes
from apps.payment.services.disputes import finish_decisions
from apps.payment.services.endpoints import check_if_due as check_endpoint_if_due
from apps.payment.services.expiry import expire_due_orders
from apps.payment.services.methods import finish_removals
from apps.payment.services.provider import finish_unanswered
from apps.payment.services.purging import purge_if_due
from apps.payment.services.reconcile import reconcile_if_due
from apps.payment.services.verifying import verify_if_due
from apps.payment.services.watch import watch_the_quiet
from apps.payment.webhooks import inbox
from apps.payment.webhooks.trimming import trim_old

logger = logging.getLogger(__name__)

Job = Callable[[], int]

# In the order in which one feeds the next: an event settles an order, which publishes, which queues a mail.
JOBS: dict[str, Job] = {
    "events": inbox.process_due,
    "unanswered": finish_unanswered,
    "captures": finish_captures,
    "refunds": finish_refunds,
    "answers to disputes": finish_decisions,
    "removed methods": finish_removals,
    "changed customers": tell_changes,
    "expiring orders": expire_due_orders,
    "deliveries": outbox.deliver_due,
    "mails": notifications.send_due,
    "erasures": finish_erasures,
}
HOUSEKEEPING: dict[str, Job] = {
    "limits": limits.forget_expired,
    "idempotency keys": idempotency.forget_expired,
    "anonymous carts": forget_old_anonymous_carts,
    "delayed payments": watch_delayed_payments,
    "what is too quiet": watch_the_quiet,
    "webhook endpoint": check_endpoint_if_due,
    "balance": read_balance_if_due,
    "audit trail": drop_old_entries,
    "sign-ins": forget_old_sign_ins,
    "event payloads": trim_old,
    "purge": purge_if_due,
    "reconcile": reconcile_if_due,
    "verify": verify_if_due,
}


LOOKS_EVERY = {"events": 1.0, "deliveries": 1.0, "mails": 2.0}
"""Seconds between two looks of a shop with a broker, where they are not those of OTHER_LOOKS_EVERY."""
OTHER_LOOKS_EVERY = 5.0
HOUSEKEEPING_EVERY = 600.0

FEEDS = {"events": "deliveries", "deliveries": "mails"}
"""What has something to do right after a job that did something."""


def run_round() -> int:
    """Do what is due now. A job that fails does not keep the others from their turn. Returns how much was done."""
    return sum(run_job(name) for name in JOBS)


def keep_house() -> int:
    return sum(run_job(name) for name in HOUSEKEEPING)


def run_job(name: str) -> int:
    """Do some of what is due for one job; nothing in a process that was asked to end. Returns how much was done."""
    if stopping.asked():
        return 0
    job = JOBS.get(name) or HOUSEKEEPING[name]
    try:
        return job()
    except DatabaseFailure:
        raise  # the caller waits for the database and connects anew
    except Exception:
        logger.exception("job_failed", extra={"job": name})
        return 0


def seconds_between_looks() -> dict[str, float]:
    """How often beat has each job looked after."""
    looks = {name: LOOKS_EVERY.get(name, OTHER_LOOKS_EVERY) for name in JOBS}
    return looks | dict.fromkeys(HOUSEKEEPING, HOUSEKEEPING_EVERY)
