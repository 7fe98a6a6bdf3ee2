"""Check what must always be true."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.payment.invariants import verify


class Command(BaseCommand):
    help = "Check the shop's invariants in its database. Exit 1 and the offending ids when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        broken = verify()
        if options["json"]:
            self.stdout.write(json.dumps([asdict(each) for each in broken], default=str))
        else:
            for each in broken:
                self.stdout.write(f"{each.name} does not hold: {each.meaning}. {each.count} rows, such as {each.ids}")
        if broken:
            raise CommandError(f"{len(broken)} invariants do not hold.")
        if not options["json"]:
            self.stdout.write("Every invariant holds.")
