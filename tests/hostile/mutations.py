"""Events of Stripe made wrong in a hundred ways: the same number and seed make the same bytes again.

`mutate` takes an event as Stripe would send it and gives the bytes of one that nobody would expect. Most stay
snapshot events, so that they get past the webhook and into a handler.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from apps.payment.webhooks.handlers import HANDLERS

Event = dict[str, Any]
Place = tuple[Any, Any]
"""A dictionary or list, and the key or index of one value in it."""

TYPES = (*HANDLERS, "customer.created", "invoice.paid", "payment_intent.created", "v2.core.event", "x" * 100, "a b")
STATUSES = (
    "open complete expired paid unpaid no_payment_required succeeded processing requires_action requires_capture "
    "requires_payment_method requires_confirmation canceled failed pending won lost needs_response warning_closed "
    "under_review prevented refunded COMPLETE paid\u0000"
).split(" ")
WORDS = (
    "",
    " ",
    "\u0000",
    "\ud800",
    "\udfff\ud800",
    "\u202eevil\u202c",
    "e\u0301" * 50,
    "\U0001f9ff" * 20,
    "\uff11\uff12\uff13",
    "\r\nSet-Cookie: a=b",
    '=HYPERLINK("http://x")',
    "<script>alert(1)</script>",
    "'; DROP TABLE orders_order; --",
    "{{ 7*7 }}",
    "../../v1/charges",
    "%00%2e%2e",
    "a@b.example, c@d.example",
    "null",
    "x" * 300,
    "y" * 5000,
)
NUMBERS = (0, -1, 1, True, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**4000, 0.5, 1e308, 99_999_999)
STRANGE = (None, [], {}, [[]], [None], [{}], {"id": None}, {"": ""}, float("inf"), float("-inf"), float("nan"))
SENTINEL = "@@raw@@"
RAW_VALUES = ("1e400", "-1e400", "1E-999", "-0", "1" * 4000, "1" * 5000, "NaN", "Infinity", '"\\u0000"', '"\\ud83d"')


@dataclass(frozen=True)
class Known:
    """Ids that mean something to the shop or to Stripe, to be put where they do not belong."""

    ids: Sequence[str]
    references: Sequence[str]


def mutate(event: Event, rng: random.Random, known: Known, *, event_id: str) -> bytes:
    """The bytes of a wrong version of an event, under an id of its own but for one in twenty."""
    event = copy.deepcopy(event)
    if rng.random() > 0.05:
        event["id"] = event_id
    for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5))):
        # What an earlier change left of the event may hold no more place for the next one.
        rng.choice(CHANGES)(event, rng, known)
    return rng.choice(WRITERS)(event, rng)


def places(value: Any, depth: int = 0) -> Iterator[Place]:
    """Every value below this one with where it stands."""
    if depth > 40:
        return
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in list(found):
        yield value, key
        yield from places(below, depth + 1)


def _somewhere(event: Event, rng: random.Random, wanted: Callable[[Any, Any], bool] = lambda key, value: True) -> Place:
    """A random place, three times in four within the object that the event tells of."""
    told = event.get("data")
    root = told if isinstance(told, dict) and rng.random() < 0.75 else event
    found = [(holder, key) for holder, key in places(root) if wanted(key, holder[key])]
    return rng.choice(found) if found else ({"": None}, "")


def drop(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng)
    del holder[key]


def retype(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng)
    holder[key] = copy.deepcopy(rng.choice((rng.choice(STRANGE), rng.choice(WORDS), rng.choice(NUMBERS), SENTINEL)))


def change_amount(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng, lambda key, value: isinstance(value, int) and not isinstance(value, bool))
    was = holder[key] if isinstance(holder[key], int) and abs(holder[key]) < 2**60 else 0
    holder[key] = rng.choice((was + 1, was - 1, -was, was * 100, was // 100, float(was), str(was), *NUMBERS))


def change_currency(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng, lambda key, value: key == "currency")
    holder[key] = rng.choice(("eur", "EUR", "jpy", "kwd", "xxx", "us", "usdd", "", None, 7, rng.choice(WORDS)))


def change_status(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng, lambda key, value: isinstance(key, str) and key.endswith("status"))
    holder[key] = rng.choice(STATUSES)


def change_type(event: Event, rng: random.Random, known: Known) -> None:
    event["type"] = rng.choice(TYPES)


def swap_id(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng, lambda key, value: isinstance(value, str) and "_" in value)
    holder[key] = rng.choice((*rng.choices(known.ids, k=6), *rng.choices(known.references, k=3), rng.choice(WORDS)))


def change_reference(event: Event, rng: random.Random, known: Known) -> None:
    """Say that the event is about another payment, by one of the ways in which objects name theirs."""
    data = event.get("data")
    told = data.get("object") if isinstance(data, dict) else None
    if not isinstance(told, dict):
        return
    reference = rng.choice((*rng.choices(known.references, k=4), "pp_", "pp_" + "x" * 300, "pp_\ud800", "pp_\u0000", 7))
    if rng.random() < 0.5:
        told["client_reference_id"] = reference
    else:
        told["metadata"] = rng.choice(({"proshop_payment": reference}, [reference], reference, {"proshop_payment": {}}))


def expand(event: Event, rng: random.Random, known: Known) -> None:
    """Where an id stands, put an object, and where an object stands, its id."""
    holder, key = _somewhere(
        event, rng, lambda key, value: isinstance(value, dict) or (isinstance(value, str) and "_" in value[:5])
    )
    value = holder[key]
    if isinstance(value, dict):
        holder[key] = value.get("id", "x_1")
    else:
        holder[key] = rng.choice(({"id": value}, {"object": "charge"}, [value], {"id": {"id": value}}))


def spoil_text(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng, lambda key, value: isinstance(value, str))
    text = str(holder[key])
    at = rng.randrange(len(text) + 1)
    holder[key] = text[:at] + rng.choice(WORDS) + text[at:]


def rename_key(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng, lambda key, value: isinstance(key, str))
    if isinstance(holder, dict):
        holder[rng.choice((str(key).upper(), str(key) + " ", rng.choice(WORDS)))] = holder.pop(key)


def nest(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng)
    # json, written in C, gives up near Python's own limit of a thousand: just below is as telling as far above.
    for _ in range(rng.choice((1, 2, 31, 200, rng.randrange(850, 1000)))):
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"id": holder[key]}


def swell(event: Event, rng: random.Random, known: Known) -> None:
    holder, key = _somewhere(event, rng)
    size = rng.choice((1_000, 20_000, 20_000, 200_000)) if rng.random() < 0.2 else 300
    holder[key] = rng.choice(
        ("s" * size, "\u20ac" * size, ["x"] * (size // 4), {f"k{n}": n for n in range(size // 10)})
    )


def shuffle_keys(event: Event, rng: random.Random, known: Known) -> None:
    for holder, key in list(places(event)):
        value = holder[key]
        if isinstance(value, dict):
            items = list(value.items())
            rng.shuffle(items)
            value.clear()
            value.update(items)
        elif isinstance(value, list):
            rng.shuffle(value)


def change_envelope(event: Event, rng: random.Random, known: Known) -> None:
    """What stands around the object: the mode, the time, the version, who sent it."""
    field, values = rng.choice(
        (
            ("livemode", (True, False, None, "false", 0)),
            ("created", (0, 1, 2**31, 2**32 - 1, 2**32, -1, 1.5, "1790000000", True)),
            ("api_version", (None, 7, "2010-01-01", {}, *WORDS)),
            ("object", ("event", "event", "charge", None, "v2.core.event")),
            ("account", ("acct_1", None, 7)),
            ("pending_webhooks", (-1, None, "many")),
            ("request", (None, "req_1", {"id": 7, "idempotency_key": []})),
        )
    )
    event[field] = rng.choice(values)


CHANGES: tuple[Callable[[Event, random.Random, Known], None], ...] = (
    drop,
    drop,
    retype,
    retype,
    change_amount,
    change_amount,
    change_currency,
    change_status,
    change_status,
    change_type,
    swap_id,
    swap_id,
    change_reference,
    expand,
    spoil_text,
    spoil_text,
    rename_key,
    nest,
    swell,
    shuffle_keys,
    change_envelope,
)


def _dump(event: Event, **options: Any) -> str:
    try:
        return json.dumps(event, **options)
    except RecursionError:
        return '{"object": "event", "data": ' + "[" * 3000
    except ValueError:  # an integer beyond what Python writes out
        return json.dumps(event, default=str, skipkeys=True).replace("1e308", "1" * 5000)


def write_plainly(event: Event, rng: random.Random) -> bytes:
    text = _dump(event)
    while f'"{SENTINEL}"' in text:
        text = text.replace(f'"{SENTINEL}"', rng.choice(RAW_VALUES), 1)
    return text.encode()


def write_unescaped(event: Event, rng: random.Random) -> bytes:
    """As Stripe writes: UTF-8, indented. Halves of surrogate pairs become bytes that are no UTF-8."""
    return _dump(event, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass")


def write_twice(event: Event, rng: random.Random) -> bytes:
    """A key that stands twice: the later one counts for some readers, the earlier for others."""
    text = _dump(event)
    key = rng.choice(("id", "object", "type", "data", "livemode", "created"))
    return (text[:-1] + f', "{key}": ' + json.dumps(rng.choice((None, "x", {}, event.get("id")))) + "}").encode()


def write_broken(event: Event, rng: random.Random) -> bytes:
    data = _dump(event).encode()
    at = rng.randrange(len(data))
    return rng.choice(
        (
            data[:at],
            data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
            b"\xef\xbb\xbf" + data,
            data.decode().encode("utf-16"),
            data + b"\xff\xfe",
            data + data,
            b"[" + data + b"]",
            data + b" " * rng.choice((10, 1_100_000)),
        )
    )


WRITERS: tuple[Callable[[Event, random.Random], bytes], ...] = (
    *(write_plainly,) * 8,
    write_unescaped,
    write_unescaped,
    write_twice,
    write_broken,
)
