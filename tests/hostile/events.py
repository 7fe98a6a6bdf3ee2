"""Attack the webhook with validly signed events that are wrong.

    python -m tests.hostile.events --count 100000 --seed 1 --background

Each round makes fresh orders through the API and the sandbox, in every state that events lead to. The events of half
of them are mutated, signed and posted to the real webhook view; then the inbox is drained. No answer may be a 5xx,
nothing may be logged as an error, no event may be left without an end, no order that no event names may change, and
`verify` must be clean. At last the true events of the attacked orders arrive, late, and it must be clean again.

`--events FOLDER` mutates events of JSON files as well, one or a list of them a file. `--http` posts to a gunicorn of
its own instead of the view in this process.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hostile.runs import Faults, Run, detach, parser, set_up

MODULE = "tests.hostile.events"
BATCH = 250
ROUND = 1000
"""Cases on the same orders."""

LEGAL = {200, 400, 413}
MAX_BYTES = 1024 * 1024
RAISED = re.compile(r"^(?:[a-z_]+\.)*([A-Z]\w+)(?::|$)", re.MULTILINE)
"""The name of an exception, as a traceback ends with it."""


class Attack:
    """The posting and the looking after, on the database that Django was set up with."""

    def __init__(self, run: Run, seed: int, post: Any, extra: list[dict[str, Any]]) -> None:
        self.run, self.seed, self.post, self.extra = run, seed, post, extra
        self.faults = Faults(run)

    def round(self, stripe: Any, until: int, batch: int) -> None:
        """Fresh orders, wrong events of some of them, and at last the true ones."""
        from apps.payment.models import StripeWebhookEvent
        from tests.hostile.world import open_round
        from tests.support.shop import deliver, work

        stored = StripeWebhookEvent.objects.count()
        tag = f"{self.seed}-{self.run.done}-{stored}"  # a run that goes on finds what the one before has left
        world = open_round(stripe, random.Random(f"{self.seed}:round:{self.run.done}"), tag)
        since = StripeWebhookEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        while self.run.done < until:
            size = min(batch, until - self.run.done)
            self.batch(world, self.run.done, size)
            self.run.done += size
        self.count_ends(since)
        for event in [each for target in world.targets for each in target.events]:
            if deliver(event).status_code != 200:
                self.run.find("a true event was refused", event=event["id"], case=self.run.done)
        work(mails=False)
        self.faults.case = f"the true events before {until}"
        self.check_invariants()

    def batch(self, world: Any, first: int, count: int) -> None:
        """Post these cases, drain the inbox and compare."""
        from tests.hostile.mutations import mutate
        from tests.hostile.world import OWN_IDS, money_of_all, owners_of_ids

        before, owners = money_of_all(), owners_of_ids(world)
        known, events, named = world.known(), world.events, set()
        for number in range(first, first + count):
            rng = random.Random(f"{self.seed}:{number}")
            event = rng.choice(self.extra if self.extra and rng.random() < 0.2 else events)
            payload = mutate(event, rng, known, event_id=f"evt_h{self.seed}n{number}")
            named |= {owners[name] for name in OWN_IDS.findall(payload.decode("latin-1")) if name in owners}
            self.faults.case = f"{self.seed}:{number}"
            self.send(number, payload)
        self.faults.case = f"draining {first} to {first + count - 1}"
        self.drain()
        after = money_of_all()
        for order_id in before.keys() | after.keys():
            if order_id not in named and before.get(order_id) != after.get(order_id):
                self.run.find("an order that no event named has changed", order=order_id, case=self.faults.case)
        self.check_invariants()

    def send(self, number: int, payload: bytes) -> None:
        status = self.post(payload)
        self.run.count("answers", status)
        if status not in LEGAL:
            kept = self.run.folder / f"case-{number}.json"
            kept.write_bytes(payload)
            self.run.find("an answer that is not in the contract", status=status, case=number, payload=str(kept))

    def drain(self) -> None:
        """Work until nothing waits. The tries between an event's first and last are left out, being the same."""
        from django.utils import timezone

        from apps.payment.models import StripeWebhookEvent
        from apps.payment.webhooks.setbacks import MAX_ATTEMPTS, PARKED_FOR
        from tests.support.shop import work

        work(mails=False)
        now = timezone.now()
        waiting = StripeWebhookEvent.objects.filter(state__in=StripeWebhookEvent.WAITING)
        waiting.update(attempts=MAX_ATTEMPTS - 1, due_at=now, lease_until=None, waiting_since=now - 2 * PARKED_FOR)
        work(mails=False)
        for event in waiting:
            self.run.find("an event has no end", event=event.stripe_id, state=event.state, reason=event.reason)
            event.delete()

    def check_invariants(self) -> None:
        from apps.payment.invariants import verify

        for broken in verify():
            self.run.find("an invariant is broken", name=broken.name, ids=broken.ids, case=self.faults.case)

    def count_ends(self, since: int) -> None:
        """How the events ended, and for those that were given up, why."""
        from apps.payment.models import StripeWebhookEvent

        for event in StripeWebhookEvent.objects.filter(pk__gt=since).only("state", "last_error", "reason").iterator():
            self.run.count("ends", event.state)
            if event.state == "dead":
                raised = RAISED.findall(event.last_error)
                self.run.count("given up for", raised[-1] if raised else event.reason.partition(" pp_")[0])


