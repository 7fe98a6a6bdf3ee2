"""Let go what is older than records are kept."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.payment.services.check_runs import AlreadyRunning
from apps.payment.services.purging import Purged, look_at_old, purge


class Command(BaseCommand):
    help = (
        "Delete orders of which nothing happened for RETENTION_YEARS, with payments, refunds, invoices, e-mails and "
        "all else that hangs on them. What is open stays. The worker does the same once a day; cut off, it goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Show what would go; nothing changes.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = look_at_old() if options["dry_run"] else purge()
        except AlreadyRunning:
            raise CommandError("The worker is at it at this moment.") from None
        if options["json"]:
            self.stdout.write(json.dumps({**found.as_dict(), "dry_run": options["dry_run"]}))
            return
        self._show(found, "would go" if options["dry_run"] else "went")

    def _show(self, found: Purged, went: str) -> None:
        self.stdout.write(f"Of what is older than {found.before:%Y-%m-%d}, {found.orders} orders {went}:")
        for what, count in (+found.rows).items():
            self.stdout.write(f"{count:>8} {what}")
        for reason, count in (+found.stays).items():
            self.stdout.write(f"{count:>8} orders stay: {reason}")
