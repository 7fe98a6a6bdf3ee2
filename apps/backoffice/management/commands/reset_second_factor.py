"""For the last owner, whose phone and recovery codes are gone."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.backoffice.second_factor.services import reset


class Command(BaseCommand):
    help = "Take a member of staff's second factor away: another one is set up at the next sign-in. Kept in the trail."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"], is_staff=True).first()
        if user is None:
            raise CommandError("No member of staff has this address. Nothing was changed.")
        with transaction.atomic():
            reset(user)
            detail = f"reset_second_factor, by {_account()} of the machine"
            record(None, "second factor reset", user, source=AuditEntry.Source.COMMAND, detail=detail)
        self.stdout.write(f"{user.email} sets up another second factor at the next sign-in.")


def _account() -> str:
    """Who is at the command line, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "an account without a name"
