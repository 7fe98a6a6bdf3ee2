"""For the last owner, whose phone and recovery codes are gone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.accounts.models import User
from apps.audit.services import record_command
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
            record_command("reset_second_factor", "second factor reset", user)
        self.stdout.write(f"{user.email} sets up another second factor at the next sign-in.")
