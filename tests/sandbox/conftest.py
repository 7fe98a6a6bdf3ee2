"""One sandbox process for all tests of this folder, driven by the real `stripe` library over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

API_KEY = "sk_test_51SandboxTests"
ENDIVE = "2026-10-28.endive"
SECRET = "whsec_sandboxtests"
ENVIRONMENT = {
    "STRIPE_SECRET_KEY": API_KEY,
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "STRIPE_PUBLIC_KEY": "",
    "PAYMENT_ENV": "test",
}
ROOT = Path(__file__).resolve().parents[2]

stripe.enable_telemetry = False


class Receiver:
    """A webhook endpoint that verifies signatures and remembers what it got. `answer` is what it says."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], int] = lambda event: 200
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                header = self.headers["Stripe-Signature"]
                stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, tolerance=300)
                event = json.loads(body)
                with receiver.lock:
                    receiver.events.append(event)
                self.send_response(receiver.answer(event))
                self.end_headers()

            def do_GET(self) -> None:
                """The shop's pages that buyers are sent back to."""
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"Thank you")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # With the usual five, a burst of deliveries finds no room, and who is not let in tries again seconds later.
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def types(self, object_id: str | None = None) -> list[str]:
        """Types of the received events in order of arrival, of one object if named."""
        with self.lock:
            return [e["type"] for e in self.events if object_id in (None, e["data"]["object"]["id"])]

    def clear(self) -> None:
        with self.lock:
            self.events.clear()
        self.answer = lambda event: 200

    def wait(self, wanted: Callable[[], bool], seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < deadline, f"waited in vain; received {self.types()}"
            time.sleep(0.02)


class Box:
    """A running sandbox: its address, a client for it, its control calls."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        self.stripe = self.client()

    def client(self, **options: Any) -> stripe.StripeClient:
        return stripe.StripeClient(
            API_KEY, base_addresses={"api": self.url}, http_client=stripe.RequestsClient(timeout=20), **options
        )

    def control(self, call: str, **body: Any) -> dict[str, Any]:
        response = requests.post(f"{self.url}/_control/{call}", json=body, timeout=60)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def look(self, call: str, **query: Any) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/_control/{call}", params=query, timeout=20).json()
        return answer

    def raw(self, method: str, path: str, data: str = "", **headers: str) -> requests.Response:
        """One call without the library; keyword arguments are headers, `_` stands for `-`."""
        sent = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/x-www-form-urlencoded"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, self.url + path, data=data, headers=sent, timeout=20)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


def launch(db: Path, webhook_url: str = "", *arguments: str, **environment: str) -> Box:
    """Start a sandbox on a free port and wait for its line."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "apps.sandbox",
            "--port",
            "0",
            "--db",
            str(db),
            "--webhook-url",
            webhook_url,
            *arguments,
        ],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Sandbox listening on "), line
    return Box(process, line.split()[-1])


@pytest.fixture(scope="session")
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(scope="session")
def running_box(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Box]:
    running = launch(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3", receiver.url)
    yield running
    with contextlib.suppress(ProcessLookupError):
        running.stop()


@pytest.fixture
def box(running_box: Box, receiver: Receiver) -> Box:
    """The shared sandbox, empty and without rules."""
    running_box.control("reset")
    receiver.clear()
    return running_box


def price_data(amount: int = 1500, currency: str = "usd", name: str = "Gloves") -> dict[str, Any]:
    return {"currency": currency, "unit_amount": amount, "product_data": {"name": name}}


@pytest.fixture
def new_session(box: Box) -> Callable[..., stripe.checkout.Session]:
    """Make an open session for two pairs of gloves, 30.00 USD; keyword arguments change its parameters."""

    def make(currency: str = "usd", amount: int = 1500, **params: Any) -> stripe.checkout.Session:
        given: dict[str, Any] = {
            "mode": "payment",
            "line_items": [{"price_data": price_data(amount, currency), "quantity": 2}],
            "success_url": "https://shop.example/success?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.example/cancel",
            **params,
        }
        return box.stripe.v1.checkout.sessions.create(given)  # type: ignore[arg-type]

    return make


def refusal(call: Callable[..., Any], *arguments: Any) -> tuple[str | None, str | None]:
    """The error of a call that must be refused as invalid: (code, param)."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.param


@pytest.fixture
def pay(box: Box) -> Callable[..., stripe.PaymentIntent]:
    """A paid intent of 20.00; keyword arguments change its parameters."""

    def make(method: str = "pm_card_visa", **params: Any) -> stripe.PaymentIntent:
        given = {"amount": 2000, "currency": "usd", "payment_method": method, "confirm": True, **params}
        return box.stripe.v1.payment_intents.create(given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def news(box: Box) -> Callable[[str], list[str]]:
    """Types of all events about an object, oldest first."""

    def types(object_id: str) -> list[str]:
        found = box.look("events", limit=200)["data"][::-1]
        return [e["type"] for e in found if e["data"]["object"]["id"] == object_id]

    return types


def charge_of(box: Box, intent: stripe.PaymentIntent) -> stripe.Charge:
    return box.stripe.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]})
