"""Brings the failpoints into the shop's processes; only a storm's settings name this app."""

from __future__ import annotations

from datetime import timedelta

from django.apps import AppConfig


class StormConfig(AppConfig):
    name = "tests.storm"
    label = "storm"

    def ready(self) -> None:
        from django.conf import settings

        from apps.accounts.privacy import erasing
        from apps.payment.services import balance, check_runs, endpoints
        from proshop import work
        from tests.storm import failpoints

        failpoints.install(settings.STORM_FOLDER)
        check_runs.SILENT_FOR = timedelta(seconds=5)  # so that a run of reconcile can be killed often
        # What looks at Stripe once an hour is to be killed on its way there as often as all else.
        work.HOUSEKEEPING_EVERY = 20.0
        balance.EVERY = endpoints.EVERY = timedelta(seconds=15)
        erasing.LEASE = timedelta(seconds=6)
        if settings.STORM_LEASE_SECONDS:
            shorten_leases(settings.STORM_LEASE_SECONDS)


def shorten_leases(seconds: float) -> None:
    """What a killed process had in hand is taken over after so many seconds instead of two minutes."""
    from apps.common import idempotency, leases
    from apps.notifications import services as notifications
    from apps.outbox import services as outbox
    from apps.payment.services import capturing, carrying_out, disputes
    from apps.payment.webhooks import inbox

    for module in (inbox, outbox, notifications, idempotency):
        module.LEASE = timedelta(seconds=seconds)
    for asking in (carrying_out, capturing, disputes):
        asking.IN_HAND = timedelta(seconds=seconds)
    leases.LEAST_LEFT = timedelta(seconds=seconds / 4)
