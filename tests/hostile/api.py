"""Attack every call of the API with what its OpenAPI schema allows, and with what it does not.

    python -m tests.hostile.api --count 50000 --seed 1 --background

Schemathesis makes the cases from the schema that the shop hands out. They are sent through the WSGI application as
nobody, as a buyer and as staff; ids and tokens of real objects, of the caller's and of others, stand in most of them.
No answer may be a 5xx, and each must have a status, a type and a shape that the schema names.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.hostile.runs import Faults, Run, detach, parser, set_up

MODULE = "tests.hostile.api"
UNIT = 12
"""Cases of one call by one caller before the next call has its turn."""

KEYS = ("a", "key-1", "key-2", "\u00e9", "x" * 255, "x" * 256, '"quoted"', "a, b")
ODD_HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Idempotency-Key", KEYS),
    ("X-Cart-Token", ("", "x", "0" * 32, "\u00fc" * 10, "a" * 5000, "null")),
    ("X-Order-Token", ("", "x", "v1.x.y", "\u00fc" * 10, "a" * 5000, "null")),
    (
        "Authorization",
        ("Token", "Token x", "Token \u00fc", "Token a b", "Bearer x", "Basic eDp5", "Token " + "a" * 5000),
    ),
    ("Cookie", ("sessionid=x", "sessionid=" + "\u00fc" * 40, "csrftoken=x; sessionid=", "=;;=", "a" * 5000)),
    ("X-Forwarded-For", ("1.2.3.4", "x", ",,,", "::1, 1.2.3.4", "1" * 500)),
    ("Accept-Language", ("de", "x" * 500, "\u00fc", "*;q=0", "../../etc/passwd")),
    ("Accept", ("application/json", "*/*", "application/*;q=0.1", "x", "")),
    ("Content-Encoding", ("gzip", "br", "x")),
    ("X-HTTP-Method-Override", ("DELETE", "x")),
    ("X-Request-ID", ("x", "a\u00fc", "x" * 5000)),
    ("Range", ("bytes=0-1", "bytes=-1", "x")),
    ("If-None-Match", ("*", '"x"')),
    ("Referer", ("https://evil.example/", "x")),
    ("Origin", ("https://evil.example", "null", "x")),
)


def units(seed: int) -> Iterator[tuple[str, int]]:
    """Which caller has its turn with which call; without an end."""
    from tests.hostile.callers import CALLERS

    turn = 0
    while True:
        order = [(caller, turn) for caller in CALLERS]
        random.Random(f"{seed}:{turn}").shuffle(order)
        yield from order
        turn += 1


class Attack:
    """Sends the cases of a schema and looks at the answers."""

    def __init__(self, run: Run, seed: int, schema: Any) -> None:
        self.run, self.seed = run, seed
        self.operations = [found.ok() for found in schema.get_all_operations()]
        self.faults = Faults(run)

    def turn(self, stripe: Any, caller_name: str, number: int, unit: int, until: int) -> None:
        """One caller, with objects made for this turn, tries every call."""
        from tests.hostile.callers import make_caller

        caller = make_caller(stripe, caller_name, f"{self.seed}-{number}-{self.run.done}")
        # In another order each time: what one call ends, the next does not find.
        shuffled = random.Random(f"{self.seed}:{number}:{caller_name}").sample(self.operations, len(self.operations))
        for place, operation in enumerate(shuffled):
            left = min(unit, until - self.run.done)
            if left <= 0:
                return
            label = f"{operation.method.upper()} {operation.path}"
            self.faults.case = f"{label} as {caller_name}, turn {number}"
            caller.sign_in()  # a call before may have ended the last sign-in

            def send(case: Any, dice: int, label: str = label) -> None:
                self.send(case, random.Random(dice), caller, label)

            draw(operation, left, hash_of(self.seed, number, caller_name, place), send)

    def send(self, case: Any, rng: random.Random, caller: Any, label: str) -> None:
        dress(case, rng, caller)
        response = case.call(headers=headers(rng, caller))
        self.run.done += 1
        self.run.count("answers", response.status_code)
        self.run.count(f"as {caller.name}", response.status_code)
        self.run.count(f"call {label}", response.status_code)
        for problem in problems(case, response):
            self.run.count("problems", f"{label}: {response.status_code}: {problem}")
            if self.run.counts["problems"][f"{label}: {response.status_code}: {problem}"] <= 3:
                body = getattr(case, "body", None)
                self.run.find(
                    problem,
                    call=label,
                    caller=caller.name,
                    status=response.status_code,
                    path=case.formatted_path,
                    query=repr(case.query)[:500],
                    body=repr(body)[:1000],
                    answer=response.content[:500].decode("utf-8", "replace"),
                )


def hash_of(*parts: object) -> int:
    return random.Random(":".join(map(str, parts))).getrandbits(63)


def draw(operation: Any, count: int, seed: int, send: Callable[[Any, int], None]) -> None:
    """Have hypothesis make this many cases of a call, half of them against its schema where that can be."""
    import hypothesis
    from hypothesis import strategies
    from hypothesis.errors import InvalidArgument, Unsatisfiable
    from schemathesis import GenerationMode

    def attempt(count: int, *modes: GenerationMode) -> None:
        made = 0

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(
            strategies.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]),
            strategies.integers(0, 2**63),
        )
        def every(case: Any, dice: int) -> None:
            nonlocal made
            if made < count:
                made += 1
                send(case, dice)

        every()

    try:
        attempt(count, GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    except (Unsatisfiable, InvalidArgument):
        attempt(count, GenerationMode.POSITIVE)


def dress(case: Any, rng: random.Random, caller: Any) -> None:
    """Put what exists where the schema only knows a form: in the path, the query and the body."""
    for holder in (case.path_parameters, case.query, case.body):
        if isinstance(holder, dict):
            _replace(holder, rng, caller)


def _replace(holder: dict[str, Any], rng: random.Random, caller: Any) -> None:
    for name, value in holder.items():
        known = caller.values.get(name)
        if known and rng.random() < 0.7:
            holder[name] = rng.choice(known)
        elif isinstance(value, dict):
            _replace(value, rng, caller)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    _replace(each, rng, caller)


def headers(rng: random.Random, caller: Any) -> dict[str, str]:
    found = {name: rng.choice(values) for name, values in caller.headers.items() if rng.random() < 0.8}
    if rng.random() < 0.2:
        found["Idempotency-Key"] = rng.choice(KEYS)
    if rng.random() < 0.15:
        name, values = rng.choice(ODD_HEADERS)
        found[name] = rng.choice(values)
    return found


def problems(case: Any, response: Any) -> list[str]:
    """What schemathesis has against an answer; its four checks of the schema, and anything from 500 on."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]
    try:
        case.validate_response(response, checks=checks)
    except FailureGroup as group:
        return [f"{failure.title}: {failure.message}"[:300] for failure in group.exceptions]
    return []