@contextmanager
def posting(http: bool) -> Iterator[Any]:
    """A function from a body to the status of its answer; the body is signed with the shop's own secret."""
    from tests.support.shop import WEBHOOK_SECRET

    if http:
        from tests.hostile.servers import serving

        with serving() as port:
            yield poster_over_http(port, WEBHOOK_SECRET)
        return
    from django.test import Client

    client = Client(raise_request_exception=False)

    def post(payload: bytes) -> int:
        headers = {"Stripe-Signature": signature(payload, WEBHOOK_SECRET)}
        return client.post(
            "/api/payment/webhook/", payload, content_type="application/json", headers=headers
        ).status_code

    yield post


def poster_over_http(port: int, secret: str) -> Any:
    """A connection for each body, as a server closes an idle one when it likes. 0: the connection broke off."""
    import requests

    def post(payload: bytes) -> int:
        headers = {"Stripe-Signature": signature(payload, secret), "Content-Type": "application/json"}
        address = f"http://127.0.0.1:{port}/api/payment/webhook/"
        try:
            answer = requests.post(address, data=payload, headers=headers | {"Connection": "close"}, timeout=60)
        except requests.ConnectionError:
            # What is too long is refused unread, and the rest of it meets a closed door.
            return 413 if len(payload) > MAX_BYTES else 0
        return answer.status_code

    return post


def signature(payload: bytes, secret: str) -> str:
    """Stripe's scheme over any bytes; the library's own helper takes text alone."""
    import hashlib
    import hmac
    import time

    moment = int(time.time())
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def events_of(folder: Path | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted(folder.rglob("*.json")) if folder else ():
        told = json.loads(file.read_text(encoding="utf-8"))
        found += [each for each in (told if isinstance(told, list) else [told]) if isinstance(each, dict)]
    return found


def attack(
    run: Run,
    sandbox: Any,
    *,
    count: int,
    seed: int,
    http: bool = False,
    extra: Sequence[dict[str, Any]] = (),
    batch: int = BATCH,
) -> None:
    """Go on from where the run is until `count` cases were posted, on the database that Django was set up with."""
    from tests.support.shop import Stripe

    stripe = Stripe(sandbox)
    with posting(http) as post:
        attacker = Attack(run, seed, post, list(extra))
        with attacker.faults.listening():
            while run.done < count:
                attacker.round(stripe, min(run.done + ROUND, count), batch)
                run.save()
                run.tell()


def main(arguments: list[str]) -> int:
    options = parser(MODULE, "Post validly signed, mutated Stripe events.", count=100_000)
    options.add_argument("--http", action="store_true", help="post to a server instead of the view in this process")
    options.add_argument("--events", type=Path, help="a folder of JSON with more events to mutate")
    chosen = options.parse_args(arguments)
    folder = chosen.folder or Path("var/hostile") / f"events-{chosen.seed}"
    if chosen.background:
        return detach(MODULE, folder, arguments)
    run = Run(folder, seed=chosen.seed, http=chosen.http, database=chosen.database.partition(":")[0] or "sqlite")
    if run.resume():
        run.tell()
    set_up(chosen.database, folder)
    from django.conf import settings

    from tests.support.sandbox import Sandbox

    with Sandbox() as sandbox:
        settings.STRIPE_API_BASE = sandbox.address
        extra = events_of(chosen.events)
        attack(run, sandbox, count=chosen.count, seed=chosen.seed, http=chosen.http, extra=extra)
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
