"""One person's life with a shop, through every door that it has, with a canary in every field."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.payment.models import AttentionCase, Dispute, Payment, Refund
from tests.privacy.search import EMAIL, WORD, canary
from tests.support.sandbox import SECRET_KEY
from tests.support.shop import Shop, Stripe, deliver, make_variant, work
from tests.support.staff import owner

PASSWORD = "correct horse battery"
ADDRESS = {
    "name": canary("recipient"),
    "line1": canary("street"),
    "line2": canary("floor"),
    "city": canary("town"),
    "state": "CA",
    "postal_code": "94103",
    "country": "US",
}
SHIPPING = {
    "name": ADDRESS["name"],
    "address": {name: text for name, text in ADDRESS.items() if name != "name"},
}
LATE = (
    "charge.succeeded",
    "charge.updated",
    "charge.failed",
    "customer.",
    "payment_intent.created",
    "payment_method.",
    "setup_intent.",
)
"""Events that Stripe is slow to deliver here, some of them for weeks."""


@dataclass
class Life:
    """What is left of it: the shop's staff, and events that were not delivered."""

    desk: Client
    late: list[dict[str, Any]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    friends_payment: str = ""

    def digest(self, stripe: Stripe) -> None:
        """Deliver what is new and work on it. Of the slow ones, every other event of a type stays behind, and all of
        the friend's payment.
        """
        for event in stripe.new_events():
            if self._is_late(event):
                self.late.append(event)
                continue
            assert deliver(event).status_code == 200, event["type"]
        work()

    def _is_late(self, event: dict[str, Any]) -> bool:
        self.seen[event["type"]] += 1
        if not event["type"].startswith(LATE):
            return False
        of_friend = event["data"]["object"].get("metadata", {}).get("proshop_payment") == self.friends_payment
        return of_friend or self.seen[event["type"]] % 2 == 1


def live(stripe: Stripe, track: Any) -> Life:
    """From the first visit to the last refund; nothing is open at the end."""
    life = Life(desk=owner())
    mug = make_variant("MUG", price=1000, stock=50)
    book = make_variant("BOOK", price=2500, stock=None, kind="digital")
    person = _signs_up()
    _saves_a_card(person, stripe)
    life.digest(stripe)
    _buys_on_stripes_page(person, stripe, life, mug)
    _pays_with_own_form(person, stripe, life, book)
    _learns(person, stripe, life, track)
    _buys_as_guest(stripe, life, mug)
    _is_named_by_somebody_else(stripe, life, book)
    _asks_for_money_back(person, stripe, life)
    _disputes(stripe, life)
    _is_looked_after(life)
    person.add(book)  # and leaves it in the cart
    _asks_for_a_password()
    work()
    return life


def _signs_up() -> Shop:
    shop = Shop()
    body = {"email": EMAIL.upper(), "password": PASSWORD, "name": canary("name")}
    answer = shop.post("/api/auth/register/", body)
    assert answer.status_code == 201, answer.content
    person = Shop()
    person.client.defaults["HTTP_AUTHORIZATION"] = f"Token {answer.json()['token']}"
    person.client.defaults["HTTP_USER_AGENT"] = canary("browser")
    browser = {"User-Agent": canary("browser")}
    assert shop.post("/api/auth/login/", {"email": EMAIL, "password": "wrong"}, **browser).status_code == 401
    Client().post("/admin/login/", {"username": EMAIL, "password": "wrong"}, headers=browser)
    renamed = person.call("PATCH", "/api/auth/me/", {"name": canary("new name")})
    assert renamed.status_code == 200
    # A session, as a frontend on the shop's own origin has one.
    Client().force_login(User.objects.get(email=EMAIL), backend="django.contrib.auth.backends.ModelBackend")
    return person


def _card(stripe: Stripe, number: str = "tok_visa") -> str:
    billing = {
        "billing_details[name]": canary("card name"),
        "billing_details[email]": EMAIL,
        "billing_details[phone]": f"+1 {WORD}",
        "billing_details[address][line1]": canary("billing street"),
        "billing_details[address][city]": canary("billing town"),
        "billing_details[address][country]": "US",
    }
    made = stripe.sandbox.post("/v1/payment_methods", type="card", **{"card[token]": number}, **billing)
    return str(made["id"])


def _pays(stripe: Stripe, session_id: str, name: str, **how: Any) -> None:
    """On Stripe's page."""
    answer = requests.post(
        f"{stripe.sandbox.address}/_control/sessions/{session_id}/pay",
        json={"payment_method": "pm_card_visa", "email": EMAIL, "name": name, **how},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text


def _saves_a_card(person: Shop, stripe: Stripe) -> None:
    setup = person.post("/api/payment/methods/setup/").json()["setup_intent_id"]
    stripe.sandbox.post(
        f"/v1/setup_intents/{setup}/confirm", payment_method=_card(stripe), return_url="http://localhost/"
    )
    assert person.post("/api/payment/methods/", {"setup_intent": setup}).status_code == 201


def _buys_on_stripes_page(person: Shop, stripe: Stripe, life: Life, mug: ProductVariant) -> None:
    person.add(mug, 2)
    bought = person.post(
        "/api/payment/checkout/", {"save_payment_method": True}, **{"Idempotency-Key": f"{WORD}-checkout"}
    ).json()
    _pays(stripe, bought["session_id"], canary("card name"), payment_method="pm_card_mastercard", shipping=SHIPPING)
    life.digest(stripe)
    order = Order.objects.get(number=bought["order_number"])
    assert order.shipping_address is not None
    shipped = {"tracking_number": canary("parcel"), "_form_submitted": "True"}
    assert life.desk.post(f"/admin/orders/order/{order.pk}/ship/", shipped).status_code == 200
    work()


def _pays_with_own_form(person: Shop, stripe: Stripe, life: Life, book: ProductVariant) -> None:
    """Declined first; then the frontend comes back with another card."""
    person.add(book, 2)
    placed = person.post(
        "/api/orders/", {"email": EMAIL, "shipping_address": ADDRESS}, **{"Idempotency-Key": f"{WORD} order"}
    ).json()
    intent = person.post("/api/payment/intents/", {"order_number": placed["number"]}).json()["payment_intent_id"]
    for token in ("tok_chargeDeclined", "tok_visa"):
        requests.post(
            f"{stripe.sandbox.address}/v1/payment_intents/{intent}/confirm",
            data={"payment_method": _card(stripe, token), "receipt_email": EMAIL, "return_url": "http://localhost/"},
            headers={"Authorization": f"Bearer {SECRET_KEY}"},
            timeout=10,
        )
        life.digest(stripe)
    assert Order.objects.get(number=placed["number"]).is_paid


def _learns(person: Shop, stripe: Stripe, life: Life, track: Any) -> None:
    started = person.post(f"/api/enrollment/tracks/{track.code}/checkout/").json()
    _pays(stripe, started["session_id"], canary("card name"))
    life.digest(stripe)
    assert person.get("/api/enrollment/me/").json()["status"] == "enrolled"


def _buys_as_guest(stripe: Stripe, life: Life, mug: ProductVariant) -> None:
    guest = Shop()
    guest.add(mug)
    body = {"email": EMAIL.capitalize(), "shipping_address": ADDRESS}
    placed = guest.post("/api/orders/", body, **{"Idempotency-Key": f"{WORD} guest"}).json()
    session = guest.post(
        "/api/payment/checkout/",
        {"order_number": placed["number"]},
        **{"X-Order-Token": placed["order_token"]},
    ).json()["session_id"]
    _pays(stripe, session, canary("guest card"))
    life.digest(stripe)
    invoice = guest.get(f"/api/orders/{placed['number']}/invoice/", **{"X-Order-Token": placed["order_token"]})
    assert invoice.status_code == 200
    # Another one never gets paid, and its buyer corrected the address in between.
    other = Shop()
    other.add(mug)
    left = other.post("/api/orders/", {**body, "email": f"{WORD}.typo@example.com"}).json()
    other.post("/api/payment/intents/", {"order_number": left["number"]}, **{"X-Order-Token": left["order_token"]})
    assert other.post("/api/orders/", body).json()["number"] == left["number"]
    cancelled = other.post(f"/api/orders/{left['number']}/cancel/", **{"X-Order-Token": left["order_token"]})
    assert cancelled.status_code == 200
    life.digest(stripe)


def _is_named_by_somebody_else(stripe: Stripe, life: Life, book: ProductVariant) -> None:
    friend = Shop(User.objects.create_user("friend@example.com", PASSWORD, name="A friend"))
    friend.add(book)
    bought = friend.checkout(email=EMAIL).json()
    life.friends_payment = Payment.objects.get(order__number=bought["order_number"]).reference
    _pays(stripe, bought["session_id"], "A friend")
    life.digest(stripe)


def _asks_for_money_back(person: Shop, stripe: Stripe, life: Life) -> None:
    mine = Payment.objects.filter(order__user__email=EMAIL, applied=True).order_by("pk")
    first, second = mine[0], mine[1]
    asked = [
        person.post(
            "/api/payment/refunds/",
            {"payment_id": payment.pk, "amount": "10.00", "description": canary("complaint")},
            **{"Idempotency-Key": f"{WORD} refund {payment.pk}"},
        ).json()["id"]
        for payment in (first, second)
    ]
    work()
    refused = life.desk.post(f"/admin/payment/refund/{asked[0]}/reject/", {"note": canary("note of staff")})
    assert refused.status_code == 302
    page = life.desk.get(f"/admin/payment/refund/{asked[1]}/approve/")
    assert page.status_code == 200
    assert life.desk.post(f"/admin/payment/refund/{asked[1]}/approve/", {}).status_code == 302
    life.digest(stripe)
    assert {Refund.objects.get(pk=pk).status for pk in asked} == {"rejected", "succeeded"}


def _disputes(stripe: Stripe, life: Life) -> None:
    payment = Payment.objects.filter(order__user=None, applied=True).get()
    stripe.sandbox.control(f"charges/{payment.stripe_payment_intent_id}/dispute", reason="fraudulent")
    life.digest(stripe)
    dispute = Dispute.objects.get()
    texts = {"customer_name": canary("evidence"), "uncategorized_text": canary("story")}
    assert life.desk.post(f"/admin/payment/dispute/{dispute.pk}/evidence/", texts).status_code == 302
    stripe.sandbox.control(f"disputes/{dispute.stripe_dispute_id}/decide", outcome="lost")
    life.digest(stripe)


def _is_looked_after(life: Life) -> None:
    """Staff finds the person, changes the account, works on a case, and one e-mail does not get through."""
    user = User.objects.get(email=EMAIL)
    assert life.desk.get("/admin/accounts/user/", {"q": canary("new name")}).status_code == 200
    assert life.desk.get("/admin/orders/order/", {"q": EMAIL}).status_code == 200
    form = {"email": EMAIL, "name": canary("third name"), "is_active": "on", "trail_reason": canary("reason")}
    answer = life.desk.post(f"/admin/accounts/user/{user.pk}/change/", form)
    assert answer.status_code == 302, answer.content
    case = AttentionCase.objects.create(
        payment=Payment.objects.filter(order__user=user).latest("pk"), kind="long_on_its_way", detail="By hand."
    )
    assert life.desk.post(f"/admin/payment/attentioncase/{case.pk}/solve/", {"note": canary("case")}).status_code == 302
    stuck = Mail.objects.filter(recipient=EMAIL).latest("pk")
    Mail.objects.filter(pk=stuck.pk).update(
        state="failed", last_error=f"SMTPRecipientsRefused: {EMAIL}", sent_at=None, due_at=timezone.now()
    )
    mailbox.outbox.clear()


def _asks_for_a_password() -> None:
    assert Shop().post("/api/auth/password/reset/", {"email": EMAIL}).status_code == 200