def attack(run: Run, sandbox: Any, *, count: int, seed: int, unit: int = UNIT) -> None:
    """Go on from where the run is until `count` cases were sent, on the database that Django was set up with."""
    import schemathesis
    from django.core.wsgi import get_wsgi_application

    from tests.support.shop import Stripe

    # Not proshop.wsgi, which makes a web server of the whole process and what it starts.
    schema = schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())
    schema.config.generation.with_security_parameters = False  # callers bring tokens of their own
    attacker = Attack(run, seed, schema)
    with attacker.faults.listening():
        for place, (caller, number) in enumerate(units(seed)):
            if place < run.turns:
                continue
            if run.done >= count:
                break
            attacker.turn(Stripe(sandbox), caller, number, unit, count)
            run.turns = place + 1
            run.save()
            run.tell()


def main(arguments: list[str]) -> int:
    options = parser(MODULE, "Send schemathesis's cases to every call of the API.", count=50_000)
    chosen = options.parse_args(arguments)
    folder = chosen.folder or Path("var/hostile") / f"api-{chosen.seed}"
    if chosen.background:
        return detach(MODULE, folder, arguments)
    run = Run(folder, seed=chosen.seed, database=chosen.database.partition(":")[0] or "sqlite")
    if run.resume():
        run.tell()
    set_up(chosen.database, folder)
    from django.conf import settings

    from tests.support.sandbox import Sandbox

    with Sandbox() as sandbox:
        settings.STRIPE_API_BASE = sandbox.address
        attack(run, sandbox, count=chosen.count, seed=chosen.seed)
    for problem, times in run.counts.get("problems", {}).items():
        sys.stdout.write(f"{times} times {json.dumps(problem)}\n")
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
