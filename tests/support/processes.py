"""The shop's own processes, on the database of the running test, and a mail server that takes its time."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from tests.support.sandbox import SECRET_KEY, WEBHOOK_SECRET

PYTHON = sys.executable


def eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first truthy answer; fails with the last one when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain, last seen: {found!r}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def database_url() -> str:
    """The test's own database, as DATABASE_URL names it."""
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    person = quote(facts["USER"]) + (f":{quote(facts['PASSWORD'])}" if facts["PASSWORD"] else "")
    host = quote(facts["HOST"] or "localhost", safe="")
    return f"postgres://{person}@{host}:{facts['PORT'] or 5432}/{facts['NAME']}"


def environment(**more: str) -> dict[str, str]:
    """What a process of the shop is given, and nothing of the developer's own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": tempfile.gettempdir(),
        "PYTHONUNBUFFERED": "1",
        "PROSHOP_ENV_FILE": "",
        "DEBUG": "on",
        "SECRET_KEY": settings.SECRET_KEY,
        "DATABASE_URL": database_url(),
        "STRIPE_API_BASE": settings.STRIPE_API_BASE,
        "STRIPE_PUBLIC_KEY": "pk_test_proshop",
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "EMAIL_URL": "memory:",
        "RATE_LIMITS": "off",
    } | more


class Process:
    """One process with all its children; what it says stands in `log`. Gone, whatever becomes of the test."""

    def __init__(self, command: list[str], env: dict[str, str], pass_fds: tuple[int, ...] = ()) -> None:
        self.file = Path(tempfile.mkstemp(prefix="proshop-process-")[1])
        with self.file.open("wb") as log:
            self.popen = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        if error:
            sys.stdout.write(self.log)
        self.file.unlink()

    @property
    def log(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    @property
    def runs(self) -> bool:
        return self.popen.poll() is None

    def says(self, words: str) -> bool:
        """Whether these words were said; fails the test when the process ended without them."""
        said = words in self.log
        assert said or self.runs, self.log
        return said

    def ask_to_end(self) -> None:
        self.popen.send_signal(signal.SIGTERM)

    def end(self, seconds: float = 60.0) -> int:
        """The exit code, once it has ended by itself."""
        return self.popen.wait(seconds)

    def kill(self) -> None:
        """kill -9 for it and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)


class SlowMailServer:
    """Takes mail over SMTP and answers for each only when the test lets it."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.in_hand = threading.Event()
        self.go_on = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                self.say("220 slow")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        self.say("354 go ahead")
                        text = b""
                        while (part := self.rfile.readline()) not in (b".\r\n", b""):
                            text += part
                        outer.in_hand.set()
                        outer.go_on.wait(60)
                        outer.taken.append(text.decode())
                    self.say("221 bye" if verb == b"QUIT" else "250 fine")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> SlowMailServer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()
