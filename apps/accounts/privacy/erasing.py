"""Forget a person: an intention first, then every app blanks what it holds, Stripe's customer last.

Each step may be run again, so a crash costs nothing: `work` takes an erasure up whose lease has ended.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import Erasure, User
from apps.accounts.privacy.account import close_account
from apps.accounts.privacy.holders import NothingHeld, Subject, find_subject, holders, objects_of
from apps.accounts.privacy.names import hash_of, remember
from apps.accounts.privacy.trails import forget_in_trails
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.common import leases, stopping
from apps.common.errors import Conflict, Unavailable

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
LOOK_AGAIN = timedelta(hours=1)
"""How long `work` waits for what is open to come to its end."""


class StillOpen(Conflict):
    """`obstacles` says what has to come to its end first, a sentence each."""

    code = "still_open"
    message = "Something of this person's is still open."

    def __init__(self, obstacles: list[str]) -> None:
        super().__init__(obstacles=obstacles)

    @property
    def obstacles(self) -> list[str]:
        return list(self.data["obstacles"])


class IsStaff(Conflict):
    code = "is_staff"
    message = "This is a member of staff. Take their rights away first."


class AlreadyAtWork(Conflict):
    code = "already_at_work"
    message = "Somebody is erasing this person at this moment."


def plan_erasure(address: str) -> Subject:
    """The person, if they can be forgotten now; nothing is written. Raises NothingHeld, IsStaff, StillOpen."""
    subject = find_subject(address)
    if not objects_of(subject):
        raise NothingHeld
    staff = User.objects.filter(Q(is_staff=True) | Q(is_superuser=True))
    if subject.user_id is not None and staff.filter(pk=subject.user_id).exists():
        raise IsStaff
    obstacles = obstacles_of(subject)
    if obstacles:
        raise StillOpen(obstacles)
    return subject


def obstacles_of(subject: Subject) -> list[str]:
    return [sentence for holder in holders for sentence in holder.obstacles(subject)]


def cautions_of(subject: Subject) -> list[str]:
    return [sentence for holder in holders for sentence in holder.cautions(subject)]


def erase(address: str) -> Erasure:
    """Forget a person. What cannot be done now is left to `work`: the erasure has no end then, and says why.

    Raises NothingHeld, IsStaff, StillOpen, AlreadyAtWork; nothing was changed then.
    """
    unfinished = Erasure.objects.filter(email_hash=hash_of(address), finished_at=None)
    if unfinished.exists():
        unfinished.filter(due_at__gt=timezone.now()).update(due_at=timezone.now())
        taken = leases.claim(unfinished, lease=LEASE, limit=1)
        if not taken:
            raise AlreadyAtWork
        erasure = taken[0]
    else:
        erasure = _begin(plan_erasure(address), address, lease_until=timezone.now() + LEASE)
    carry_on(erasure)
    erasure.refresh_from_db()
    return erasure


def ask_for(address: str, *, by: User, reason: str) -> Erasure:
    """Have a person forgotten for a member of staff: the account is closed at once, and `work` does all the rest.

    Raises NothingHeld, IsStaff, StillOpen, AlreadyAtWork; nothing was changed then.
    """
    if Erasure.objects.filter(email_hash=hash_of(address), finished_at=None).exists():
        raise AlreadyAtWork
    subject = plan_erasure(address)
    return _begin(subject, address, lease_until=None, by=by, reason=reason, source=AuditEntry.Source.ADMIN)


def finish_erasures(limit: int = 5) -> int:
    """Take up erasures that were cut off, or had to wait. Returns how many came to their end."""
    done = 0
    for erasure in leases.claim(Erasure.objects.filter(finished_at=None), lease=LEASE, limit=limit):
        if stopping.asked():
            leases.give_back([erasure])
            continue
        done += carry_on(erasure)
    return done


def carry_on(erasure: Erasure) -> bool:
    """Run every step of an erasure that is ours. Returns whether it is finished."""
    subject = _subject_of(erasure)
    try:
        obstacles = obstacles_of(subject)
        if obstacles:
            raise StillOpen(obstacles)
        _forget(erasure, subject)
    except StillOpen as reason:
        _wait(erasure, " ".join(reason.obstacles), LOOK_AGAIN)
        return False
    except Unavailable as reason:
        _wait(erasure, reason.message, timedelta(seconds=min(30 * 2 ** min(erasure.attempts, 7), 3600)))
        return False
    except Exception as failure:  # whatever fails, the intention stays
        logger.exception("erasure_failed", extra={"erasure": erasure.pk})
        _wait(erasure, f"It failed: {type(failure).__name__}.", timedelta(minutes=min(erasure.attempts, 60)))
        return False
    leases.held(erasure).update(addresses=[], finished_at=timezone.now(), lease_until=None, reason="")
    return True


def _begin(
    subject: Subject,
    address: str,
    *,
    lease_until: datetime | None,
    by: User | None = None,
    reason: str = "",
    source: str = AuditEntry.Source.COMMAND,
) -> Erasure:
    """Write the intention and close the account. With a lease it is the caller's to carry on. Raises AlreadyAtWork."""
    now = timezone.now()
    try:
        with transaction.atomic(durable=True):
            erasure = Erasure.objects.create(
                user_id=subject.user_id,
                email_hash=hash_of(address),
                addresses=sorted(subject.addresses),
                started_at=now,
                due_at=now,
                lease_until=lease_until,
                attempts=0 if lease_until is None else 1,
            )
            if subject.user_id is not None:
                close_account(subject.user_id)
            record(by, "erased", erasure, reason=reason, source=source)
    except IntegrityError:
        raise AlreadyAtWork from None
    return erasure


def _forget(erasure: Erasure, subject: Subject) -> None:
    # Known first, so that an event that comes while this goes on brings nothing back.
    remember(erasure, [name for holder in holders for name in holder.names(subject)])
    forget_in_trails(subject, objects_of(subject))
    for holder in holders:
        holder.erase(subject)


def _subject_of(erasure: Erasure) -> Subject:
    return Subject(frozenset(erasure.addresses), erasure.user_id, erasure.started_at, erasure.pseudonym)


def _wait(erasure: Erasure, reason: str, wait: timedelta) -> None:
    columns: dict[str, Any] = {"reason": reason[:300], "due_at": timezone.now() + wait, "lease_until": None}
    leases.held(erasure).update(**columns)
