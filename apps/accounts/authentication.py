"""Who is asking: a token, or a signed-in session."""

from __future__ import annotations

from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication


class TokenAuthentication(KnoxTokenAuthentication):
    pass


class SessionAuthentication(RestSessionAuthentication):
    pass
