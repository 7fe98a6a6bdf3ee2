"""The same job by dj-stripe, in a virtual environment of its own that is made at first use and kept below var/."""

from __future__ import annotations

import json
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

from benchmarks.databases import RUN, address_of, create_database
from benchmarks.ground import SECRET_KEY, Server
from benchmarks.installing import environment_of
from benchmarks.measure import say
from tests.support.processes import environment
from tests.support.sandbox import WEBHOOK_SECRET

PROJECT = Path(__file__).parent / "djstripe_shop"


def rows_of(events: list[dict[str, Any]], variants: int) -> list[dict[str, Any]]:
    """Orders of two lines for these events, each with the payment that its event names."""
    sessions = [event["data"]["object"] for event in events]
    return [
        {
            "id": number,
            "total": session["amount_total"],
            "currency": session["currency"],
            "reference": session["client_reference_id"],
            "lines": [(1 + number % variants, 1), (1 + (number + 1) % variants, 2)],
        }
        for number, session in enumerate(sessions, start=1)
    ]


def servers(events: list[dict[str, Any]], variants: int) -> dict[str, Server]:
    """gunicorns like the shop's, whose databases wait for these events. Raises Unavailable."""
    interpreter = environment_of("djstripe", PROJECT / "requirements.txt")
    endpoint = str(uuid.uuid4())
    shipped = create_database(f"{RUN}_djstripe")
    told = {"endpoint": endpoint, "secret": WEBHOOK_SECRET, "variants": variants, "orders": rows_of(events, variants)}
    say("Migrating dj-stripe's tables …")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(told, file)
        file.flush()
        env = environment(DATABASE_URL=address_of(shipped), STRIPE_SECRET_KEY=SECRET_KEY)
        subprocess.run([interpreter, "prepare.py", file.name], cwd=PROJECT, env=env, check=True)
    callback = create_database(f"{RUN}_djstripe_callback", copy_of=shipped)
    command = [interpreter, "-m", "gunicorn", "--chdir", str(PROJECT), "wsgi"]
    path = f"/stripe/webhook/{endpoint}/"
    return {
        "dj-stripe as shipped": Server(command, database=shipped, path=path),
        "dj-stripe, callback mode": Server(command, database=callback, path=path, BENCH_CALLBACK="1"),
    }
