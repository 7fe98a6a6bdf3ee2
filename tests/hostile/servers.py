"""The shop behind a real server, on the database of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.support.processes import PYTHON, Process, environment, eventually, free_port


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health/live/", timeout=2).status_code == 200
    except requests.RequestException:
        return False


@contextmanager
def serving(**more: str) -> Iterator[int]:
    """gunicorn with two processes of four threads; the port on which it listens."""
    port = free_port()
    command = [
        PYTHON,
        "-m",
        "gunicorn",
        "proshop.wsgi",
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        "2",
        "--threads",
        "4",
    ]
    env = environment(PROSHOP_ROLE="web", LOG_LEVEL="ERROR", **more)
    with Process(command, env) as server:
        eventually(lambda: server.runs and _answers(port))
        yield port
