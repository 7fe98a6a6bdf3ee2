"""What learners are told of their enrollment, each change once."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail as outbox

from apps.accounts.models import User
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.services import deliver_due, publish
from tests.support.shop import make_user, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def learner() -> User:
    return make_user("learner@example.com")


@pytest.fixture
def order(learner: User) -> Order:
    return Order.objects.create(
        number="ORD-20260101-00001",
        user=learner,
        email="paid@example.com",
        currency="USD",
        subtotal=49900,
        total=49900,
        status="confirmed",
        payment_status="paid",
    )


def tell(kind: str, order: Order, transition: int = 1, reason: str = "paid") -> None:
    facts: dict[str, Any] = {
        "enrollment_id": 7,
        "transition": transition,
        "user_id": order.user_id,
        "order_id": order.pk,
        "track_code": "DP",
        "track_name": "Data <Professional>",
        "reason": reason,
    }
    publish(f"enrollment.{kind}", f"7/{transition}", facts)
    work()


@pytest.mark.parametrize(
    ("kind", "reason", "subject", "words"),
    [
        ("enrolled", "paid", "You are enrolled: Data <Professional>", "Your first project is open."),
        (
            "withdrawn",
            "refunded",
            "You are no longer enrolled: Data <Professional>",
            "The money of order ORD-20260101-00001 went back to you, so your enrollment has ended.",
        ),
        (
            "withdrawn",
            "dispute_lost",
            "You are no longer enrolled: Data <Professional>",
            "Your bank took the money of order ORD-20260101-00001 back, so your enrollment has ended.",
        ),
        (
            "suspended",
            "disputed",
            "Your enrollment is paused: Data <Professional>",
            "Until that is decided, your enrollment is paused.",
        ),
        ("restored", "paid", "Your enrollment goes on: Data <Professional>", "You can go on where you stopped."),
    ],
)
def test_learner_is_told(order: Order, kind: str, reason: str, subject: str, words: str) -> None:
    tell(kind, order, reason=reason)
    [message] = outbox.outbox
    assert (message.to, message.subject) == (["learner@example.com"], subject)
    assert words in message.body
    assert "Data &lt;Professional&gt;" in message.alternatives[0][0]


def test_every_change_is_told_once_and_a_later_one_again(order: Order) -> None:
    for transition, kind in enumerate(("enrolled", "suspended", "restored", "suspended"), start=1):
        tell(kind, order, transition)
        tell(kind, order, transition)
    found = list(Mail.objects.order_by("pk").values_list("kind", "key", "state"))
    assert found == [
        ("enrolled", "7/1", "sent"),
        ("suspended", "7/2", "sent"),
        ("restored", "7/3", "sent"),
        ("suspended", "7/4", "sent"),
    ]
    assert deliver_due() == 0
