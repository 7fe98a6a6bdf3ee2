"""Hand a person all that is held of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.accounts.privacy.exporting import export_to
from apps.accounts.privacy.holders import NothingHeld


class Command(BaseCommand):
    help = (
        "Write all that is held of a person into a ZIP file: data.json, and invoices and credit notes as PDF. Orders "
        "that a guest placed with the address count. Make sure that whoever asks has that address."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="The person's e-mail address.")
        parser.add_argument("--to", type=Path, metavar="FILE.zip", help="A new file (customer-DATE-TIME.zip).")

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["to"] or Path(f"customer-{timezone.now():%Y%m%d-%H%M%S}.zip")
        try:
            count = export_to(path, address=options["email"])
        except NothingHeld as nothing:
            raise CommandError(nothing.message) from None
        except FileExistsError:
            raise CommandError(f"{path} is there already.") from None
        except OSError as failure:
            raise CommandError(f"{path} cannot be written: {failure.strerror}.") from None
        self.stdout.write(f"{path}: {count} files. Only you may read it; it is personal.")
