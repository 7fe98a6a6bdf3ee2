"""Who calls the API, and what they know: ids and tokens of their own and of others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.tokens import default_token_generator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from knox.models import AuthToken

from apps.accounts.models import User
from apps.cart.models import CartItem
from apps.enrollment.models import Step, Track
from apps.orders.models import Order
from apps.payment.models import Payment, PaymentMethod
from tests.enrollment.courses import make_track
from tests.hostile.world import ADDRESS
from tests.support.shop import Shop, Stripe, make_user, make_variant

CALLERS = ("nobody", "a buyer", "staff")
PASSWORD = "correct horse battery"


@dataclass
class Caller:
    """`values` by the name of a parameter or field, `headers` by their name."""

    name: str
    values: dict[str, list[Any]] = field(default_factory=dict)
    headers: dict[str, list[str]] = field(default_factory=dict)
    person: User | None = None

    def sign_in(self) -> None:
        """Have a token that works, and a password that is the one that is told."""
        if self.person:
            self.person.set_password(PASSWORD)
            self.person.save()
            self.headers["Authorization"] = [f"Token {AuthToken.objects.create(self.person)[1]}"]
            self.values["token"] = [default_token_generator.make_token(self.person)]


def make_caller(stripe: Stripe, name: str, tag: str) -> Caller:
    """A caller with a cart, with orders of their own in several states, and with knowledge of somebody else's."""
    variants = [make_variant(f"{tag}-{n}", price=1000 + n, stock=60) for n in range(2)]
    variants.append(make_variant(f"{tag}-D", price=700, stock=None, kind="digital"))
    track = Track.objects.order_by("pk").first() or make_track()
    caller = Caller(name)
    person = None if name == "nobody" else make_user(f"{name[-5:].strip()}-{tag}@example.com")
    if name == "staff":
        User.objects.filter(pk=person.pk).update(is_staff=True, is_superuser=True)
    other = Shop(make_user(f"other-{tag}@example.com"))
    tokens, carts = [], []
    for frontend in (Shop(person), other):
        tokens += buy(frontend, stripe, variants)
    idle = Shop()
    idle.add(variants[0], 2)
    carts.append(idle.cart_token)
    caller.headers = {"X-Cart-Token": carts, "X-Order-Token": tokens}
    if person:
        save_a_card(Shop(person), stripe)
        person.refresh_from_db()
        caller.person = person
        del caller.headers["X-Cart-Token"]
        Shop(person).add(variants[1], 3)
    caller.values = values_of(caller, person or User.objects.get(email=f"other-{tag}@example.com"), variants, track)
    return caller


def buy(frontend: Shop, stripe: Stripe, variants: list[Any]) -> list[str]:
    """One order that is paid and one that is not; their tokens."""
    tokens = []
    for paid in (True, False):
        frontend.add(variants[0], 2)
        frontend.add(variants[2])
        answer = frontend.post(
            "/api/orders/", {"email": "buyer@example.com", "shipping_address": {**ADDRESS, "line2": ""}}
        ).json()
        tokens.append(answer["order_token"])
        if paid:
            named = {"order_number": answer["number"]}
            bought = frontend.post("/api/payment/checkout/", named, **{"X-Order-Token": answer["order_token"]}).json()
            stripe.pay(bought["session_id"])
            stripe.digest()
        frontend.call("DELETE", "/api/cart/")
        frontend.cart_token = ""
    return tokens


def save_a_card(frontend: Shop, stripe: Stripe) -> None:
    setup = frontend.post("/api/payment/methods/setup/").json()["setup_intent_id"]
    stripe.sandbox.post(f"/v1/setup_intents/{setup}/confirm", payment_method="pm_card_visa")
    assert frontend.post("/api/payment/methods/", {"setup_intent": setup}).status_code == 201


def values_of(caller: Caller, person: User, variants: list[Any], track: Track) -> dict[str, list[Any]]:
    orders = list(Order.objects.order_by("-pk")[:6])
    payments = list(Payment.objects.order_by("-pk")[:4])
    numbers = [order.number for order in orders]
    uid = urlsafe_base64_encode(force_bytes(person.pk))
    return {
        "variant_id": [variant.pk for variant in variants],
        "item_id": list(CartItem.objects.order_by("-pk").values_list("pk", flat=True)[:4]),
        "quantity": [1, 2, 3, 0, 999, 1000, -1],
        "currency": ["USD", "usd", "EUR", "XXX"],
        "number": numbers,
        "order_number": numbers,
        "order_item_id": [item.pk for order in orders for item in order.items.all()],
        "payment_id": [payment.pk for payment in payments],
        "amount": ["1.00", "0.01", "0", "-1.00", "1e3", "99999999999999999999", "1.001", "\u0661.\u0660\u0660"],
        "document": ["invoice", "credit_note"],
        "session_id": [payment.stripe_session_id or "cs_test_x" for payment in payments],
        "payment_method": [method.stripe_payment_method_id for method in PaymentMethod.objects.order_by("-pk")[:2]]
        + ["pm_card_visa", "pm_card_chargeDeclined", "pm_nothing"],
        "method_id": list(PaymentMethod.objects.order_by("-pk").values_list("pk", flat=True)[:2]) or [1],
        "code": [track.code, track.code.lower()],
        "track": [track.code],
        "step_id": list(Step.objects.values_list("pk", flat=True)[:3]),
        "slug": [variant.product.slug for variant in variants],
        "category": ["things", "nothing"],
        "ordering": ["price", "-price", "name", "created", "password", "?"],
        "email": [person.email, "new@example.com", "BUYER@EXAMPLE.COM"],
        "password": [PASSWORD, "wrong", "another long password 1"],
        "uid": [uid],
        "token": [default_token_generator.make_token(person)],
        "page": [1, 2, 0, -1, 10**30, "last"],
        "page_size": [1, 100, 101, 0, "x"],
        "shipping_address": [{**ADDRESS, "line2": ""}, {**ADDRESS, "country": "XX"}],
    }
