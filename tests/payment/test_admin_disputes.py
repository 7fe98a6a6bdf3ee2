"""The dispute desk in the admin: a draft, and the two final answers, each confirmed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.payment.admin.disputes import GROUPS
from apps.payment.models import Dispute, Payment, PaymentLog
from apps.payment.services.evidence import TEXTS
from tests.support.shop import Shop, Stripe, make_variant, work
from tests.support.staff import hidden, history, owner, staff, statements, text_of, told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

DISPUTES = "/admin/payment/dispute/"


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=20)


@pytest.fixture
def dispute(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> Dispute:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox, "pm_card_createDispute")
    return Dispute.objects.get()


def page(dispute: Dispute, name: str) -> str:
    return f"{DISPUTES}{dispute.pk}/{name}/"


def draft(client: Client, dispute: Dispute, **texts: str) -> Any:
    return client.post(page(dispute, "evidence"), texts)


def at_stripe(stripe_sandbox: Stripe) -> tuple[str, str | None]:
    [found] = stripe_sandbox.sandbox.objects("dispute")
    return found["status"], found["evidence"].get("uncategorized_text")


def test_form_has_each_of_stripes_texts_once() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(TEXTS)


def test_list_shows_deadlines_the_most_urgent_first(mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    for _ in range(3):
        buyer = Shop()
        buyer.add(mug)
        buyer.buy(stripe_sandbox, "pm_card_createDispute")
    late, soon, closed = Dispute.objects.order_by("pk")
    Dispute.objects.filter(pk=late.pk).update(due_by=timezone.now() - timedelta(hours=1))
    stripe_sandbox.sandbox.control(f"disputes/{closed.stripe_dispute_id}/decide", outcome="won")
    stripe_sandbox.digest()
    text = text_of(owner().get(DISPUTES))
    late.refresh_from_db()
    assert late.due_by is not None
    assert soon.due_by is not None
    rows = [
        f"{late.due_by:%Y-%m-%d %H:%M} (over) {late.payment.order.number} 10.00 USD needs a response fraudulent",
        f"{soon.due_by:%Y-%m-%d %H:%M} {soon.payment.order.number} 10.00 USD needs a response fraudulent",
        f"closed {closed.payment.order.number} 10.00 USD won fraudulent",
    ]
    places = [text.find(row) for row in rows]
    assert -1 not in places, text
    assert places == sorted(places)


def test_draft_begins_with_what_the_shop_knows_and_is_kept(dispute: Dispute, stripe_sandbox: Stripe) -> None:
    client = staff("answer_dispute")
    shown = client.get(page(dispute, "evidence"))
    assert "This is what the shop can tell by itself" in text_of(shown)
    assert "2 × Product MUG (MUG), physical: 20.00 USD" in shown.content.decode()
    assert Dispute.objects.get().evidence == ""

    answer = draft(client, dispute, uncategorized_text=" First.\r\nSecond. ", customer_name="Ada")
    assert (answer.status_code, answer["Location"]) == (302, page(dispute, "evidence"))
    assert told(answer) == ["The draft is saved. The bank has not seen it."]
    dispute.refresh_from_db()
    assert json.loads(dispute.evidence) == {"uncategorized_text": "First.\nSecond.", "customer_name": "Ada"}
    assert "This is the draft as it was last saved." in text_of(client.get(page(dispute, "evidence")))
    assert history() == [("staff@example.com", "dispute", "Saved a draft of the evidence.")]
    assert at_stripe(stripe_sandbox) == ("needs_response", None)


def test_text_that_is_too_long_is_said_beside_its_field(dispute: Dispute) -> None:
    answer = draft(owner(), dispute, refund_policy_disclosure="x" * 20_001, customer_name="Ada")
    assert "Stripe takes 20,000 characters; these are 20,001." in text_of(answer)
    assert 'value="Ada"' in answer.content.decode()
    assert Dispute.objects.get().evidence == ""


def test_evidence_is_read_again_and_submitted_for_good(dispute: Dispute, stripe_sandbox: Stripe) -> None:
    client = staff("answer_dispute")
    assert page(dispute, "submit") not in client.get(f"{DISPUTES}{dispute.pk}/change/").content.decode()
    first = client.get(page(dispute, "submit"))
    assert (first["Location"], told(first)) == (
        page(dispute, "evidence"),
        ["Save a draft of the evidence before you submit it."],
    )
    saved = client.post(page(dispute, "evidence"), {"uncategorized_text": "It was delivered.", "then_submit": "1"})
    assert saved["Location"] == page(dispute, "submit")
    assert page(dispute, "submit") in client.get(f"{DISPUTES}{dispute.pk}/change/").content.decode()

    shown = client.get(page(dispute, "submit"))
    assert "What the bank will read Uncategorized text It was delivered." in text_of(shown)
    assert "This is final." in text_of(shown)
    assert at_stripe(stripe_sandbox) == ("needs_response", None)
    answer = client.post(page(dispute, "submit"), {"seen": hidden(shown, "seen")})
    assert told(answer)[-1] == "Submitted the evidence. The dispute is now: under review."
    assert at_stripe(stripe_sandbox) == ("under_review", "It was delivered.")
    dispute.refresh_from_db()
    assert (dispute.status, dispute.submissions) == ("under_review", 1)
    assert history()[1:] == [("staff@example.com", "dispute", "Submitted the evidence.")]
    kinds = PaymentLog.objects.filter(kind__startswith="dispute_submit").order_by("pk")
    assert list(kinds.values_list("kind", flat=True)) == ["dispute_submit_decided", "dispute_submit_done"]

    for name in ("evidence", "submit", "accept"):
        again = client.post(page(dispute, name), {"seen": hidden(shown, "seen"), "customer_name": "Eve"})
        assert told(again)[-1].startswith("This dispute does not wait for an answer: ")
    assert page(dispute, "accept") not in client.get(f"{DISPUTES}{dispute.pk}/change/").content.decode()
    [found] = stripe_sandbox.sandbox.objects("dispute")
    assert found["evidence_details"]["submission_count"] == 1


def test_a_draft_that_changed_meanwhile_is_read_again(dispute: Dispute, stripe_sandbox: Stripe) -> None:
    client = owner()
    draft(client, dispute, uncategorized_text="One.")
    seen = hidden(client.get(page(dispute, "submit")), "seen")
    draft(client, dispute, uncategorized_text="Two.")
    answer = client.post(page(dispute, "submit"), {"seen": seen})
    assert answer["Location"] == page(dispute, "submit")
    assert told(answer)[-1] == "The draft has changed since this page was opened. Read it again."
    assert client.post(page(dispute, "submit")).status_code == 302
    assert at_stripe(stripe_sandbox) == ("needs_response", None)
    assert Dispute.objects.get().decision == ""


def test_a_draft_without_texts_is_none(dispute: Dispute) -> None:
    client = owner()
    draft(client, dispute, customer_name=" ")
    assert "This is what the shop can tell by itself" in text_of(client.get(page(dispute, "evidence")))
    assert client.get(page(dispute, "submit"))["Location"] == page(dispute, "evidence")


def test_dispute_is_accepted_for_good(dispute: Dispute, stripe_sandbox: Stripe) -> None:
    client = staff("answer_dispute")
    shown = text_of(client.get(page(dispute, "accept")))
    assert "This is final. The dispute is lost: 20.00 USD stay with the buyer's bank." in shown
    assert Dispute.objects.get().decision == ""
    answer = client.post(page(dispute, "accept"))
    assert told(answer) == ["Accepted the dispute. The dispute is now: lost."]
    assert at_stripe(stripe_sandbox)[0] == "lost"
    dispute.refresh_from_db()
    assert (dispute.status, dispute.decided_by.email) == ("lost", "staff@example.com")  # type: ignore[union-attr]
    assert Payment.objects.get().amount_lost == 2000
    assert history() == [("staff@example.com", "dispute", "Accepted the dispute.")]
    assert told(client.post(page(dispute, "accept")))[-1].startswith("This dispute does not wait for an answer")


def test_stripe_away_keeps_the_decision_and_work_goes_on(
    dispute: Dispute, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("reset", path="/v1/disputes", times=3)
    answer = owner().post(page(dispute, "accept"))
    assert told(answer) == ["Accepted the dispute: Stripe has not answered yet. The shop goes on by itself."]
    assert Dispute.objects.get().status == "needs_response"
    Dispute.objects.update(decision_due_at=timezone.now())
    work()
    assert Dispute.objects.get().status == "lost"


def test_deadline_that_is_over_is_said(dispute: Dispute, stripe_sandbox: Stripe) -> None:
    Dispute.objects.update(due_by=timezone.now() - timedelta(minutes=1))
    answer = owner().post(page(dispute, "accept"))
    assert told(answer) == ["The bank took answers to this dispute until its deadline, which is over."]
    assert at_stripe(stripe_sandbox)[0] == "needs_response"
    assert history() == []


def test_inquiry_says_what_follows_for_inquiries(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    inquiry, client = Dispute.objects.get(), owner()
    assert "The inquiry is closed without an answer." in text_of(client.get(page(inquiry, "accept")))
    draft(client, inquiry, uncategorized_text="One.")
    assert "closes the inquiry or makes a dispute of it" in text_of(client.get(page(inquiry, "submit")))


def test_answering_needs_its_own_permission(dispute: Dispute, stripe_sandbox: Stripe) -> None:
    Dispute.objects.update(evidence='{"customer_name": "Ada Byron"}')
    client = staff("issue_refund", "decide_refund", "change_dispute")
    shown = client.get(f"{DISPUTES}{dispute.pk}/change/").content.decode()
    assert "Ada Byron" not in shown, "a draft is for those who answer"
    for name in ("evidence", "submit", "accept"):
        assert page(dispute, name) not in shown
        assert client.get(page(dispute, name)).status_code == 403
        assert client.post(page(dispute, name), {"customer_name": "Eve"}).status_code == 403
    assert Dispute.objects.get().decision == ""
    assert at_stripe(stripe_sandbox)[0] == "needs_response"


def test_list_takes_as_many_statements_for_many_as_for_one(
    dispute: Dispute, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    client = owner()
    statements(client, DISPUTES)
    one = statements(client, DISPUTES)
    for _ in range(4):
        buyer = Shop()
        buyer.add(mug)
        buyer.buy(stripe_sandbox, "pm_card_createDispute")
    assert Dispute.objects.count() == 5
    assert statements(client, DISPUTES) == one
