"""The same loop on RabbitMQ and on Redis: storms, poison, workers that are told to end and workers that are killed."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from kombu import Connection

from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox, setbacks
from proshop import celery, waking
from tests.proshop.test_work_process import queue_mails, states
from tests.support.processes import SlowMailServer, eventually
from tests.support.shop import Shop, Stripe, deliver, make_variant
from tests.workers.conftest import Start

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("stripe_sandbox"),
]

UNKNOWN = {
    "object": "event",
    "type": "payment_intent.succeeded",
    "livemode": False,
    "created": 1_700_000_000,
    "data": {"object": {"id": "pi_1"}},
}


def event_states() -> dict[str, int]:
    found = list(StripeWebhookEvent.objects.values_list("state", flat=True))
    return {state: found.count(state) for state in sorted(set(found))}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The wake-ups that this process sent."""
    found: list[Any] = []
    real = celery.do.apply_async

    def send(args: Any, **options: Any) -> Any:
        found.append(args)
        return real(args, **options)

    monkeypatch.setattr(celery.do, "apply_async", send)
    return found


def waiting_messages(broker: str) -> int:
    with Connection(broker) as connection:
        return int(celery.app.amqp.queues[waking.EVENTS_QUEUE](connection.channel()).queue_declare().message_count)


def test_order_is_paid_by_the_workers_and_its_mail_sent(
    broker: str, start_worker: Start, shop: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(make_variant())
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    start_worker(beat=False)
    stripe_sandbox.deliver_new()
    eventually(lambda: Order.objects.get().payment_status == "paid")
    eventually(lambda: Mail.objects.filter(state="sent").count() == 1)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"done"}


def test_storm_without_a_worker_leaves_one_wake_up_and_no_event_behind(
    broker: str, start_worker: Start, sent: list[Any]
) -> None:
    for number in range(200):
        assert deliver(UNKNOWN | {"id": f"evt_{number}"}).status_code == 200
    eventually(lambda: waiting_messages(broker) == 1)
    assert len(sent) == 1, "two hundred events, one message"
    start_worker(beat=False)
    eventually(lambda: event_states() == {"ignored": 200})
    assert set(StripeWebhookEvent.objects.values_list("attempts", flat=True)) == {1}


def test_wake_ups_that_were_lost_are_made_up_for_by_beat(broker: str, start_worker: Start) -> None:
    inbox.store(UNKNOWN | {"id": "evt_1"}, sha256="0" * 64)  # and no wake-up, as if the process had died here
    start_worker()
    eventually(lambda: event_states() == {"ignored": 1})


def test_poison_is_given_up_with_its_traceback_while_the_rest_goes_on(broker: str, start_worker: Start) -> None:
    """What the handler cannot digest: a completed session without anything in it."""
    bad = UNKNOWN | {"id": "evt_bad", "type": "checkout.session.completed", "data": {"object": {"id": "cs_1"}}}
    deliver(bad)
    for number in range(20):
        deliver(UNKNOWN | {"id": f"evt_{number}"})
    start_worker()
    eventually(lambda: event_states() == {"due": 1, "ignored": 20})
    StripeWebhookEvent.objects.filter(stripe_id="evt_bad").update(
        attempts=setbacks.MAX_ATTEMPTS - 1, due_at=timezone.now(), lease_until=None
    )
    eventually(lambda: event_states() == {"dead": 1, "ignored": 20})
    assert "KeyError" in StripeWebhookEvent.objects.get(state="dead").last_error


def test_worker_that_is_told_to_end_finishes_the_mail_in_hand(broker: str, start_worker: Start) -> None:
    queue_mails(1)
    with SlowMailServer() as server:
        worker = start_worker(EMAIL_URL=server.url)
        assert server.in_hand.wait(60), worker.log
        worker.ask_to_end()
        eventually(lambda: worker.says("Warm shutdown"))
        time.sleep(1)
        assert worker.runs, "it waits for what is in hand"
        server.go_on.set()
        assert worker.end() == 0, worker.log
    assert len(server.taken) == 1
    assert states() == [("sent", 1)]


def test_work_of_a_killed_worker_is_taken_over_when_the_lease_has_ended(broker: str, start_worker: Start) -> None:
    queue_mails(1)
    with SlowMailServer() as server:
        doomed = start_worker(EMAIL_URL=server.url)
        assert server.in_hand.wait(60), doomed.log
        doomed.kill()
    start_worker(EMAIL_URL="memory:")
    time.sleep(3)
    assert states() == [("due", 1)], "the lease still runs"
    Mail.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    eventually(lambda: states() == [("sent", 2)])
