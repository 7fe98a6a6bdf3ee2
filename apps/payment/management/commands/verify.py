"""Check what must always be true."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.payment.invariants import look
from apps.payment.services.check_runs import AlreadyRunning
from apps.payment.services.verifying import verify_and_keep


class Command(BaseCommand):
    help = "Check the shop's invariants in its database. Exit 1 and the offending ids when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = verify_and_keep()
        except AlreadyRunning:
            found = look()  # that one keeps its own result
        if options["json"]:
            self.stdout.write(json.dumps(found.as_dict(), default=str))
        else:
            for each in found.broken:
                self.stdout.write(f"{each.name} does not hold: {each.meaning}. {each.count} rows, such as {each.ids}")
        if found.broken:
            raise CommandError(f"{len(found.broken)} invariants do not hold.")
        if not options["json"]:
            self.stdout.write(f"Every invariant holds: {found.checked} in {found.seconds:.1f} s.")
