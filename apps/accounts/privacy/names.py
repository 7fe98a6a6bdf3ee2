"""What forgotten people are called, and how something that comes too late is known to be theirs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Exists, OuterRef

from apps.accounts.models import ErasedName, Erasure
from apps.common.tokens import keyed_hash, keyed_hashes

DOMAIN = "erased.invalid"
"""No mail ever goes to a domain that ends in invalid (RFC 2606)."""

BATCH = 1000


def address_of(pseudonym: str) -> str:
    """What stands where an e-mail address stood."""
    return f"{pseudonym}@{DOMAIN}" if pseudonym else ""


def is_pseudonym(address: str) -> bool:
    return address.endswith("@" + DOMAIN)


def hash_of(address: str) -> str:
    return keyed_hash("erased-email", address.strip().lower())


def was_erased(address: str, *, at: datetime) -> bool:
    """Whether what somebody of this address did at that time is forgotten. People may come back after it."""
    if not address:
        return False
    hashes = keyed_hashes("erased-email", address.strip().lower())
    return Erasure.objects.filter(email_hash__in=hashes, started_at__gte=at).exists()


def of_erased(column: str) -> Exists:
    """For a query: whether the row's column holds what Stripe calls something of a forgotten person."""
    return Exists(ErasedName.objects.filter(name=OuterRef(column)))


def of_erased_in_sql(column: str) -> str:
    """The same for a statement that is written by hand."""
    table = ErasedName._meta.db_table
    return f"EXISTS (SELECT 1 FROM {table} WHERE {table}.name = {column})"  # noqa: S608 - names of the models' own


def remember(erasure: Erasure, names: Iterable[str]) -> None:
    """Have whatever goes by these names known from now on. Running it again changes nothing."""
    ErasedName.objects.bulk_create(
        (ErasedName(erasure=erasure, name=name) for name in sorted(set(names)) if name),
        ignore_conflicts=True,
        batch_size=BATCH,
    )
