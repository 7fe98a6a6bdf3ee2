"""Answering disputes: what the draft says, submitting it, accepting, and the ways in which an answer gets lost."""

from __future__ import annotations

import inspect
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from stripe import params

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.common.errors import DomainError, InvalidInput
from apps.orders.models import Order
from apps.orders.services.fulfilment import deliver_order, ship_order
from apps.payment import gateway
from apps.payment.models import AttentionCase, Dispute, Payment, PaymentLog
from apps.payment.services import disputes
from apps.payment.services.disputes import (
    AnswerRefused,
    DisputeAnswered,
    DisputeClosed,
    DisputePastDue,
    EvidenceMissing,
    accept,
    evidence_of,
    finish_decisions,
    save_draft,
    submit,
)
from apps.payment.services.evidence import LONG, MAX_CHARACTERS, TEXTS, draft_evidence
from tests.payment.test_refunds import make_staff
from tests.support.shop import Shop, Stripe, in_parallel, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

Answer = Callable[..., Dispute]


@pytest.fixture
def by(db: None) -> User:
    return make_staff("answer_dispute")


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=10)


@pytest.fixture
def disputed(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> Dispute:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox, "pm_card_createDispute")
    return Dispute.objects.get()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)


@pytest.fixture
def drafted(disputed: Dispute, by: User) -> Dispute:
    return save_draft(disputed, {"uncategorized_text": "It was delivered."}, by=by)


def at_stripe(stripe_sandbox: Stripe) -> dict[str, Any]:
    [found] = stripe_sandbox.sandbox.objects("dispute")
    return found


def given(stripe_sandbox: Stripe) -> dict[str, str]:
    """The texts that Stripe has."""
    return {name: text for name, text in at_stripe(stripe_sandbox)["evidence"].items() if isinstance(text, str)}


def is_done(dispute: Dispute) -> bool:
    dispute.refresh_from_db()
    return dispute.decision_done_at is not None


def make_due() -> None:
    Dispute.objects.update(decision_due_at=timezone.now())


def logged(prefix: str = "dispute_") -> list[str]:
    return list(PaymentLog.objects.filter(kind__startswith=prefix).order_by("pk").values_list("kind", flat=True))


# The draft


