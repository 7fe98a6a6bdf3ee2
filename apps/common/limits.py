"""Limits that hold across processes: one statement counts and tells the count."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from apps.common.errors import TooManyRequests
from apps.common.models import LimitCount

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def parse_rate(rate: str) -> tuple[int, int]:
    """`30/hour` as (30, 3600). Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+)/(second|minute|hour|day)", rate.strip())
    if not match:
        raise ValueError(f"{rate!r} is not a rate such as 30/hour")
    return int(match[1]), SECONDS[match[2]]


def enforce(name: str, who: str, rate: str) -> None:
    """Count one use; raises TooManyRequests once `who` has used `name` more often than the rate allows."""
    if not settings.RATE_LIMITS:
        return
    allowed, seconds = parse_rate(rate)
    now = time.time()
    window = int(now // seconds)
    if _count(f"{name}:{who}:{seconds}:{window}"[:200], ends=(window + 1) * seconds) > allowed:
        raise TooManyRequests(retry_after=int((window + 1) * seconds - now) + 1)


def _count(key: str, *, ends: int) -> int:
    if settings.CACHE_URL:
        cache.add(key, 0, timeout=max(1, int(ends - time.time()) + 1))
        return int(cache.incr(key))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO common_limitcount (key, n, expires_at) VALUES (%s, 1, %s) "
            "ON CONFLICT (key) DO UPDATE SET n = common_limitcount.n + 1 RETURNING n",
            [key, datetime.fromtimestamp(ends, tz=UTC)],
        )
        return int(cursor.fetchone()[0])


def forget_expired() -> int:
    """Remove the counts of windows that are over. Returns how many."""
    return LimitCount.objects.filter(expires_at__lt=timezone.now()).delete()[0]
