"""What enrollment does when something happened. Each runs inside the outbox's transaction and only looks again."""

from __future__ import annotations

from typing import Any

from apps.enrollment.models import Track
from apps.enrollment.services.settling import settle_order
from apps.enrollment.services.tracks import bring_up_to_date

NAME = "enrollment"
"""What this subscriber is called in the outbox."""


def order_changed(payload: dict[str, Any]) -> None:
    """An order was paid or claimed, or a refund or a dispute of it has another state."""
    settle_order(int(payload["order_id"]))


def track_changed(payload: dict[str, Any]) -> None:
    """A track that is gone by now had nobody enrolled."""
    track = Track.objects.filter(pk=payload["track_id"]).first()
    if track is not None:
        bring_up_to_date(track, after_user=int(payload["after_user"]))
