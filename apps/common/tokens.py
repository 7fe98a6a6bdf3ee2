"""Tokens that open one object without a sign-in: a cart, a guest's order.

A token is the object's random public id followed by an HMAC over it. Nothing of it is stored, so a copy of the
database opens nothing. Keys in SECRET_KEY_FALLBACKS are honoured, so that rotating SECRET_KEY breaks no link.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.conf import settings

ID_LENGTH = 32
"""Length of a public id: 128 random bits in hexadecimal."""


def new_public_id() -> str:
    return secrets.token_hex(ID_LENGTH // 2)


def issue(kind: str, public_id: str) -> str:
    """The token that opens the object of this kind and public id."""
    return public_id + _mac(kind, public_id, settings.SECRET_KEY)


def read(kind: str, token: str) -> str | None:
    """The public id that a token opens, or None when it is not one of ours. Compared in constant time."""
    public_id, mac = token[:ID_LENGTH], token[ID_LENGTH:]
    if not (token.isascii() and len(public_id) == ID_LENGTH):
        return None
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    matches = [hmac.compare_digest(mac, _mac(kind, public_id, key)) for key in keys]
    return public_id if any(matches) else None


def _mac(kind: str, public_id: str, key: str) -> str:
    return hmac.new(key.encode(), f"proshop.{kind}:{public_id}".encode(), hashlib.sha256).hexdigest()[:40]


def keyed_hash(kind: str, value: str) -> str:
    """A stable stand-in for a value that must be compared but not kept, such as a client's address."""
    return _keyed_hash(kind, value, settings.SECRET_KEY)


def keyed_hashes(kind: str, value: str) -> list[str]:
    """The stand-ins that `keyed_hash` made of a value, also under keys that have been replaced since."""
    return [_keyed_hash(kind, value, key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _keyed_hash(kind: str, value: str, key: str) -> str:
    return hmac.new(key.encode(), f"proshop.{kind}:{value}".encode(), hashlib.sha256).hexdigest()[:32]
