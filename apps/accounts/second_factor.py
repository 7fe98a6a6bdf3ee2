"""Whether somebody has shown a second factor. How it is set up and checked is the back office's affair."""

from __future__ import annotations

from typing import Any

from django.conf import settings


def is_verified(user: Any) -> bool:
    """Whether the session that brought this user has shown the second factor. What a token brings never has."""
    verified = getattr(user, "is_verified", None)
    return bool(verified is not None and verified())


def has_shown_second_factor(user: Any) -> bool:
    """Whether staff may act as staff: with STAFF_SECOND_FACTOR a password alone is not enough."""
    return not settings.STAFF_SECOND_FACTOR or is_verified(user)
