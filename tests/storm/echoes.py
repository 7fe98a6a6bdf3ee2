"""More events than the visitors cause: late repeats, old snapshots under new ids, other people's objects.

They are posted to the shop as Stripe would: signed, and again until the answer is 200.
"""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import suppress
from typing import Any

import requests
import stripe

from tests.storm.crew import SECRET_KEY, WEBHOOK_SECRET
from tests.storm.visits import World

KINDS = (("repeat", 15), ("snapshot", 25), ("foreign", 15), ("unknown", 45))
UNKNOWN = ("invoice.paid", "customer.subscription.updated", "product.updated", "payout.paid", "price.created")
TOLD_BY_THE_EVENT = ("checkout.session.", "payment_intent.", "charge.succeeded", "charge.failed")
"""Types of which the shop believes the event; of others it asks Stripe, who never heard of a made-up object."""

OWN = ("client_reference_id", "metadata")


class Lately:
    """What Stripe told lately, looked up for all who echo it."""

    def __init__(self, stripe: str) -> None:
        self.url = f"{stripe}/v1/events"
        self.found: list[dict[str, Any]] = []
        self._looked = 0.0
        self._turn = threading.Lock()

    def events(self) -> list[dict[str, Any]]:
        """The last hundred, as they were at most five seconds ago."""
        with self._turn:
            if time.monotonic() - self._looked > 5:
                self._looked = time.monotonic()
                with suppress(requests.RequestException, ValueError):  # a fault that the storm asked for
                    answer = requests.get(self.url, params={"limit": "100"}, auth=(SECRET_KEY, ""), timeout=20)
                    if answer.status_code == 200:
                        self.found = answer.json()["data"]
            return self.found


class Echoes:
    """Sends echo number n, which depends on the seed, on n, and on what Stripe told lately."""

    def __init__(self, world: World, lately: Lately) -> None:
        self.world, self.lately = world, lately
        self.http = requests.Session()
        self.http.trust_env = False

    def send(self, number: int) -> None:
        chance = random.Random(f"{self.world.seed}:echo:{number}")
        lately = self.lately.events()
        if not lately:
            return
        kind = chance.choices([name for name, _ in KINDS], [weight for _, weight in KINDS])[0]
        event = self._event(kind, chance.choice(lately), f"evt_storm{self.world.seed}x{number}", chance)
        if self.post(event):
            self.world.count(f"echo of kind {kind}")

    def _event(self, kind: str, told: dict[str, Any], event_id: str, chance: random.Random) -> dict[str, Any]:
        event = dict(told)
        if kind == "repeat":
            return event
        event["id"] = event_id
        if kind == "foreign" and event["type"].startswith(TOLD_BY_THE_EVENT):
            event["data"] = {"object": _foreign(event["data"]["object"], event_id)}
        elif kind != "snapshot":
            event["type"] = chance.choice(UNKNOWN)
        return event

    def post(self, event: dict[str, Any]) -> bool:
        """Send one event until it is answered 200. Returns whether it was."""
        body = json.dumps(event)
        pause = 0.2
        while not self.world.stopped.is_set():
            signature = stripe.WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)
            headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
            try:
                url = f"{self.world.shop}/api/payment/webhook/"
                found = self.http.post(url, data=body.encode(), headers=headers, timeout=15)
            except requests.RequestException:
                self.world.count("echo none")
            else:
                self.world.count(f"echo {found.status_code}")
                if found.status_code == 200:
                    self.world.folder.acknowledged(event["id"])
                    return True
                if found.status_code not in (502, 503):
                    self.world.folder.note("echo_refused", status=found.status_code, body=found.text[:300])
                    return False
            time.sleep(pause)
            pause = min(pause * 2, 4.0)
        return False


def _foreign(about: dict[str, Any], event_id: str) -> dict[str, Any]:
    """The same object of another system on the same account: other ids, none of our references."""
    told = json.loads(json.dumps(about))
    told["id"] = f"{str(told['id']).rpartition('_')[0]}_{event_id[4:]}"
    for name in OWN:
        if name in told:
            told[name] = {} if name == "metadata" else None
    for name in ("payment_intent", "charge", "customer", "latest_charge"):
        if told.get(name):
            told[name] = f"{str(told[name]).rpartition('_')[0]}_{event_id[4:]}"
    return dict(told)
