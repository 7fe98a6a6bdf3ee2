"""A shop with something on its shelves, and a frontend that speaks to it as a browser's would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import stripe
from django.db import connections
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import Category, Price, Product, ProductVariant
from proshop import work as loop
from tests.support.sandbox import WEBHOOK_SECRET, Sandbox


def make_variant(
    sku: str = "MUG-1", *, price: int = 1250, stock: int | None = 5, kind: str = "physical", currency: str = "USD"
) -> ProductVariant:
    """One buyable variant; `price` in minor units."""
    category, _ = Category.objects.get_or_create(slug="things", defaults={"name": "Things"})
    product = Product.objects.create(slug=sku.lower(), name=f"Product {sku}", category=category, kind=kind)
    variant = ProductVariant.objects.create(product=product, sku=sku, stock=stock, opening_stock=stock)
    Price.objects.create(variant=variant, currency=currency, amount=price)
    return variant


def make_user(email: str = "buyer@example.com") -> User:
    return User.objects.create_user(email, "correct horse battery")


class Shop:
    """One buyer's frontend: keeps the cart token, sends JSON, never follows a redirect."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client()
        self.cart_token = ""
        if user:
            self.client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        if self.cart_token:
            headers.setdefault("X-Cart-Token", self.cart_token)
        return self.client.generic(
            method,
            path,
            json.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers=headers,
        )

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.call("POST", path, body or {}, **headers)

    def add(self, variant: ProductVariant, quantity: int = 1) -> HttpResponse:
        answer = self.post("/api/cart/add/", {"variant_id": variant.pk, "quantity": quantity})
        if answer.status_code == 201 and answer.json()["token"]:
            self.cart_token = answer.json()["token"]
        return answer

    def checkout(self, **body: Any) -> HttpResponse:
        return self.post("/api/payment/checkout/", body)

    def buy(self, stripe: Stripe, payment_method: str = "pm_card_visa", **body: Any) -> dict[str, Any]:
        """Check the cart out on Stripe's page and pay there; the answer of the checkout."""
        bought = self.checkout(**body).json()
        stripe.pay(bought["session_id"], payment_method)
        stripe.digest()
        return bought

    def retry(self, bought: Mapping[str, Any]) -> HttpResponse:
        return self.post(
            "/api/payment/checkout/",
            {"order_number": bought["order_number"]},
            **{"X-Order-Token": bought["order_token"]},
        )

    def status(self, session_id: str) -> dict[str, Any]:
        answer = self.get(f"/api/payment/status/?session_id={session_id}")
        assert answer.status_code == 200, answer.content
        return answer.json()


def sign(event: Mapping[str, Any] | bytes, secret: str = WEBHOOK_SECRET) -> tuple[bytes, str]:
    """The raw body and Stripe-Signature header with which Stripe would send an event."""
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = stripe.WebhookSignature.generate_signature_header(payload.decode(), secret)
    return payload, header


def deliver(event: Mapping[str, Any] | bytes, path: str = "/api/payment/webhook/") -> HttpResponse:
    """Send one event to the shop, signed."""
    payload, header = sign(event)
    return Client().post(path, payload, content_type="application/json", headers={"Stripe-Signature": header})


class Stripe:
    """The sandbox together with the way its events take to the shop in the test's own process."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.delivered: set[str] = set()

    def pay(self, session_id: str, payment_method: str = "pm_card_visa") -> dict[str, Any]:
        return self.sandbox.pay(session_id, payment_method)

    def new_events(self) -> list[dict[str, Any]]:
        """Events that were not handed out before, oldest first."""
        fresh = [event for event in self.sandbox.events() if event["id"] not in self.delivered]
        self.delivered |= {event["id"] for event in fresh}
        return fresh

    def deliver_new(self) -> list[str]:
        """Deliver what is new, in order. Returns the types."""
        events = self.new_events()
        for event in events:
            answer = deliver(event)
            assert answer.status_code == 200, (event["type"], answer.content)
        return [event["type"] for event in events]

    def digest(self) -> list[str]:
        """Deliver what is new and do the work behind it, also what has to ask Stripe. Returns the types.

        E-mails stay in their queue: with its invoice one takes longer to print than all the rest does.
        """
        types = self.deliver_new()
        work(mails=False)
        return types

    def settle_later_work(self, seconds: float = 4000) -> list[str]:
        """Let what is under way at Stripe come to its end, and digest what it tells."""
        self.sandbox.control("advance", seconds=seconds)
        return self.digest()


def work(*, mails: bool = True) -> None:
    """What `manage.py work --once` does."""
    for _ in range(50):
        if not sum(loop.run_job(name) for name in loop.JOBS if mails or name != "mails"):
            return
    raise AssertionError("the work never ended")


def in_parallel(jobs: Iterable[Callable[[], Any]], *, threads: int) -> list[Any]:
    """Run jobs in threads with a connection of their own each, all starting at the same moment.

    Returns what the jobs returned, in their order; an error that a job raised is its result.
    """
    jobs = list(jobs)
    results: list[Any] = [None] * len(jobs)
    waiting = iter(range(len(jobs)))
    turn = threading.Lock()
    crew = min(threads, len(jobs))
    gate = threading.Barrier(crew)

    def work() -> None:
        gate.wait(timeout=30)
        try:
            while True:
                with turn:
                    number = next(waiting, None)
                if number is None:
                    return
                try:
                    results[number] = jobs[number]()
                except Exception as error:
                    results[number] = error
        finally:
            connections.close_all()

    members = [threading.Thread(target=work) for _ in range(crew)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    return results
