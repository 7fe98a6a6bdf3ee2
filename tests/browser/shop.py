"""The demo as a newcomer has it: sandbox, shop and `work`, each in a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from tests.support.sandbox import SECRET_KEY, WEBHOOK_SECRET, Sandbox

ROOT = Path(__file__).resolve().parents[2]
SETTLE_SECONDS = 3.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], Any], seconds: float = 40.0) -> Any:
    """The first truthy answer; fails with the last one when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain, last seen: {found!r}"
        time.sleep(0.1)
    return found


class Shop:
    """A running shop with the demo's products. Reads the database file and the mail folder from outside."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="proshop-browser-"))
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.sandbox = Sandbox(webhook_url=f"{self.url}/api/payment/webhook/", settle_seconds=SETTLE_SECONDS)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PROSHOP_ENV_FILE": "",
            "DEBUG": "on",
            "STOREFRONT": "on",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DATABASE_URL": f"sqlite:///{self.folder / 'shop.sqlite3'}",
            "STRIPE_API_BASE": self.sandbox.address,
            "STRIPE_PUBLIC_KEY": "pk_test_proshop",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "FRONTEND_URL": self.url,
            "PUBLIC_URL": self.url,
            "EMAIL_URL": f"file://{self.mail}",
            "RATE_LIMITS": "off",
            "LATE_PAYMENT_POLICY": "staff",  # so that late money waits for somebody at the desk
        }
        self.manage("migrate", "--verbosity", "0")
        self.manage("seed_demo")
        self.start("runserver", "--noreload", str(port))
        self.start("work")
        eventually(self._answers, 30)

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=15)
        self.sandbox.__exit__(kind, error, trace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *arguments: str) -> None:
        log = (self.folder / f"{arguments[0]}.log").open("wb")
        command = [sys.executable, "manage.py", *arguments]
        self.processes.append(subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log))

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.folder / 'shop.sqlite3'}?mode=ro", uri=True, timeout=20)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def mails(self) -> list[str]:
        """Every e-mail so far, as it went out."""
        return [path.read_text(encoding="utf-8") for path in sorted(self.mail.iterdir())]

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/live/", timeout=2).ok
        except requests.ConnectionError:
            return False
