"""After the reckoning some people are forgotten: whoever is at it dies, and what Stripe told of them comes again (I26).

`python -m tests.storm.forgetting` is the part that reads the shop's tables: `people FOLDER N` prints addresses of
people who may be forgotten, `books FOLDER` the counts and sums of money, and `places FOLDER` where any address that
stands in the folder's `forgotten.json` is found.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.storm import failpoints
from tests.storm.calm import drain
from tests.storm.crew import ROOT, Crew
from tests.storm.echoes import Echoes, Lately
from tests.storm.visits import World

PARTS = ("invoices", "mails", "payment", "orders", "cart", "account", "stripe")
POINTS = (*failpoints.ERASURES, *(f"erasure.{name}" for name in PARTS))
PATIENCE = 180.0
TOLD_AGAIN = 8
"""Events per person."""

KEPT_BY_LAW = {"invoices_document"}
DONE = ("stands for this person", "Nothing is held of anybody")


class Forgetting:
    def __init__(self, world: World, crew: Crew, seed: int) -> None:
        self.world, self.crew, self.seed = world, crew, seed
        self.folder = world.folder

    def result(self, people: int) -> dict[str, Any]:
        """Forget so many people. Returns counts, and every place in which one of them is found again."""
        chosen = self._look("people", str(people))
        before = self._look("books")
        (self.folder.path / "forgotten.json").write_text(json.dumps(chosen), encoding="utf-8")
        deaths = [self._forget(address, point) for address, point in zip(chosen, cycle(POINTS), strict=False)]
        late = sum(self._tell_again(number, event) for number, event in enumerate(self._told_of(chosen)))
        quiet = drain(self.world)
        self.folder.note("forgotten", people=len(chosen), told_again=late)
        return {
            "people": len(chosen),
            "deaths": sum(deaths),
            "told_again": late,
            "drain": quiet,
            "found_again": self.places(),
            "books_are_the_same": self._look("books") == before,
        }

    def places(self) -> list[str]:
        """Where somebody who is forgotten is found, but for documents that the law keeps."""
        found = [place for place in self._look("places") if place.partition(".")[0] not in KEPT_BY_LAW]
        addresses = json.loads((self.folder.path / "forgotten.json").read_text(encoding="utf-8"))
        for log in sorted((self.folder.path / "logs").glob("*.log")):
            if log.stem in self.crew.commands and any(each in log.read_text(errors="replace") for each in addresses):
                found.append(f"the log of {log.stem}")
        return found

    def _forget(self, address: str, point: str) -> bool:
        """Ask until it is done, also where the worker does it. Returns whether a process died at it."""
        self.folder.arm(point)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            done = self.crew.manage("erase_customer", address, check=False)
            if any(words in done.stdout + done.stderr for words in DONE):
                break
            time.sleep(1)
        else:
            raise RuntimeError(f"{address} is not forgotten: {done.stdout[-500:]} {done.stderr[-500:]}")
        died = point not in self.folder.armed()
        self.folder.disarm()
        return died

    def _told_of(self, addresses: list[str]) -> Iterator[dict[str, Any]]:
        """What Stripe once told that names one of them."""
        with sqlite3.connect(f"file:{self.folder.path / 'stripe.sqlite3'}?mode=ro", uri=True) as stripe:
            for address in addresses:
                sql = "SELECT body FROM objects WHERE kind = 'event' AND instr(body, ?) ORDER BY seq LIMIT ?"
                for (body,) in stripe.execute(sql, (address, TOLD_AGAIN)):
                    yield json.loads(body)

    def _tell_again(self, number: int, event: dict[str, Any]) -> bool:
        echoes = Echoes(self.world, Lately(self.world.stripe))
        return echoes.post(event | {"id": f"evt_storm{self.seed}late{number}"})

    def _look(self, what: str, *arguments: str) -> Any:
        command = [sys.executable, "-m", "tests.storm.forgetting", what, str(self.folder.path), *arguments]
        found = subprocess.run(command, cwd=ROOT, env=self.crew.env, capture_output=True, text=True, check=False)
        if found.returncode:
            raise RuntimeError(found.stderr[-3000:])
        return json.loads(found.stdout)


def people(count: int) -> list[str]:
    """Half of them guests, half members, course buyers first: with money that was paid and nothing open."""
    from apps.accounts.models import User
    from apps.accounts.privacy.erasing import StillOpen, plan_erasure
    from apps.orders.models import Order

    paid = Order.objects.filter(payments__applied=True)
    learners = list(User.objects.filter(enrollments__status="enrolled").order_by("pk").values_list("email", flat=True))
    members = list(paid.filter(user__isnull=False).order_by("pk").values_list("user__email", flat=True))
    guests = list(paid.filter(user=None).exclude(email="").order_by("pk").values_list("email", flat=True))
    chance = random.Random(count)
    for addresses in (members, guests):
        chance.shuffle(addresses)
    found: list[str] = []
    for addresses, enough in ((learners, count // 4), (members, count // 2), (guests, count)):
        for address in dict.fromkeys(addresses):
            if len(found) >= enough:
                break
            try:
                plan_erasure(address)
            except StillOpen:
                continue
            if address not in found:
                found.append(address)
    return found


def books() -> dict[str, Any]:
    from apps.orders.models import Order, OrderTransition
    from apps.payment.models import PaymentLog, StripeWebhookEvent
    from tests.privacy import search

    counted = search.books()
    del counted[StripeWebhookEvent._meta.label]  # more of them come
    # Orders that nobody paid come to their end meanwhile, so the logs of paid ones are counted.
    counted[OrderTransition._meta.label] = OrderTransition.objects.filter(order__payment_status__in=Order.PAID).count()
    counted[PaymentLog._meta.label] = PaymentLog.objects.filter(payment__applied=True).count()
    return counted


def places(addresses: list[str]) -> list[str]:
    """`table.column` wherever one of the addresses stands."""
    from django.db import connection

    found: set[str] = set()
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(2000):
                for row in rows:
                    for name, value in zip(names, row, strict=True):
                        if isinstance(value, str | bytes | memoryview | dict | list) and _names_one(value, addresses):
                            found.add(f"{table}.{name}")
    return sorted(found)


def _names_one(value: Any, addresses: list[str]) -> bool:
    text = bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
    return "@storm.test" in text and any(address in text for address in addresses)


def main(what: str, folder: str, *arguments: str) -> Any:
    if what == "people":
        return people(int(arguments[0]))
    if what == "books":
        return books()
    return places(json.loads((Path(folder) / "forgotten.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    import django

    django.setup()
    sys.stdout.write(json.dumps(main(*sys.argv[1:]), default=str) + "\n")
