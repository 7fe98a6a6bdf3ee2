"""Do the work behind the requests."""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connection, connections

from apps.common import stopping
from proshop.work import HOUSEKEEPING_EVERY, keep_house, run_round

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Work on what is due: events, unanswered calls to Stripe, expiring orders, deliveries and mail. "
        "Runs until it is stopped; SIGTERM finishes what is in hand."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do what is due now, then exit.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            while run_round():
                pass
            keep_house()
            return
        self._run_until_stopped()

    def _run_until_stopped(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, stopping.ask)
        housekeeper = threading.Thread(target=keep_house_beside, name="housekeeping", daemon=True)
        housekeeper.start()
        while not stopping.asked():
            done = 0
            try:
                close_old_connections()
                done = run_round()
            except DatabaseFailure:
                logger.exception("database_unavailable")
                connection.close()
            if not done:
                stopping.wait(PAUSE_SECONDS)
        housekeeper.join()


def keep_house_beside() -> None:
    """Housekeeping in a thread of its own: comparing with Stripe takes minutes, and no event waits for it."""
    while not stopping.asked():
        began = time.monotonic()
        try:
            keep_house()
        except DatabaseFailure:
            logger.exception("database_unavailable")
        finally:
            connections.close_all()
        stopping.wait(HOUSEKEEPING_EVERY - (time.monotonic() - began))
