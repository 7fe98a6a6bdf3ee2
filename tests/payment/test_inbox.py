"""The inbox among many workers: batches, leases, poison, a Stripe that is away."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.common import logs, stopping
from apps.payment.gateway import StripeUnavailable
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox, setbacks
from apps.payment.webhooks.handling import FOREIGN, Handler, of_snapshot
from tests.support.shop import in_parallel

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "payment_intent.succeeded"


@pytest.fixture(autouse=True)
def running() -> Iterator[None]:
    yield
    stopping.forget()


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the events that the handler saw; it fails on those that begin with evt_bad."""
    seen: list[str] = []

    def see(event: Any) -> Any:
        if event["id"].startswith("evt_bad"):
            raise ValueError("this cannot be digested")
        seen.append(event["id"])
        return FOREIGN

    monkeypatch.setitem(inbox.HANDLERS, KIND, of_snapshot(see))
    return seen


def store(*ids: str) -> None:
    for stripe_id in ids:
        inbox.store(
            {
                "id": stripe_id,
                "object": "event",
                "type": KIND,
                "livemode": False,
                "created": 1_700_000_000,
                "data": {"object": {"id": "pi_1"}},
            },
            sha256="0" * 64,
        )


def test_poison_delays_nobody(handled: list[str]) -> None:
    good = [f"evt_{number:03d}" for number in range(60)]
    store("evt_bad_1", *good[:30], "evt_bad_2", *good[30:])
    assert inbox.process_due() == 62
    assert handled == good
    bad = StripeWebhookEvent.objects.filter(state="due")
    assert {(event.attempts, event.lease_until) for event in bad} == {(1, None)}
    assert all("ValueError: this cannot be digested" in event.last_error for event in bad)


def test_event_that_kills_its_worker_every_time_is_given_up_and_takes_no_other_with_it(
    handled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As kill -9 would: nothing after the claim runs."""

    def die(event: Any) -> Any:
        if event["id"] == "evt_2":
            raise Killed
        handled.append(event["id"])
        return FOREIGN

    monkeypatch.setitem(inbox.HANDLERS, KIND, of_snapshot(die))
    store("evt_1", "evt_2", "evt_3", "evt_4")
    deaths = 0
    while StripeWebhookEvent.objects.filter(state="due").exists():
        StripeWebhookEvent.objects.filter(lease_until__gt=timezone.now()).update(
            lease_until=timezone.now() - timedelta(seconds=1)
        )
        try:
            inbox.process_due()
        except Killed:
            deaths += 1
    assert deaths == setbacks.MAX_ATTEMPTS
    assert handled == ["evt_1", "evt_3", "evt_4"]
    dead = StripeWebhookEvent.objects.get(stripe_id="evt_2")
    assert (dead.state, dead.reason) == ("dead", "the process that worked on it died every time")
    others = StripeWebhookEvent.objects.exclude(stripe_id="evt_2").order_by("stripe_id")
    # The two after it were in the batch of the first death, and in no other.
    assert [(event.state, event.attempts) for event in others] == [("ignored", 1), ("ignored", 2), ("ignored", 2)]


def test_log_lines_of_an_event_carry_its_id(handled: list[str]) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.json_formatter())
    logger = logging.getLogger("apps.payment.webhooks.inbox")
    logger.addHandler(handler)
    try:
        store("evt_bad_1")
        inbox.process_due()
    finally:
        logger.removeHandler(handler)
    line = json.loads(written.getvalue())
    assert (line["event"], line["stripe_event"], line["type"]) == ("event_failed", "evt_bad_1", KIND)
    assert "ValueError: this cannot be digested" in line["exception"]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler with an effect, while which somebody else takes the event over."""

    def act(event: Any) -> Any:
        StripeWebhookEvent.objects.filter(stripe_id=event["id"]).update(lease_until=timezone.now() + inbox.LEASE)
        StripeWebhookEvent.objects.filter(stripe_id="evt_other").update(reason="an effect")
        return FOREIGN

    store("evt_other")
    StripeWebhookEvent.objects.update(state="done")
    store("evt_1")
    monkeypatch.setitem(inbox.HANDLERS, KIND, of_snapshot(act))


@pytest.mark.usefixtures("slow")
def test_effects_of_one_who_lost_the_lease_are_not_kept() -> None:
    assert inbox.process_due() == 1
    assert StripeWebhookEvent.objects.get(stripe_id="evt_other").reason == ""
    assert StripeWebhookEvent.objects.get(stripe_id="evt_1").state == "due"


@pytest.mark.usefixtures("slow")
def test_control_without_the_fence_both_would_leave_their_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox.leases, "mark_of", lambda row: {"id": row.pk})
    assert inbox.process_due() == 1
    assert StripeWebhookEvent.objects.get(stripe_id="evt_other").reason == "an effect"
    assert StripeWebhookEvent.objects.get(stripe_id="evt_1").state == "ignored"


def test_asked_to_end_the_event_in_hand_is_finished_and_the_rest_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(event: Any) -> Any:
        stopping.ask()
        return FOREIGN

    monkeypatch.setitem(inbox.HANDLERS, KIND, of_snapshot(told))
    store("evt_1", "evt_2", "evt_3")
    assert inbox.process_due() == 1
    rows = StripeWebhookEvent.objects.order_by("stripe_id").values_list("state", "attempts", "lease_until")
    assert list(rows) == [("ignored", 1, None), ("due", 0, None), ("due", 0, None)]


def test_while_stripe_is_away_it_is_asked_once_a_batch_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(event: Any) -> Any:
        asked.append(event["id"])
        raise StripeUnavailable

    def needs(event: Any) -> bool:
        return bool(event["id"].startswith("evt_ask"))

    monkeypatch.setitem(inbox.HANDLERS, KIND, Handler(act=lambda event, told, at: FOREIGN, ask=ask, asks=needs))
    store("evt_ask_1", "evt_1", "evt_ask_2", "evt_2", "evt_ask_3")
    assert inbox.process_due() == 5
    assert asked == ["evt_ask_1"]
    rows = dict(StripeWebhookEvent.objects.values_list("stripe_id", "state"))
    assert rows == {"evt_1": "ignored", "evt_2": "ignored"} | {f"evt_ask_{number}": "due" for number in (1, 2, 3)}
    assert not StripeWebhookEvent.objects.filter(state="due", due_at__lte=timezone.now()).exists()
    assert set(StripeWebhookEvent.objects.filter(state="due").values_list("reason", flat=True)) == {
        "Stripe could not be asked"
    }


@pytest.mark.race
def test_six_workers_handle_each_event_once(handled: list[str]) -> None:
    ids = [f"evt_{number:03d}" for number in range(120)]
    store(*ids)
    in_parallel([lambda: inbox.process_due()] * 6, threads=6)
    assert sorted(handled) == ids
    assert set(StripeWebhookEvent.objects.values_list("state", "attempts")) == {("ignored", 1)}


def test_claiming_costs_the_same_for_one_event_and_twenty(handled: list[str], django_assert_num_queries: Any) -> None:
    store(*(f"evt_{number:02d}" for number in range(20)))
    rows = list(StripeWebhookEvent.objects.values_list("payload", flat=True))
    assert len({json.loads(row)["id"] for row in rows}) == 20
    # Look, claim and mark as ours; one UPDATE an event between BEGIN and COMMIT; a last look that finds nothing.
    with django_assert_num_queries(3 + 2 + 20 * 3 + 1):
        assert inbox.process_due() == 20
