"""The webhook endpoint at Stripe, for the person who sets the shop up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError
from django.utils import timezone
from django.utils.timesince import timesince

from apps.audit.services import Thing, record_command
from apps.payment.checks import check_setup
from apps.payment.gateway import StripeRefused, StripeUnavailable, WebhookEndpoint, list_webhook_endpoints
from apps.payment.services.endpoints import (
    Ensured,
    Report,
    UnfitAddress,
    check_endpoint,
    ensure_endpoint,
    own_address,
)

NO_WEBHOOK_SECRET = "proshop.E001"  # noqa: S105 - the id of a system check
UNKNOWN = 2
"""Exit code for when Stripe could not be asked; 1 means drift."""


class Command(BaseCommand):
    help = (
        "Make the webhook endpoint at Stripe what the shop needs (ensure), report where it is not, with exit code 1 "
        "(check), or show the account's endpoints (list)."
    )
    # The secret that the system checks ask for comes from here: handle() makes the checks without that one.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parts = parser.add_subparsers(dest="part", required=True)
        ensure = parts.add_parser("ensure", help="Create or update the endpoint; a new one's secret is shown once.")
        check = parts.add_parser("check", help="Report drift; exit 1 when there is any, 2 when Stripe cannot be asked.")
        parts.add_parser("list", help="Show the account's endpoints.")
        for part in (ensure, check):
            part.add_argument("--url", help="Where events go; PUBLIC_URL and /api/payment/webhook/ when not given.")
        check.add_argument("--json", action="store_true", help="Print the report as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        for message in check_setup():
            if message.is_serious() and message.id != NO_WEBHOOK_SECRET:
                raise CommandError(message.msg)
        try:
            if options["part"] == "list":
                self._list(list_webhook_endpoints())
            elif options["part"] == "ensure":
                ensured = ensure_endpoint(options["url"] or own_address())
                self._tell(ensured)  # first of all: a new endpoint's secret is shown this once
                self._keep(ensured)
            else:
                self._report(check_endpoint(options["url"] or own_address()), as_json=options["json"])
        except UnfitAddress as reason:
            raise CommandError(str(reason)) from None
        except (StripeRefused, StripeUnavailable) as failure:
            # The library's own words name a right that a restricted key lacks, or the parameter that is wrong.
            raise CommandError(f"Stripe: {failure.__cause__ or failure}", returncode=UNKNOWN) from None

    def _list(self, endpoints: Iterable[WebhookEndpoint]) -> None:
        rows = [("id", "state", "mode", "API version", "types", "address")]
        rows += [
            (
                each.id,
                "enabled" if each.enabled else "disabled",
                "live" if each.livemode else "test",
                each.api_version or "the account's",
                "all" if "*" in each.types else str(len(each.types)),
                each.url,
            )
            for each in endpoints
        ]
        self._table(rows)

    def _tell(self, ensured: Ensured) -> None:
        endpoint = ensured.endpoint
        self.stdout.write(
            f"{ensured.action.capitalize()}: {endpoint.id} sends {len(endpoint.types)} types of events "
            f"in version {endpoint.api_version} to {endpoint.url}."
        )
        if ensured.action == "created":
            self.stdout.write("Its signing secret is shown this once. Put it into .env and restart the shop:\n")
            self.stdout.write(f"STRIPE_WEBHOOK_SECRET={endpoint.secret}\n")
            if settings.STRIPE_WEBHOOK_SECRETS:
                self.stdout.write(
                    "A secret is set already: write the new one before it, with a comma between them. If it is "
                    f"STRIPE_WEBHOOK_SECRET_{settings.PAYMENT_ENV.upper()} that is set, write it there."
                )
        for other in ensured.beside:
            state = "enabled" if other.enabled else "disabled"
            self.stdout.write(
                f"{other.id} ({other.api_version or 'no version of its own'}, {state}) has the same address. Remove it "
                "at Stripe once `stripe_webhook check` shows that the new secret verifies, then its secret from .env."
            )

    def _keep(self, ensured: Ensured) -> None:
        if ensured.action == "unchanged":
            return
        endpoint = ensured.endpoint
        thing = Thing("payment.webhookendpoint", endpoint.id, endpoint.url)
        before = _image_of(ensured.before) if ensured.before else {}
        try:
            record_command("stripe_webhook ensure", ensured.action, thing, before, _image_of(endpoint))
        except DatabaseError:  # a shop that is being set up makes its endpoint before its tables
            self.stderr.write("The audit trail does not have it: the database is not ready.")

    def _report(self, report: Report, *, as_json: bool) -> None:
        if as_json:
            told = asdict(report)
            if told["endpoint"]:
                del told["endpoint"]["secret"]
            told["last_received_seconds_ago"] = _seconds_since(report.last_received_at)
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder))
        else:
            self._print(report)
        if report.drift:
            raise CommandError(f"Not as the shop needs it: {', '.join(each.code for each in report.drift)}.")

    def _print(self, report: Report) -> None:
        self.stdout.write(f"Address: {report.url}")
        if report.endpoint:
            self.stdout.write(f"Endpoint: {report.endpoint.id}")
        self.stdout.write(f"Last event received here: {_ago(report.last_received_at)}")
        undelivered = report.undelivered
        oldest = f", the oldest {_ago(undelivered.oldest)}, {undelivered.missing} of them not here in another way"
        self.stdout.write(f"Not delivered within 30 days: {undelivered.count}{oldest if undelivered.count else ''}")
        rows = [("secret", "set", "first verified", "last verified")]
        rows += [
            (use.fingerprint, "yes" if use.configured else "no", _ago(use.first_seen_at), _ago(use.last_verified_at))
            for use in report.secrets
        ]
        self._table(rows)
        for each in report.drift:
            self.stdout.write(f"{each.code}: {each.message}")
        if not report.drift:
            self.stdout.write("Everything is as the shop needs it.")

    def _table(self, rows: Sequence[Sequence[str]]) -> None:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _image_of(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {"enabled": endpoint.enabled, "api_version": endpoint.api_version, "types": list(endpoint.types)}


def _ago(moment: datetime | None) -> str:
    return f"{timesince(moment)} ago".replace("\xa0", " ") if moment else "never"


def _seconds_since(moment: datetime | None) -> int | None:
    return int((timezone.now() - moment).total_seconds()) if moment else None
