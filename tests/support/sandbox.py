"""A running sandbox: Stripe as far as a test is concerned, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

SECRET_KEY = "sk_test_proshop"
WEBHOOK_SECRET = "whsec_tests_current"


class Sandbox:
    """Starts the sandbox on a free port and speaks to its `/_control/` calls."""

    def __init__(self, *, webhook_url: str = "", settle_seconds: float = 3600.0, secret_key: str = SECRET_KEY) -> None:
        self.headers = {"Authorization": f"Bearer {secret_key}"}
        self.folder = tempfile.TemporaryDirectory(prefix="proshop-sandbox-")
        command = [sys.executable, "-m", "apps.sandbox", "--port", "0", "--settle-seconds", str(settle_seconds)]
        command += ["--db", str(Path(self.folder.name) / "sandbox.sqlite3"), "--webhook-url", webhook_url]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder.name,
            "STRIPE_SECRET_KEY": secret_key,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, f"the sandbox did not start: {line!r}"
        self.address = found[0]

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        self.folder.cleanup()

    def control(self, name: str, **body: Any) -> dict[str, Any]:
        """One POST to a control call; fails the test when the sandbox refuses it."""
        answer = requests.post(f"{self.address}/_control/{name}", json=body, timeout=20)
        assert answer.status_code == 200, (name, answer.status_code, answer.text)
        return answer.json()

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """The newest objects of a kind, newest first."""
        answer = requests.get(f"{self.address}/_control/objects", params={"object": kind}, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def events(self) -> list[dict[str, Any]]:
        """Every event so far, oldest first, as Stripe would sign it."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get("/v1/events", limit=100, **({"starting_after": cursor} if cursor else {}))
            found += page["data"]
            if not page["has_more"]:
                return found[::-1]
            cursor = page["data"][-1]["id"]

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = requests.get(self.address + path, params=params, headers=self.headers, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, **form: str) -> dict[str, Any]:
        """One call of the API as anybody with the key could make it."""
        answer = requests.post(self.address + path, data=form, headers=self.headers, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def pay(self, session_id: str, payment_method: str = "pm_card_visa") -> dict[str, Any]:
        """Pay a session as its hosted page does."""
        return self.control(f"sessions/{session_id}/pay", payment_method=payment_method, email="buyer@example.com")

    def faults(self, kind: str, *, path: str = "/v1/checkout/sessions", times: int = 1, **more: Any) -> None:
        self.control("faults", path=path, kind=kind, times=times, **more)
