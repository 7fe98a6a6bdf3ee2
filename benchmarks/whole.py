"""The whole job, acknowledged to paid: the shop beside nine statements of plain SQL and beside dj-stripe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from apps.orders.models import Order
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox
from benchmarks import djstripe
from benchmarks.acknowledge import CEILING_APP, SHOP_APP, WEBHOOK
from benchmarks.ceiling.views import TABLES
from benchmarks.databases import RUN, SHOP, address_of, create_database
from benchmarks.ground import GUNICORN, Server, buy, completed, cost_here, sandbox
from benchmarks.installing import Unavailable
from benchmarks.measure import Cost, Spread, ratio, say, take_turns, told
from benchmarks.report import Row

VARIANTS = 100
WARM = 16

Events = list[dict[str, Any]]


def plain_database(name: str, events: Events) -> str:
    """The tables of the plain SQL, with the orders that these events pay."""
    create_database(name)
    orders = djstripe.rows_of(events, VARIANTS)
    link = psycopg2.connect(address_of(name))
    with link, link.cursor() as cursor:
        cursor.execute(TABLES)
        execute_values(cursor, "INSERT INTO variant VALUES %s", [(n, 1_000_000) for n in range(1, VARIANTS + 1)])
        columns = [(o["id"], "pending", o["total"], o["currency"], "") for o in orders]
        execute_values(cursor, "INSERT INTO shop_order (id, status, total, currency, email) VALUES %s", columns)
        lines = [(o["id"], *line) for o in orders for line in o["lines"]]
        execute_values(cursor, "INSERT INTO line VALUES %s", lines)
        pending = [(o["id"], o["reference"], "pending") for o in orders]
        execute_values(cursor, "INSERT INTO payment (order_id, reference, status) VALUES %s", pending)
    link.close()
    return name


def count(database: str, statement: str) -> int:
    link = psycopg2.connect(address_of(database))
    with link, link.cursor() as cursor:
        cursor.execute(statement)
        found = int(cursor.fetchone()[0])
    link.close()
    return found


def portions(events: Events, rounds: int) -> list[Events]:
    size = (len(events) - WARM) // rounds
    return [events[WARM + size * number : WARM + size * (number + 1)] for number in range(rounds)]


def sender(server: Server, events: Events, rounds: int) -> Callable[[int], Cost]:
    server.send(events[:WARM])  # imports and connections are paid by now
    parts = portions(events, rounds)
    return lambda number: server.send(parts[number])


def by_workers(server: Server, events: Events, rounds: int) -> Callable[[int], Cost]:
    """Acknowledged by a server, settled afterwards by the loop, which runs in this process."""
    acknowledge = sender(server, events, rounds)
    all_done(inbox.process_due)

    def both(number: int) -> Cost:
        one = acknowledge(number)
        other = cost_here(lambda: all_done(inbox.process_due))
        return Cost(one.shop + other.shop, one.database + other.database, 1 / (1 / one.rate + 1 / other.rate))

    return both


def all_done(job: Callable[[], int]) -> int:
    return sum(iter(job, 0))


def run(*, events: int, rounds: int) -> list[Row]:
    """`events` in each round."""
    with sandbox() as stripe, ExitStack() as open_now:
        say(f"Buying {2 * (events * rounds + WARM)} orders at the sandbox …")
        all_events = completed(buy(2 * (events * rounds + WARM), stripe))
        first, second = all_events[: len(all_events) // 2], all_events[len(all_events) // 2 :]

        def start(command: Sequence[str], **more: Any) -> Server:
            return open_now.enter_context(Server(command, **more))

        shop = {"database": SHOP, "path": WEBHOOK}
        waits = start([*GUNICORN, SHOP_APP], **shop, BENCH_WAKE="settle")
        queues = start([*GUNICORN, SHOP_APP], **shop, BENCH_WAKE="nothing")
        plain, bare = (plain_database(f"{RUN}_{name}", first) for name in ("limit", "bare"))
        limit_server = start([*GUNICORN, CEILING_APP], database=plain, path="/settle/")
        bare_server = start([*GUNICORN, CEILING_APP], database=bare, path="/settle/", BENCH_BARE="1")
        contenders = {
            "request": sender(waits, first, rounds),
            "workers": by_workers(queues, second, rounds),
            "limit": sender(limit_server, first, rounds),
            "bare": sender(bare_server, first, rounds),
        }
        try:
            for name, beside in djstripe.servers(first, VARIANTS).items():
                contenders[name] = sender(open_now.enter_context(beside), first, rounds)
        except Unavailable as reason:
            say(f"dj-stripe is left out, since this failed: {reason}")
        found = take_turns(contenders, rounds)
        settled = 2 * (events * rounds + WARM)
        assert Order.objects.filter(payment_status="paid").count() == settled
        assert StripeWebhookEvent.objects.filter(state="done", type="checkout.session.completed").count() == settled
        for name in (plain, bare):
            assert count(name, "SELECT count(*) FROM order_log") == settled // 2
    return rows(found)


def rows(found: dict[str, list[Cost]]) -> list[Row]:
    shop = found["request"]
    share, bare, queued = (ratio(found[name], shop) for name in ("limit", "bare", "limit"))
    queued = ratio(found["limit"], found["workers"])
    table = [
        Row("acknowledged and settled in the request (no broker)", told(shop)),
        Row("acknowledged, then settled by the loop (with a broker)", told(found["workers"])),
        Row("the practical limit: nine statements behind the same middleware and logging", told(found["limit"])),
        Row("the same with no middleware", told(found["bare"])),
        Row("whole job in the request, share of the limit", str(share), "≥ 0.5", share.median >= 0.5),
        Row("whole job by the loop, share of the limit", str(queued), "≥ 0.5", queued.median >= 0.5),
        Row("whole job in the request, share of the limit with no middleware", str(bare)),
    ]
    for name in found:
        if name.startswith("dj-stripe"):
            table.append(Row(name, told(found[name])))
    if shipped := found.get("dj-stripe as shipped"):
        times: Spread = ratio(shipped, shop)
        table.append(Row("CPU of dj-stripe as shipped, times the shop's", str(times), "≥ 5", times.median >= 5))
    return table
