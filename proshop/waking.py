"""Tell the workers that events wait, without having any request wait for the broker."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

from kombu import Producer

from proshop.broker import bounded_connection
from proshop.celery import EVENTS_QUEUE, app, do

logger = logging.getLogger(__name__)

GAP_SECONDS = 0.05
"""Between two looks at the broker; events that come meanwhile share the next."""
PAUSE_SECONDS = 5.0
"""After a broker that could not be reached. Beat finds what was not told."""


class Waker:
    """Sends wake-ups from a thread of its own: one for any number of events, and none while one is on its way.

    The broker itself says whether one is: the queue of wake-ups is not empty. A wake-up that is taken from it later
    than an event was committed finds that event. Nothing is lost with this process but a second, until beat looks.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._producer: Producer | None = None

    def nudge(self) -> None:
        """Have a wake-up sent soon. Costs the caller nothing and never raises."""
        self._wanted.set()
        # A forked child has the parent's object and not its thread.
        if self._thread is None or not self._thread.is_alive():
            with self._turn:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        self._producer = None
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._send_unless_pending()
            except Exception as failure:  # brokers fail in many ways, and none of them is the shop's
                logger.warning("broker_unavailable", extra={"error": type(failure).__name__})
                time.sleep(PAUSE_SECONDS)
            else:
                time.sleep(GAP_SECONDS)

    def _send_unless_pending(self) -> None:
        """With a second try on a new connection: the old one may have been closed while nothing happened."""
        kept, self._producer = self._producer, None
        if kept is not None:
            try:
                self._send_on(kept)
                return
            except Exception:
                _close(kept)
        producer = self._connect()
        try:
            self._send_on(producer)
        except Exception:
            _close(producer)
            raise

    def _send_on(self, producer: Producer) -> None:
        channel: Any = producer.channel
        found: Any = app.amqp.queues[EVENTS_QUEUE](channel).queue_declare()
        if found.message_count == 0:
            do.apply_async(("events",), queue=EVENTS_QUEUE, producer=producer, retry=False, expires=60)
        self._producer = producer

    def _connect(self) -> Producer:
        return Producer(bounded_connection(self._url).channel())


def _close(producer: Producer) -> None:
    channel: Any = producer.channel
    with suppress(Exception):  # it is broken already
        channel.connection.client.close()


@cache
def waker_of(url: str) -> Waker:
    return Waker(url)
