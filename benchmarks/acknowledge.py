"""An event acknowledged: the shop beside a bare view with verify and one INSERT, and under several servers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks.ceiling.views import TABLES
from benchmarks.databases import RUN, SHOP, address_of, create_database
from benchmarks.ground import GUNICORN, PYTHON, Server, foreign
from benchmarks.installing import Unavailable, environment_of, packages_of
from benchmarks.measure import Cost, ratio, say, take_turns, told
from benchmarks.report import Row

WEBHOOK = "/api/payment/webhook/"
SHOP_APP, CEILING_APP = "benchmarks.shop_wsgi:application", "benchmarks.ceiling.wsgi:application"
OTHER_SERVERS = ("gunicorn, sync", "granian")
GRANIAN = [PYTHON, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "--workers", "2"]
GRANIAN += ["--blocking-threads", "4", "--no-access-log", "--log-level", "warning"]


def plain_database() -> str:
    name = create_database(f"{RUN}_plain")
    link = psycopg2.connect(address_of(name))
    with link, link.cursor() as cursor:
        cursor.execute(TABLES)
    link.close()
    return name


def sender(server: Server, events: int) -> Callable[[int], Cost]:
    server.send([foreign(number) for number in range(100)])  # imports and connections are paid by now

    def send(number: int) -> Cost:
        return server.send([foreign(each) for each in range(events)])

    return send


def run(*, events: int, rounds: int) -> list[Row]:
    """`events` in each round."""
    plain = plain_database()
    with ExitStack() as open_now:

        def start(command: list[str], **more: Any) -> Callable[[int], Cost]:
            return sender(open_now.enter_context(Server(command, **more)), events)

        shop: dict[str, Any] = {"database": SHOP, "path": WEBHOOK, "BENCH_WAKE": "nothing"}
        ceiling: dict[str, Any] = {"database": plain, "path": "/store/"}
        contenders = {
            "shop": start([*GUNICORN, SHOP_APP], **shop),
            "ceiling": start([*GUNICORN, CEILING_APP], **ceiling),
            "bare": start([*GUNICORN, CEILING_APP], **ceiling, BENCH_BARE="1"),
        }
        contenders["gunicorn, sync"] = start([*GUNICORN, "--worker-class", "sync", "--threads", "1", SHOP_APP], **shop)
        try:
            packages = packages_of(environment_of("granian", Path(__file__).with_name("granian.txt")))
            contenders["granian"] = start([*GRANIAN, SHOP_APP], **shop, PYTHONPATH=packages)
        except Unavailable as reason:
            say(f"granian is left out, since this failed: {reason}")
        found = take_turns(contenders, rounds)
    share = ratio(found["ceiling"], found["shop"])
    rows = [
        Row("acknowledge an event of 4 KB", told(found["shop"])),
        Row("its ceiling: verify and one INSERT behind the same middleware and logging", told(found["ceiling"])),
        Row("the same view with no middleware", told(found["bare"])),
        Row("acknowledging, share of the ceiling", str(share), "≥ 0.8", share.median >= 0.8),
    ]
    rows += [Row(f"acknowledged by {name}", told(found[name])) for name in found if name in OTHER_SERVERS]
    return rows
