"""Spans of time that the figures are about, in the shop's own time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` on, up to but without `end`."""

    start: datetime
    end: datetime

    def holds(self, field: str) -> Q:
        """The rows whose time in `field` is within the span."""
        return Q(**{f"{field}__gte": self.start, f"{field}__lt": self.end})


@dataclass(frozen=True, slots=True)
class Period:
    """A period that has begun, and as much of the one before as has passed of this one."""

    name: str
    title: str
    before_title: str
    now: Span
    before: Span


def periods(now: datetime | None = None) -> list[Period]:
    """Today, this week from Monday on, and this month."""
    now = timezone.localtime(now)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - timedelta(days=day.weekday())
    month = day.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    return [
        _period("today", "Today", "yesterday by this time", day, day - timedelta(days=1), now),
        _period("week", "This week", "last week by this time", week, week - timedelta(days=7), now),
        _period("month", "This month", "last month by this day", month, last_month, now),
    ]


def _period(name: str, title: str, before_title: str, start: datetime, before: datetime, now: datetime) -> Period:
    """A shorter month before ends where this one began."""
    return Period(name, title, before_title, Span(start, now), Span(before, min(before + (now - start), start)))


def spans(found: list[Period]) -> dict[str, Span]:
    """Every span of these periods by a name that an aggregate can have."""
    named: dict[str, Span] = {}
    for period in found:
        named[period.name] = period.now
        named[f"{period.name}_before"] = period.before
    return named


def earliest(named: dict[str, Span]) -> datetime:
    return min(span.start for span in named.values())


def aggregates(named: dict[str, Span], field: str, **of: Any) -> dict[str, Any]:
    """For each span and each of the aggregate functions in `of` (called with a filter), one named aggregate."""
    return {
        f"{key}__{name}": make(filter=span.holds(field)) for name, span in named.items() for key, make in of.items()
    }
