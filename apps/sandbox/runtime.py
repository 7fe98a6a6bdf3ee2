"""The running sandbox: its configuration, its file, and the threads that work in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from apps.sandbox import due_work
from apps.sandbox.api import webhook_endpoints
from apps.sandbox.call import API_VERSION, Call
from apps.sandbox.config import Config
from apps.sandbox.courier import Courier
from apps.sandbox.errors import ApiError
from apps.sandbox.store import Store, Transaction

T = TypeVar("T")
log = logging.getLogger(__name__)
TICK = 0.25  # seconds between looks for due work
START_ENDPOINT = "--webhook-url"  # description of the endpoint that the command line made


class Sandbox:
    """Everything that one process holds. `port` is known once the server is bound."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.port = config.port
        self.store = Store(config.db)
        self.courier = Courier(self.store)
        self._stop = threading.Event()
        self._due = threading.Event()
        self._one_worker = threading.Lock()
        self._worker = threading.Thread(target=self._work, name="due-work", daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.ensure_endpoint()
        self.courier.start()
        self._worker.start()

    def stop(self) -> None:
        self._stop.set()
        self._due.set()
        self.courier.stop()

    def ensure_endpoint(self) -> None:
        """The endpoint of the command line exists once, with today's address and secret."""
        with self.store.write() as tx:
            made = [e for e in tx.page("webhook_endpoint", limit=100) if e["description"] == START_ENDPOINT]
            if not self.config.webhook_url:
                for endpoint in made:
                    tx.put(endpoint | {"status": "disabled"})
                return
            secret = self.config.webhook_secrets[0]
            endpoint = made[0] if made else webhook_endpoints.build(tx.now, "", description=START_ENDPOINT)
            url = self.config.webhook_url
            tx.put(endpoint | {"url": url, "_secret": secret, "status": "enabled", "api_version": API_VERSION})

    def call_in(self, tx: Transaction) -> Call:
        """A call that no API request caused."""
        return Call(tx, self.base_url, self.config.settle_seconds)

    @contextmanager
    def work(self) -> Iterator[Call]:
        """A transaction of the sandbox's own; what it emits is sent after the commit."""
        with self.store.write() as tx:
            yield self.call_in(tx)
        self.wake()

    def run(self, action: Callable[[Call], T]) -> T:
        """Run an action in a transaction; an error that keeps its effects is raised after the commit."""
        failure: ApiError
        with self.work() as call:
            try:
                return action(call)
            except ApiError as error:
                if not error.keep_effects:
                    raise
                failure = error
        raise failure

    def wake(self) -> None:
        self.courier.wake.set()

    def run_due_work(self) -> int:
        """Do all work that is due, each piece in its own transaction; how many there were."""
        done = 0
        with self._one_worker:
            while True:
                try:
                    with self.work() as call:
                        found = due_work.run_next(call)
                except Exception:
                    log.exception("A piece of due work failed and is given up")
                    with self.store.write() as tx:
                        found = due_work.take_next(tx) is not None
                if not found:
                    return done
                done += 1

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                if self._something_is_due():
                    self.run_due_work()
            except Exception:
                log.exception("Due work failed")
            self._due.wait(TICK)

    def _something_is_due(self) -> bool:
        with self.store.read() as tx:
            return due_work.is_due(tx)


_running: list[Sandbox] = []


def set_running(sandbox: Sandbox) -> None:
    _running[:] = [sandbox]


def running() -> Sandbox:
    return _running[0]
