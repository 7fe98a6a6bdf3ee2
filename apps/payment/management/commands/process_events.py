"""Work on stored events again, for a person."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from apps.audit.images import image_of, stored_image_of
from apps.audit.services import record_command
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox


class Command(BaseCommand):
    help = "Make stored events due now and work on them. Events that are done stay done, so this is safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--failed", action="store_true", help="Events that failed or wait for their object.")
        which.add_argument("--dead", action="store_true", help="Events that were given up.")
        which.add_argument("--event", metavar="evt_…", help="One event by Stripe's id.")

    def handle(self, *args: Any, **options: Any) -> None:
        states = StripeWebhookEvent.State
        events = StripeWebhookEvent.objects.all()
        if options["event"]:
            events = events.filter(stripe_id=options["event"])
        elif options["dead"]:
            events = events.filter(state=states.DEAD)
        else:
            events = events.filter(state__in=StripeWebhookEvent.WAITING, attempts__gt=0)
        chosen = list(events.values_list("stripe_id", flat=True))
        for stripe_id in chosen:
            _replay(stripe_id)
        for stripe_id in chosen:
            inbox.process(stripe_id)
            event = StripeWebhookEvent.objects.get(stripe_id=stripe_id)
            self.stdout.write(f"{event.stripe_id} {event.type}: {event.state} {event.reason}".rstrip())
        if not chosen:
            self.stdout.write("There is no such event.")


def _replay(stripe_id: str) -> None:
    """Make one due; what is done stays done, and only what changed is kept in the trail."""
    with transaction.atomic():
        event = StripeWebhookEvent.objects.select_for_update().get(stripe_id=stripe_id)
        if inbox.replay(StripeWebhookEvent.objects.filter(pk=event.pk)):
            record_command("process_events", "replay", event, image_of(event), stored_image_of(event))