def test_draft_of_goods_that_were_sent(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    placed = datetime(2026, 11, 3, 10, 15, 30, tzinfo=UTC)
    address = {"name": "Ada Byron", "line1": "1 Main St", "city": "Paris", "postal_code": "75001", "country": "FR"}
    shop.add(mug, 2)
    shop.add(make_variant("PEN", price=250, stock=10))
    bought = shop.checkout().json()
    stripe_sandbox.sandbox.control(
        f"sessions/{bought['session_id']}/pay",
        payment_method="pm_card_createDispute",
        email="ada@example.com",
        shipping={"name": address["name"], "address": {k: v for k, v in address.items() if k != "name"}},
    )
    stripe_sandbox.digest()
    order, payment = Order.objects.get(), Payment.objects.get()
    ship_order(order.pk, tracking_number="1Z999")
    # One moment after the other, so that the history is the same every time.
    order.log.update(at=placed)
    payment.log.update(at=placed + timedelta(seconds=1))
    order.log.filter(to_status="shipped").update(at=placed + timedelta(days=2))
    Order.objects.update(created_at=placed)
    Payment.objects.update(paid_at=placed + timedelta(seconds=9))
    payment.refresh_from_db()

    draft = draft_evidence(Dispute.objects.get())
    text = draft.pop("uncategorized_text").splitlines()
    assert draft == {
        "customer_name": "Ada Byron",
        "customer_email_address": "ada@example.com",
        "product_description": (
            "2 × Product MUG (MUG), physical: 20.00 USD\n1 × Product PEN (PEN), physical: 2.50 USD"
        ),
        "shipping_address": "Ada Byron\n1 Main St\n75001 Paris\nFR",
        "shipping_date": "5 November 2026",
        "shipping_tracking_number": "1Z999",
    }
    assert text[:6] == [
        f"Receipt of order {order.number}, placed 2026-11-03 10:15:30 UTC",
        "2 × Product MUG (MUG), physical: 20.00 USD",
        "1 × Product PEN (PEN), physical: 2.50 USD",
        "Total: 22.50 USD",
        "Paid 2026-11-03 10:15:39 UTC: 22.50 USD with visa ending in 0259",
        f"Receipt of the payment: {payment.receipt_url}",
    ]
    assert text[6:] == [
        "",
        "What happened",
        "2026-11-03 10:15:30 UTC  order placed: pending, pending",
        "2026-11-03 10:15:30 UTC  order paid: confirmed, paid",
        *[
            f"2026-11-03 10:15:31 UTC  payment {row.kind.replace('_', ' ')}: {row.to_status}"
            for row in payment.log.exclude(kind__startswith="dispute")
        ],
        "2026-11-05 10:15:30 UTC  order shipped: shipped, paid",
    ]
    kinds = set(payment.log.values_list("kind", flat=True))
    assert {"opened", "session_opened", "succeeded", "charge", "dispute_needs_response"} <= kinds


def test_draft_of_a_download_names_the_person_and_the_day_and_no_address(stripe_sandbox: Stripe) -> None:
    user = make_user("ada@example.com")
    User.objects.update(name="Ada Byron")
    shop = Shop(user)
    shop.add(make_variant("EBOOK", price=900, stock=None, kind="digital"))
    shop.buy(stripe_sandbox, "pm_card_createDispute")
    order = Order.objects.get()
    assert "service_date" not in draft_evidence(Dispute.objects.get()), "nothing was handed over"
    deliver_order(order.pk)
    order.log.filter(to_status="delivered").update(at=datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    draft = draft_evidence(Dispute.objects.get())
    assert sorted(draft) == [
        "customer_email_address",
        "customer_name",
        "product_description",
        "service_date",
        "uncategorized_text",
    ]
    assert (draft["service_date"], draft["customer_name"]) == ("30 November 2026", "Ada Byron")


def test_draft_tells_what_was_given_back(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox)
    intent = Payment.objects.get().stripe_payment_intent_id
    stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=500)
    stripe_sandbox.sandbox.control(f"charges/{intent}/dispute", amount=1500)
    stripe_sandbox.digest()
    text = draft_evidence(Dispute.objects.get())["uncategorized_text"]
    assert re.search(r"^Given back \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: 5\.00 USD$", text, re.MULTILINE)


def test_draft_stays_within_what_stripe_takes(disputed: Dispute) -> None:
    payment = disputed.payment
    rows = [
        PaymentLog(payment=payment, kind="declined", object_id=f"ch_{n}", to_status="pending", at=timezone.now())
        for n in range(1000)
    ]
    PaymentLog.objects.bulk_create(rows)
    text = draft_evidence(disputed)["uncategorized_text"]
    assert LONG - 100 < len(text) <= LONG
    shown = text.count("payment declined: pending")
    assert text.endswith(f"… and {1000 - shown} more lines")


def test_fields_and_bounds_are_those_of_the_installed_library() -> None:
    """A text is what the library calls neither an upload nor an object; its documentation names the bounds."""
    source = inspect.getsource(inspect.getmodule(params.DisputeUpdateParams))  # type: ignore[arg-type]
    body = source.split("class DisputeUpdateParamsEvidence(TypedDict):")[1].split("\nclass ")[0]
    fields = re.findall(r'(\w+): NotRequired\[str\]\s+"""(.*?)"""', body, re.DOTALL)
    texts = {name: told for name, told in fields if "file upload" not in told}
    assert {name: LONG if "20,000" in told else MAX_CHARACTERS for name, told in texts.items()} == TEXTS
    assert "limited to 150,000" in source


def test_draft_is_kept_here_alone(disputed: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    assert evidence_of(disputed) == draft_evidence(disputed), "none was saved yet"
    told = save_draft(disputed, {"customer_name": " Ada ", "product_description": "Mugs"}, by=by)
    assert evidence_of(told) == {"customer_name": "Ada", "product_description": "Mugs"}
    told = save_draft(told, {"product_description": "Two mugs", "customer_name": ""}, by=by)
    assert evidence_of(told) == {"product_description": "Two mugs"}
    assert (given(stripe_sandbox), told.decision) == ({}, "")
    drafts = PaymentLog.objects.filter(kind="dispute_draft").values_list("detail", flat=True)
    assert list(drafts) == [f"{disputed.stripe_dispute_id} by user {by.pk}"] * 2
    submit(told, by=by)
    assert given(stripe_sandbox) == {"product_description": "Two mugs"}


def test_what_staff_wrote_in_the_dashboard_goes_along(disputed: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    path = f"/v1/disputes/{disputed.stripe_dispute_id}"
    stripe_sandbox.sandbox.post(path, submit="false", **{"evidence[refund_policy_disclosure]": "No refunds."})
    submit(save_draft(disputed, {"customer_name": "Ada"}, by=by), by=by)
    assert given(stripe_sandbox) == {"customer_name": "Ada", "refund_policy_disclosure": "No refunds."}


@pytest.mark.parametrize(
    ("evidence", "field", "told"),
    [
        ({"receipt": "file_1"}, "receipt", "Stripe knows no such text."),
        ({"anything": "x"}, "anything", "Stripe knows no such text."),
        (
            {"uncategorized_text": "x" * 20_001},
            "uncategorized_text",
            "Stripe takes 20,000 characters; these are 20,001.",
        ),
        (
            {"customer_name": "x" * 100_000, "billing_address": "x" * 50_001},
            "customer_name",
            "Stripe takes 150,000 characters in all; these are 150,001.",
        ),
    ],
)
def test_what_stripe_would_refuse_is_not_kept(
    disputed: Dispute, by: User, stripe_sandbox: Stripe, evidence: dict[str, str], field: str, told: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        save_draft(disputed, evidence, by=by)
    assert refusal.value.data == {"fields": {field: [told]}}
    disputed.refresh_from_db()
    assert (disputed.evidence, given(stripe_sandbox)) == ("", {})


def test_all_that_stripe_takes_is_taken(disputed: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    evidence = {"customer_name": "x" * 130_000, "uncategorized_text": "y" * 20_000}
    submit(save_draft(disputed, evidence, by=by), by=by)
    assert given(stripe_sandbox) == evidence


# The answer


def test_submitted_evidence_is_under_review(drafted: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    told = submit(drafted, by=by)
    assert (told.status, told.submissions, told.has_evidence) == ("under_review", 1, True)
    assert (told.decision, told.decided_by, is_done(told)) == ("submit", by, True)
    assert at_stripe(stripe_sandbox)["status"] == "under_review"
    assert given(stripe_sandbox) == {"uncategorized_text": "It was delivered."}
    assert logged() == [
        "dispute_needs_response",
        "dispute_draft",
        "dispute_submit_decided",
        "dispute_submit_done",
        "dispute_under_review",
    ]
    decided = PaymentLog.objects.get(kind="dispute_submit_decided")
    assert decided.detail == f"{told.stripe_dispute_id} by user {by.pk}"
    assert Order.objects.get().disputed
    before = (told.decision_key, told.decision_done_at)
    stripe_sandbox.digest()
    told.refresh_from_db()
    assert (told.decision_key, told.decision_done_at) == before
    assert AttentionCase.objects.get().solved_at is None, "the bank has not decided"


@pytest.mark.parametrize(
    ("text", "status", "disputed_after", "lost"),
    [("winning_evidence", "won", False, 0), ("losing_evidence", "lost", True, 2000)],
)
def test_bank_decides(
    disputed: Dispute, by: User, stripe_sandbox: Stripe, text: str, status: str, disputed_after: bool, lost: int
) -> None:
    save_draft(disputed, {"uncategorized_text": text}, by=by)
    told = submit(disputed, by=by)
    assert (told.status, is_done(told)) == (status, True)
    stripe_sandbox.digest()
    order, payment = Order.objects.get(), Payment.objects.get()
    assert (order.disputed, payment.disputed, payment.amount_lost) == (disputed_after, disputed_after, lost)
    case = AttentionCase.objects.get()
    assert case.note == f"Stripe closed it: {status}."


def test_accepted_dispute_is_lost(disputed: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    told = accept(disputed, by=by)
    assert (told.status, told.decision, told.decided_by, is_done(told)) == ("lost", "accept", by, True)
    assert told.closed_at is not None
    assert at_stripe(stripe_sandbox)["status"] == "lost"
    assert Payment.objects.get().amount_lost == 2000
    assert logged("dispute_accept") == ["dispute_accept_decided", "dispute_accept_done"]


def test_accepted_inquiry_is_closed(shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    assert accept(Dispute.objects.get(), by=by).status == "warning_closed"
    assert Payment.objects.get().amount_lost == 0


def test_inquiry_that_escalates_takes_another_answer(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe
) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    inquiry = save_draft(Dispute.objects.get(), {"uncategorized_text": "escalate_inquiry_evidence"}, by=by)
    told = submit(inquiry, by=by)
    assert (told.status, told.submissions, told.decision, told.decided_by) == ("needs_response", 1, "", None)
    assert told.can_be_answered
    stripe_sandbox.digest()
    told = save_draft(told, {"uncategorized_text": "winning_evidence"}, by=by)
    assert submit(told, by=by).status == "won"
    assert logged("dispute_submit") == ["dispute_submit_decided", "dispute_submit_done"] * 2


def test_nothing_is_submitted_without_a_draft(disputed: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    with pytest.raises(EvidenceMissing) as refusal:
        submit(disputed, by=by)
    assert (refusal.value.status, refusal.value.code) == (400, "evidence_missing")
    save_draft(disputed, {"customer_name": "Ada"}, by=by)
    save_draft(disputed, {}, by=by)
    with pytest.raises(EvidenceMissing):
        submit(disputed, by=by)
    disputed.refresh_from_db()
    assert (disputed.decision, at_stripe(stripe_sandbox)["status"]) == ("", "needs_response")


# What cannot be answered


@pytest.mark.parametrize("first", [submit, accept])
@pytest.mark.parametrize("second", [submit, accept])
def test_answered_once_for_good(
    drafted: Dispute, by: User, stripe_sandbox: Stripe, first: Answer, second: Answer
) -> None:
    status = first(drafted, by=by).status
    with pytest.raises(DisputeAnswered) as refusal:
        second(drafted, by=by)
    assert (refusal.value.status, refusal.value.code) == (409, "dispute_answered")
    with pytest.raises(DisputeAnswered):
        save_draft(drafted, {"customer_name": "Ada"}, by=by)
    assert at_stripe(stripe_sandbox)["status"] == status
    assert given(stripe_sandbox) == ({"uncategorized_text": "It was delivered."} if first is submit else {})
    assert PaymentLog.objects.filter(kind__endswith="_decided").count() == 1


@pytest.mark.parametrize("answer", [submit, accept])
def test_closed_dispute_takes_no_answer(drafted: Dispute, by: User, stripe_sandbox: Stripe, answer: Answer) -> None:
    stripe_sandbox.sandbox.control(f"disputes/{drafted.stripe_dispute_id}/decide", outcome="won")
    stripe_sandbox.digest()
    with pytest.raises(DisputeClosed) as refusal:
        answer(drafted, by=by)
    assert (refusal.value.status, refusal.value.code) == (409, "dispute_closed")
    with pytest.raises(DisputeClosed):
        save_draft(drafted, {"customer_name": "Ada"}, by=by)


@pytest.mark.parametrize("answer", [submit, accept])
def test_deadline_that_is_over_takes_no_answer(
    drafted: Dispute, by: User, stripe_sandbox: Stripe, answer: Answer
) -> None:
    assert drafted.due_by is not None
    with time_machine.travel(drafted.due_by, tick=False), pytest.raises(DisputePastDue) as refusal:
        answer(drafted, by=by)
    assert (refusal.value.status, refusal.value.code) == (409, "dispute_past_due")
    drafted.refresh_from_db()
    assert (drafted.decision, at_stripe(stripe_sandbox)["status"]) == ("", "needs_response")
    with time_machine.travel(drafted.due_by - timedelta(seconds=1), tick=False):
        assert is_done(answer(drafted, by=by))


def test_submitted_after_the_dashboard_answered(drafted: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    """The bank takes one answer: staff hears that it is not the one that was just decided."""
    path = f"/v1/disputes/{drafted.stripe_dispute_id}"
    stripe_sandbox.sandbox.post(path, **{"evidence[customer_name]": "Grace"})
    with pytest.raises(DisputeAnswered):
        submit(drafted, by=by)
    drafted.refresh_from_db()
    assert (drafted.status, drafted.decision) == ("under_review", "")
    assert given(stripe_sandbox) == {"customer_name": "Grace"}
    assert logged("dispute_submit") == ["dispute_submit_decided", "dispute_submit_refused"]


def test_accepted_after_the_dashboard_answered(disputed: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    path = f"/v1/disputes/{disputed.stripe_dispute_id}"
    stripe_sandbox.sandbox.post(path, **{"evidence[customer_name]": "Grace"})
    with pytest.raises(DisputeAnswered):
        accept(disputed, by=by)
    disputed.refresh_from_db()
    assert (disputed.status, disputed.decision) == ("under_review", "")
    assert logged("dispute_accept") == ["dispute_accept_decided", "dispute_accept_refused"]


def test_submitted_after_the_bank_closed_it(drafted: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control(f"disputes/{drafted.stripe_dispute_id}/decide", outcome="lost")
    with pytest.raises(DisputeClosed):
        submit(drafted, by=by)
    drafted.refresh_from_db()
    assert (drafted.status, drafted.decision, drafted.submissions) == ("lost", "", 0)
    assert Payment.objects.get().amount_lost == 2000


def test_refusal_of_stripe_leaves_the_dispute_to_be_answered(
    drafted: Dispute, by: User, stripe_sandbox: Stripe
) -> None:
    kept = drafted.evidence
    Dispute.objects.update(evidence=json.dumps({"receipt": "file_1"}))
    with pytest.raises(AnswerRefused) as refusal:
        submit(drafted, by=by)
    assert (refusal.value.status, refusal.value.code) == (400, "answer_refused")
    drafted.refresh_from_db()
    assert (drafted.decision, drafted.decision_key, drafted.can_be_answered) == ("", "", True)
    assert AttentionCase.objects.filter(kind="answer_refused").count() == 0, "whoever decided was told"
    Dispute.objects.update(evidence=kept)
    assert submit(drafted, by=by).status == "under_review"


# Faults


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("answer", "status"), [(submit, "under_review"), (accept, "lost")])
def test_answer_lost_is_finished_once_by_work(
    drafted: Dispute, by: User, stripe_sandbox: Stripe, answer: Answer, status: str
) -> None:
    stripe_sandbox.sandbox.faults("reset_after", path="/v1/disputes", times=3)
    told = answer(drafted, by=by)
    assert (told.status, told.decision_done_at) == ("needs_response", None)
    assert told.decision in ("submit", "accept")
    with pytest.raises(DisputeAnswered):
        answer(drafted, by=by)
    assert finish_decisions() == 0, "it is not due yet"
    make_due()
    work()
    assert is_done(told)
    assert told.status == status
    details = at_stripe(stripe_sandbox)["evidence_details"]
    assert details["submission_count"] == (1 if answer is submit else 0)
    events = [event["type"] for event in stripe_sandbox.sandbox.events()]
    assert events.count("charge.dispute.closed" if answer is accept else "charge.dispute.updated") == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["500", "500_after", "reset", "html", "429"])
@pytest.mark.parametrize(("answer", "status"), [(submit, "under_review"), (accept, "lost")])
def test_every_fault_ends_in_one_answer(
    drafted: Dispute, by: User, stripe_sandbox: Stripe, kind: str, answer: Answer, status: str
) -> None:
    stripe_sandbox.sandbox.faults(kind, path="/v1/disputes", times=5)
    told = answer(drafted, by=by)
    stripe_sandbox.sandbox.control("rules/clear")
    if not is_done(told):
        make_due()
        work()
    assert is_done(told)
    assert told.status == status
    details = at_stripe(stripe_sandbox)["evidence_details"]
    assert details["submission_count"] == (1 if answer is submit else 0)


@pytest.mark.usefixtures("impatient")
def test_work_waits_longer_and_longer_while_stripe_is_away(drafted: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset", path="/v1/disputes", times=None)
    start = timezone.now()
    waits = []
    with time_machine.travel(start, tick=False) as clock:
        told = submit(drafted, by=by)
        for _ in range(5):
            assert told.decision_due_at is not None
            waits.append((told.decision_due_at - timezone.now()).total_seconds())
            clock.move_to(told.decision_due_at)
            assert finish_decisions() == 0
            told.refresh_from_db()
        clock.move_to(start + timedelta(hours=1))
        finish_decisions()
        told.refresh_from_db()
        assert told.decision_due_at == timezone.now() + timedelta(minutes=5)
    assert waits == [2, 2, 4, 8, 16]


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("when", ["before the call", "after the call"])
@pytest.mark.parametrize(("answer", "status"), [(submit, "under_review"), (accept, "lost")])
def test_crash_is_finished_by_work(
    drafted: Dispute,
    by: User,
    stripe_sandbox: Stripe,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    answer: Answer,
    status: str,
) -> None:
    name = "update_evidence" if answer is submit else "close_dispute"
    real = getattr(gateway, name)

    def dies(*args: Any, **kwargs: Any) -> Any:
        if when == "after the call":
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(gateway, name, dies)
    with pytest.raises(Killed):
        answer(drafted, by=by)
    monkeypatch.setattr(gateway, name, real)
    assert not is_done(drafted)
    assert finish_decisions() == 0, "it may still be in hand"
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert finish_decisions() == 1
        assert finish_decisions() == 0
    assert is_done(drafted)
    assert drafted.status == status
    details = at_stripe(stripe_sandbox)["evidence_details"]
    assert details["submission_count"] == (1 if answer is submit else 0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("arrived", [True, False])
def test_key_that_stripe_has_forgotten_is_not_used_blindly(
    drafted: Dispute, by: User, stripe_sandbox: Stripe, arrived: bool
) -> None:
    stripe_sandbox.sandbox.faults("reset_after" if arrived else "reset", path="/v1/disputes", times=3)
    told = submit(drafted, by=by)
    stripe_sandbox.sandbox.control("advance", seconds=30 * 3600)
    long_ago = timezone.now() - timedelta(hours=30)
    Dispute.objects.update(decided_at=long_ago, decision_due_at=None)
    assert finish_decisions() == 1
    assert is_done(told)
    assert told.submissions == 1
    assert told.decision_key.endswith("-1" if arrived else "-2")
    assert at_stripe(stripe_sandbox)["evidence_details"]["submission_count"] == 1


@pytest.mark.usefixtures("impatient")
def test_refusal_that_only_work_saw_is_a_case(drafted: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset", path="/v1/disputes", times=3)
    told = submit(drafted, by=by)
    key = told.decision_key
    stripe_sandbox.sandbox.control(f"disputes/{told.stripe_dispute_id}/decide", outcome="lost")
    make_due()
    assert finish_decisions() == 1
    told.refresh_from_db()
    assert (told.status, told.decision) == ("lost", "")
    case = AttentionCase.objects.get(kind="answer_refused")
    assert (case.object_id, case.detail) == (key, "Stripe did not submit the evidence: lost.")
    assert finish_decisions() == 0


@pytest.mark.usefixtures("impatient")
def test_decision_is_dropped_when_its_inquiry_becomes_a_dispute_meanwhile(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe
) -> None:
    """Whoever let an inquiry go did not let go of the money that is claimed now."""
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    stripe_sandbox.sandbox.faults("reset", path="/v1/disputes", times=3)
    told = accept(Dispute.objects.get(), by=by)
    assert told.decision == "accept"
    stripe_sandbox.sandbox.control(f"disputes/{told.stripe_dispute_id}/decide", outcome="escalate")
    stripe_sandbox.digest()
    make_due()
    assert finish_decisions() == 0
    told.refresh_from_db()
    assert (told.status, told.decision, told.can_be_answered) == ("needs_response", "", True)
    assert at_stripe(stripe_sandbox)["status"] == "needs_response"


@pytest.mark.race
def test_of_many_answers_at_once_one_counts(drafted: Dispute, by: User, stripe_sandbox: Stripe) -> None:
    def answer(act: Answer) -> str:
        try:
            act(drafted, by=by)
        except DomainError as refusal:
            return refusal.code
        return "done"

    jobs = [lambda: answer(submit), lambda: answer(accept)] * 6
    assert Counter(in_parallel(jobs, threads=6)) == {"done": 1, "dispute_answered": 11}
    drafted.refresh_from_db()
    found = at_stripe(stripe_sandbox)
    assert (found["status"], found["evidence_details"]["submission_count"]) in (("under_review", 1), ("lost", 0))
    assert drafted.decision == ("submit" if found["status"] == "under_review" else "accept")
    assert PaymentLog.objects.filter(kind__endswith="_decided").count() == 1


@pytest.mark.race
@pytest.mark.postgres
def test_control_without_the_payments_lock_two_answers_count(
    drafted: Dispute, by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    look = disputes._answerable

    def looks_beside_the_other(dispute: Dispute) -> Dispute:
        found = look(dispute)
        together.wait(timeout=20)
        return found

    monkeypatch.setattr(disputes, "lock_payment", lambda pk: Payment.objects.get(pk=pk))
    monkeypatch.setattr(disputes, "_answerable", looks_beside_the_other)
    jobs = [
        lambda: disputes._decide(drafted, "submit", by).decision,
        lambda: disputes._decide(drafted, "accept", by).decision,
    ]
    assert in_parallel(jobs, threads=2) == ["submit", "accept"]
