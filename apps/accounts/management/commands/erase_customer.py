"""Forget a person."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.privacy.erasing import AlreadyAtWork, IsStaff, StillOpen, cautions_of, erase, plan_erasure
from apps.accounts.privacy.holders import NothingHeld, Subject, find_subject, rows_of


class Command(BaseCommand):
    help = (
        "Pseudonymise a person for good: account, orders, payments, stored events, e-mails and trails; their customer "
        "at Stripe is deleted. Amounts, taxes, invoices and credit notes stay. Exit code 1, and nothing changed, while "
        "something of theirs is open."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="The person's e-mail address.")
        parser.add_argument("--dry-run", action="store_true", help="Show what would be blanked; nothing changes.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["dry_run"]:
                self._show(options["email"])
                return
            self._warn(find_subject(options["email"]))
            erasure = erase(options["email"])
        except StillOpen as refusal:
            raise CommandError("\n".join([refusal.message, *refusal.obstacles, "Nothing was changed."])) from None
        except (NothingHeld, IsStaff, AlreadyAtWork) as refusal:
            raise CommandError(f"{refusal.message} Nothing was changed.") from None
        if erasure.finished_at is None:
            self.stdout.write(f"{erasure.pseudonym}: not all is done. {erasure.reason}")
            self.stdout.write("`manage.py work` goes on with it.")
            return
        self.stdout.write(f"{erasure.pseudonym} stands for this person from now on.")

    def _show(self, address: str) -> None:
        subject = plan_erasure(address)
        for rows in rows_of(subject):
            count = rows.query.count()
            if count:
                self.stdout.write(f"{count:>6} {rows.what}: {rows.fate}")
        self._warn(subject)
        self.stdout.write("Nothing was changed.")

    def _warn(self, subject: Subject) -> None:
        for caution in cautions_of(subject):
            self.stdout.write(f"Mind: {caution}")
