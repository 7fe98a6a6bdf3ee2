"""The official Stripe CLI drives the sandbox: a client that nobody here wrote.

`stripe trigger` calls a run successful when every answer was 2xx with an id, so these tests look at the objects
that it left behind and at the events that were delivered, not at its word.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import API_KEY, Box, Receiver

pytestmark = pytest.mark.cli

VERSION = "1.52.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "proshop" / f"stripe-cli-{VERSION}"
SHIPPED_TO = "Jenny Rosen"

Objects = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def executable() -> Path:
    """The CLI, installed once into the user's cache folder."""
    binary = CACHE / "node_modules" / ".bin" / "stripe"
    if binary.exists():
        return binary
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("the official Stripe CLI comes from npm, and npm is not installed")
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    # Installed beside and moved into place, so that parallel test processes do not see half of it.
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", folder, f"@stripe/cli@{VERSION}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm could not fetch the official Stripe CLI within five minutes")
        if done.returncode != 0:
            pytest.skip(f"npm could not install the official Stripe CLI: {done.stderr.strip()[-200:]}")
        shutil.copytree(folder, f"{folder}.ready", symlinks=True)
    with contextlib.suppress(OSError):
        Path(f"{folder}.ready").rename(CACHE)
    shutil.rmtree(f"{folder}.ready", ignore_errors=True)
    assert binary.exists()
    return binary


