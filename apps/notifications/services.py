"""Queue an e-mail in the caller's transaction; send it later, once."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.accounts.privacy.names import DOMAIN, is_pseudonym
from apps.common import stopping
from apps.notifications.content import render
from apps.notifications.models import Mail

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
MAX_ATTEMPTS = 12
"""With the backoff, some four hours of a mail server that is away; staff can send what failed after that."""

PATIENCE = timedelta(minutes=15)
"""How long an e-mail waits for the invoice that belongs to it; then it goes without."""

WAIT = timedelta(seconds=20)

NO_AUTOMATIC_ANSWERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


def queue_mail(*, kind: str, key: str, recipient: str, ids: Mapping[str, Any]) -> None:
    """Have an e-mail sent. The same kind and key again changes nothing; without a recipient there is none.

    Nor is there one to somebody who is forgotten.
    """
    if not recipient or is_pseudonym(recipient):
        return
    now = timezone.now()
    Mail.objects.bulk_create(
        [
            Mail(
                kind=kind,
                key=key,
                recipient=recipient,
                context=json.dumps(ids),
                due_at=now,
                created_at=now,
                message_id=_new_message_id(),
            )
        ],
        ignore_conflicts=True,
    )


def send_due(limit: int = 50) -> int:
    """Send what is due, oldest first. Returns how many were tried."""
    now = timezone.now()
    due = Mail.objects.filter(_free(now), state=Mail.State.DUE, due_at__lte=now).order_by("due_at", "pk")
    tried = 0
    for mail in list(due[:limit]):
        if stopping.asked():
            break
        if _claim(mail):
            _send(mail)
            tried += 1
    return tried


def _claim(mail: Mail) -> bool:
    """Whether this process is the one to send it. The lease starts now: the mails before it took their time."""
    now = timezone.now()
    as_seen = Mail.objects.filter(_free(now), pk=mail.pk, state=Mail.State.DUE, attempts=mail.attempts)
    return bool(as_seen.update(lease_until=now + LEASE, attempts=F("attempts") + 1))


def _free(now: datetime) -> Q:
    return Q(lease_until=None) | Q(lease_until__lt=now)


def send_again(mails: QuerySet[Mail]) -> int:
    """Make e-mails that failed, or that their readers have lost, due once more, for staff. Returns how many.

    One that went out before is a message of its own now: mailboxes hide a second copy of the same one.
    """
    due = {"state": Mail.State.DUE, "due_at": timezone.now(), "lease_until": None, "attempts": 0}
    mails = mails.exclude(recipient__endswith="@" + DOMAIN)
    again = mails.filter(state=Mail.State.FAILED).update(**due)
    for mail in mails.filter(state=Mail.State.SENT):
        sent = Mail.objects.filter(pk=mail.pk, state=Mail.State.SENT)
        again += sent.update(**due, message_id=_new_message_id())
    return again


def _new_message_id() -> str:
    return f"<{secrets.token_hex(16)}@proshop>"


def _send(mail: Mail) -> None:
    """No transaction is open while the mail server is spoken to."""
    row = Mail.objects.filter(pk=mail.pk)
    try:
        words = render(mail.kind, json.loads(mail.context))
        if words.waits and timezone.now() - mail.created_at < PATIENCE:
            row.filter(state=Mail.State.DUE, attempts=mail.attempts + 1).update(
                due_at=timezone.now() + WAIT, lease_until=None, attempts=mail.attempts
            )
            return
        headers = {"Message-ID": mail.message_id, **NO_AUTOMATIC_ANSWERS}
        message = EmailMultiAlternatives(words.subject, words.text, to=[mail.recipient], headers=headers)
        message.attach_alternative(words.html, "text/html")
        for attachment in words.attachments:
            message.attach(attachment.name, attachment.content, attachment.mime_type)
        message.send()
    except Exception as failure:  # a mail server may fail in any way; the row keeps the reason
        attempts = mail.attempts + 1
        # What a mail server says repeats the address, which belongs in no log.
        logger.warning("mail_failed", extra={"mail": mail.pk, "kind": mail.kind, "error": type(failure).__name__})
        # Where the lease ran out and another process took over, the mail is that one's.
        row.filter(state=Mail.State.DUE, attempts=attempts).update(
            state=Mail.State.FAILED if attempts >= MAX_ATTEMPTS else Mail.State.DUE,
            due_at=timezone.now() + timedelta(seconds=min(10 * 2**attempts, 3600)),
            lease_until=None,
            last_error=f"{type(failure).__name__}: {failure}"[:1000],
        )
        return
    row.update(state=Mail.State.SENT, sent_at=timezone.now(), lease_until=None, last_error="")
