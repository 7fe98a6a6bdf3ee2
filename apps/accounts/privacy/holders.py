"""Who keeps what of a person: one holder per app that keeps something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.privacy.names import address_of
from apps.common.errors import NotFound


class NothingHeld(NotFound):
    code = "nothing_held"
    message = "Nothing is held of anybody with this address."


@dataclass(frozen=True, slots=True)
class Subject:
    """A person: the addresses they were known by, in lower case, and the number of their account if they had one.

    What they did after `until` is not meant. Without a pseudonym they are looked at and not forgotten.
    """

    addresses: frozenset[str]
    user_id: int | None
    until: datetime
    pseudonym: str = ""

    @property
    def stand_in(self) -> str:
        """What stands where an address stood, once they are forgotten."""
        return address_of(self.pseudonym)

    @property
    def every_address(self) -> frozenset[str]:
        """Under which rows of theirs are found, before and after an erasure that was cut off."""
        return self.addresses | {self.stand_in} if self.pseudonym else self.addresses


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind that tell of a person, and what an erasure does to them."""

    what: str
    fate: str
    query: QuerySet[Any]


def _nothing(subject: Subject) -> Sequence[Any]:
    return ()


def _leave(subject: Subject) -> None:
    """Nothing in these rows tells of a person once the others are blanked."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What one app does with what it keeps of a person.

    `export` gives all of it as JSON takes it, `files` what is handed out as it is (name and bytes). `rows` are those
    that `erase` blanks or deletes; it may be run again, and finds them again by number or pseudonym. It owns its
    transactions, and raises Unavailable to be asked once more later. `obstacles` are sentences that say why nobody
    can be forgotten yet, `cautions` what to think of before it is done. `addresses` are more addresses of the same
    account, `names` what Stripe calls the person's objects.
    """

    name: str
    export: Callable[[Subject], Any]
    rows: Callable[[Subject], Sequence[Rows]] = _nothing
    erase: Callable[[Subject], None] = _leave
    files: Callable[[Subject], Iterable[tuple[str, bytes]]] = _nothing
    obstacles: Callable[[Subject], Sequence[str]] = _nothing
    cautions: Callable[[Subject], Sequence[str]] = _nothing
    addresses: Callable[[Subject], Iterable[str]] = _nothing
    names: Callable[[Subject], Iterable[str]] = _nothing


holders: list[Holder] = []
"""In the order in which they erase. Only the composition root fills it."""


def find_subject(address: str) -> Subject:
    """The person of this address, also when nothing is held of them.

    An address that has an account of its own is that account's, whoever typed it into an order.
    """
    address = address.strip().lower()
    users: QuerySet[Any] = User.objects.annotate(address=Lower("email"))
    user_id = users.filter(address=address).values_list("pk", flat=True).first()
    subject = Subject(frozenset({address}), user_id, timezone.now())
    more = {each.lower() for holder in holders for each in holder.addresses(subject) if each}
    others = dict(users.filter(address__in=more).values_list("address", "pk"))
    own = {each for each in more if others.get(each, user_id) == user_id}
    return replace(subject, addresses=subject.addresses | own)


def rows_of(subject: Subject) -> list[Rows]:
    return [rows for holder in holders for rows in holder.rows(subject)]


def objects_of(subject: Subject) -> list[tuple[str, Any]]:
    """Label and key of everything that tells of a person."""
    return [
        (rows.query.model._meta.label_lower, key)
        for rows in rows_of(subject)
        for key in rows.query.values_list("pk", flat=True)
    ]