@pytest.fixture
def trigger(executable: Path, box: Box, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `stripe trigger` against the sandbox."""

    def run(event: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(executable), "trigger", event, "--api-base", box.url, "--api-key", API_KEY, *options]
        environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def objects(box: Box) -> Objects:
    return lambda kind: box.look("objects", object=kind)["data"]


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(found) == 1
    return found[0]


def expect_events(box: Box, receiver: Receiver, *types: str) -> None:
    """Exactly these events were emitted, and each was delivered once."""
    box.control("advance", seconds=2)
    emitted = [e["type"] for e in box.look("events")["data"]]
    assert sorted(emitted) == sorted(types)
    receiver.wait(lambda: len(receiver.events) >= len(types))
    assert sorted(receiver.types()) == sorted(types)


MADE = ("product.created", "price.created")


def test_session_completed(trigger, box, receiver, objects):
    assert trigger("checkout.session.completed").returncode == 0

    session, intent, charge = (only(objects(k)) for k in ("checkout.session", "payment_intent", "charge"))
    assert (session["status"], session["payment_status"], session["amount_total"]) == ("complete", "paid", 3000)
    assert session["payment_intent"] == intent["id"]
    assert (intent["status"], intent["amount"], intent["currency"]) == ("succeeded", 3000, "usd")
    assert (intent["latest_charge"], intent["shipping"]["name"]) == (charge["id"], SHIPPED_TO)
    expect_events(
        box,
        receiver,
        *MADE,
        "payment_intent.created",
        "charge.succeeded",
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.updated",
    )


def test_session_expired(trigger, box, receiver, objects):
    assert trigger("checkout.session.expired").returncode == 0

    session = only(objects("checkout.session"))
    assert (session["status"], session["payment_status"], session["url"]) == ("expired", "unpaid", None)
    expect_events(box, receiver, *MADE, "checkout.session.expired")


@pytest.mark.parametrize(
    ("outcome", "paid", "status", "events"),
    [
        ("succeeded", "paid", "succeeded", ("charge.succeeded", "payment_intent.succeeded")),
        ("failed", "unpaid", "requires_payment_method", ("charge.failed", "payment_intent.payment_failed")),
    ],
)
def test_session_async_payment(trigger, box, receiver, objects, outcome, paid, status, events):
    assert trigger(f"checkout.session.async_payment_{outcome}").returncode == 0

    session, intent = only(objects("checkout.session")), only(objects("payment_intent"))
    assert (session["status"], session["payment_status"]) == ("complete", "unpaid")
    assert (intent["status"], intent["setup_future_usage"]) == ("processing", "off_session")

    box.control("settle")

    session, intent = only(objects("checkout.session")), only(objects("payment_intent"))
    assert (session["status"], session["payment_status"]) == ("complete", paid)
    assert (intent["status"], intent["amount"], intent["currency"]) == (status, 3000, "eur")
    expect_events(
        box,
        receiver,
        *MADE,
        "payment_intent.created",
        "charge.pending",
        "checkout.session.completed",
        "payment_intent.processing",
        f"checkout.session.async_payment_{outcome}",
        *events,
    )


def test_intent_created(trigger, box, receiver, objects):
    assert trigger("payment_intent.created").returncode == 0

    intent = only(objects("payment_intent"))
    assert (intent["status"], intent["payment_method_types"]) == ("requires_payment_method", ["card"])
    expect_events(box, receiver, "payment_intent.created")


def test_intent_succeeded(trigger, box, receiver, objects):
    assert trigger("payment_intent.succeeded").returncode == 0

    intent, charge = only(objects("payment_intent")), only(objects("charge"))
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 2000)
    assert (intent["latest_charge"], charge["shipping"]["name"]) == (charge["id"], SHIPPED_TO)
    expect_events(
        box, receiver, "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated"
    )


@pytest.mark.parametrize(("event", "amount"), [("payment_intent.payment_failed", 2000), ("charge.failed", 100)])
def test_declined(trigger, box, receiver, objects, event, amount):
    assert trigger(event).returncode == 0

    intent, charge = only(objects("payment_intent")), only(objects("charge"))
    error = intent["last_payment_error"]
    assert (intent["status"], intent["amount"]) == ("requires_payment_method", amount)
    assert (error["code"], error["decline_code"]) == ("card_declined", "generic_decline")
    assert (charge["status"], charge["failure_code"]) == ("failed", "card_declined")
    expect_events(box, receiver, "payment_intent.created", "charge.failed", "payment_intent.payment_failed")


def test_intent_canceled(trigger, box, receiver, objects):
    assert trigger("payment_intent.canceled").returncode == 0

    intent = only(objects("payment_intent"))
    assert (intent["status"], intent["cancellation_reason"]) == ("canceled", "requested_by_customer")
    expect_events(box, receiver, "payment_intent.created", "payment_intent.canceled")


def test_intent_requires_action(trigger, box, receiver, objects):
    assert trigger("payment_intent.requires_action").returncode == 0

    intent = only(objects("payment_intent"))
    assert (intent["status"], intent["next_action"]["type"]) == ("requires_action", "use_stripe_sdk")
    expect_events(box, receiver, "payment_intent.created", "payment_intent.requires_action")


def test_intent_processing(trigger, box, receiver, objects):
    assert trigger("payment_intent.processing").returncode == 0

    intent = only(objects("payment_intent"))
    assert (intent["status"], intent["currency"]) == ("processing", "eur")
    expect_events(box, receiver, "payment_intent.created", "charge.pending", "payment_intent.processing")


def test_intent_capturable(trigger, box, receiver, objects):
    assert trigger("payment_intent.amount_capturable_updated").returncode == 0

    intent = only(objects("payment_intent"))
    assert (intent["status"], intent["amount_capturable"]) == ("requires_capture", 2000)
    expect_events(
        box, receiver, "payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated"
    )


def test_charge_succeeded(trigger, box, receiver, objects):
    assert trigger("charge.succeeded").returncode == 0

    charge = only(objects("charge"))
    assert (charge["status"], charge["paid"], charge["captured"], charge["amount"]) == ("succeeded", True, True, 100)
    expect_events(
        box, receiver, "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated"
    )


def test_charge_captured(trigger, box, receiver, objects):
    assert trigger("charge.captured").returncode == 0

    intent, charge = only(objects("payment_intent")), only(objects("charge"))
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 2000)
    assert (charge["captured"], charge["amount_captured"]) == (True, 2000)
    expect_events(
        box,
        receiver,
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    )


PAID = ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated")
REFUND_UPDATED = ("refund.updated", "charge.refund.updated")


def test_charge_refunded(trigger, box, receiver, objects):
    assert trigger("charge.refunded").returncode == 0

    charge, refund = only(objects("charge")), only(objects("refund"))
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 100)
    assert (refund["status"], refund["amount"], refund["charge"]) == ("succeeded", 100, charge["id"])
    expect_events(box, receiver, *PAID, "refund.created", "charge.refunded", *REFUND_UPDATED)


def test_refund_updated(trigger, box, receiver, objects):
    assert trigger("charge.refund.updated").returncode == 0

    assert only(objects("refund"))["metadata"] == {"order_id": "6735"}
    # Once for the metadata, once for the card network's reference.
    expect_events(box, receiver, *PAID, "refund.created", "charge.refunded", *REFUND_UPDATED, *REFUND_UPDATED)


def test_dispute_created(trigger, box, receiver, objects):
    assert trigger("charge.dispute.created").returncode == 0

    dispute, charge = only(objects("dispute")), only(objects("charge"))
    assert (dispute["status"], dispute["amount"]) == ("warning_needs_response", 100)
    assert (dispute["charge"], charge["disputed"], charge["paid"]) == (charge["id"], True, True)
    expect_events(box, receiver, *PAID, "charge.dispute.created")


def test_dispute_updated(trigger, box, receiver, objects):
    assert trigger("charge.dispute.updated").returncode == 0

    dispute = only(objects("dispute"))
    assert (dispute["status"], dispute["metadata"]) == ("warning_needs_response", {"foo": "bar"})
    expect_events(box, receiver, *PAID, "charge.dispute.created", "charge.dispute.updated")


def test_dispute_closed(trigger, box, receiver, objects):
    assert trigger("charge.dispute.closed").returncode == 0

    assert only(objects("dispute"))["status"] == "warning_closed"
    expect_events(box, receiver, *PAID, "charge.dispute.created", "charge.dispute.closed")


def test_product_created(trigger, box, receiver, objects):
    assert trigger("product.created").returncode == 0

    assert only(objects("product"))["name"] == "myproduct"
    expect_events(box, receiver, "product.created")


def test_recurring_price_is_refused_cleanly(trigger, box, receiver, objects):
    done = trigger("price.created")

    assert done.returncode == 1
    assert "status=400" in done.stdout + done.stderr
    assert objects("price") == []
    expect_events(box, receiver, "product.created")


def test_current_version_refuses_payment_method_types(trigger, objects):
    pinned = ("--api-version", "2026-10-28.endive")

    refused = trigger("payment_intent.succeeded", *pinned)
    accepted = trigger("payment_intent.succeeded", *pinned, "--remove", "payment_intent:payment_method_types")

    assert refused.returncode == 1
    assert "payment_method_types_no_longer_supported" in refused.stdout + refused.stderr
    assert accepted.returncode == 0
    assert only(objects("payment_intent"))["status"] == "succeeded"


def test_resend_delivers_again(trigger, executable, box, receiver, tmp_path):
    trigger("product.created")
    receiver.wait(lambda: len(receiver.events) == 1)
    event = receiver.events[0]["id"]

    command = [str(executable), "events", "resend", event, "--api-base", box.url, "--api-key", API_KEY]
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    receiver.wait(lambda: len(receiver.events) == 2)
    assert {e["id"] for e in receiver.events} == {event}


def test_customers(trigger, box, receiver, objects):
    for event in ("customer.created", "customer.updated", "customer.deleted"):
        assert trigger(event).returncode == 0

    deleted, updated, made = objects("customer")
    assert (made["description"], updated["metadata"]) == ("(created by Stripe CLI)", {"foo": "bar"})
    assert deleted == {"id": deleted["id"], "object": "customer", "deleted": True}
    expect_events(box, receiver, *["customer.created"] * 3, "customer.updated", "customer.deleted")


def test_setup_intents_that_end_well(trigger, box, receiver, objects):
    for event in ("setup_intent.created", "setup_intent.succeeded", "setup_intent.canceled"):
        assert trigger(event).returncode == 0

    canceled, succeeded, made = objects("setup_intent")
    assert made["status"] == "requires_payment_method"
    assert (succeeded["status"], succeeded["usage"]) == ("succeeded", "off_session")
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "requested_by_customer")
    expect_events(box, receiver, *["setup_intent.created"] * 3, "setup_intent.succeeded", "setup_intent.canceled")


def test_setup_intent_requires_action(trigger, box, receiver, objects):
    assert trigger("setup_intent.requires_action").returncode == 0

    intent = only(objects("setup_intent"))
    assert (intent["status"], intent["next_action"]["type"]) == ("requires_action", "use_stripe_sdk")
    expect_events(box, receiver, "setup_intent.created", "setup_intent.requires_action")


def test_setup_failed(trigger, box, receiver, objects):
    assert trigger("setup_intent.setup_failed").returncode == 0

    intent = only(objects("setup_intent"))
    assert (intent["status"], intent["last_setup_error"]["decline_code"]) == (
        "requires_payment_method",
        "generic_decline",
    )
    expect_events(box, receiver, "setup_intent.created", "setup_intent.setup_failed")


@pytest.mark.parametrize(
    ("event", "attached", "events"),
    [
        ("payment_method.attached", True, ("payment_method.attached",)),
        ("payment_method.detached", False, ("payment_method.attached", "payment_method.detached")),
    ],
)
def test_method_attached_and_detached(trigger, box, receiver, objects, event, attached, events):
    assert trigger(event).returncode == 0

    method, customer = only(objects("payment_method")), only(objects("customer"))
    assert method["customer"] == (customer["id"] if attached else None)
    expect_events(box, receiver, "customer.created", *events)


def test_method_updated(trigger, box, receiver, objects):
    assert trigger("payment_method.updated").returncode == 0

    method, customer = only(objects("payment_method")), only(objects("customer"))
    assert (method["customer"], method["metadata"]) == (customer["id"], {"foo": "bar"})
    expect_events(
        box,
        receiver,
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
        "payment_method.updated",
    )
