"""Visitors: they buy over the public API, pay at the stand-in, and ask again whenever they get no answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests

from tests.storm.crew import SECRET_KEY
from tests.storm.folder import Folder
from tests.storm.goods import STAFF
from tests.storm.plans import DECLINED, SECURE, Plan

PATIENCE = 150.0
"""Seconds after which a visitor gives up on one call."""

AGAIN = (429, 502, 503, 504)
ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Paris", "postal_code": "75001", "country": "FR"}


class GaveUp(Exception):
    """No answer for too long, or one that ends the visit."""


class World:
    """What all visitors share."""

    def __init__(self, folder: Folder, seed: int, shop: str, stripe: str, goods: dict[str, Any]) -> None:
        self.folder, self.seed, self.shop, self.stripe = folder, seed, shop, stripe
        self.variants = [v for v in goods["variants"] if not v["sku"].startswith("TRACK-")]
        self.password = goods["password"]
        self.answers: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.staff_token = ""
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def count(self, what: str) -> None:
        with self.lock:
            self.answers[what] += 1

    def ended(self, how: str) -> None:
        with self.lock:
            self.ends[how] += 1


class Visitor:
    """One thread's visitor, with a connection and a member's token of its own."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.token = ""
        self.people = 0
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # tokens say who asks

    # Calls

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """One call of the shop's API, repeated until it is answered by anything but "later"."""
        deadline = time.monotonic() + PATIENCE
        pause = 0.2
        while True:
            try:
                found = self.http.request(method, self.world.shop + path, json=body, headers=headers, timeout=45)
            except requests.RequestException:
                self.world.count("none")
            else:
                self.world.count(str(found.status_code))
                if found.status_code == 500:
                    self.world.folder.note("answer_500", method=method, path=path, body=found.text[:300])
                busy = found.status_code == 409 and found.json().get("code") == "idempotency_key_in_use"
                if found.status_code not in AGAIN and not busy and found.status_code != 500:
                    return found
            if time.monotonic() > deadline or self.world.stopped.is_set():
                raise GaveUp(f"no answer: {path.split('?')[0]}")
            time.sleep(pause)
            pause = min(pause * 1.6, 3.0)

    def control(self, name: str, **body: Any) -> requests.Response:
        """One control call of the stand-in, which is always there."""
        return self.http.post(f"{self.world.stripe}/_control/{name}", json=body, timeout=60)

    # A visit

    def visit(self, plan: Plan) -> str:
        """Returns how it ended."""
        for name, rule in plan.rules:
            self.control(name, **rule)
        headers = self._who(plan)
        if plan.way == "course":
            found = self.ask("POST", "/api/enrollment/tracks/DP/checkout/", {}, **headers)
            return self._at_the_page(plan, found, headers)
        self._fill_cart(plan, headers)
        if plan.way == "page":
            return self._at_the_page(plan, self._place(plan, "/api/payment/checkout/", {}, headers), headers)
        return self._with_own_form(plan, headers)

    def _place(self, plan: Plan, path: str, body: Any, headers: dict[str, str]) -> requests.Response:
        """Once more where the member's last order turns out to be paid: its event is late, and Stripe was asked."""
        for turn in range(3):
            key = f"visit-{self.world.seed}-{plan.number}-{turn}"
            found = self.ask("POST", path, body, **headers, **{"Idempotency-Key": key})
            if found.status_code != 409 or found.json().get("code") != "already_paid":
                return found
        self.token = ""  # an earlier order is being paid for by a debit; somebody else comes next
        return found

    def _who(self, plan: Plan) -> dict[str, str]:
        if plan.way != "course" and not plan.member:
            return {}
        if plan.way == "course" or not self.token:
            self.people += 1
            email = f"{self.name}-{plan.number}-{self.people}@storm.test"
            body = {"email": email, "password": f"pass {plan.number} word {self.name}"}
            found = self.ask("POST", "/api/auth/register/", body)
            if found.status_code == 400:  # registered, and the answer was lost
                found = self.ask("POST", "/api/auth/login/", body)
            self._expect(found, 200, 201)
            token = found.json()["token"]
            if plan.way == "course":
                return {"Authorization": f"Token {token}"}
            self.token = token
        return {"Authorization": f"Token {self.token}"}

    def _fill_cart(self, plan: Plan, headers: dict[str, str]) -> None:
        if headers:
            self.ask("DELETE", "/api/cart/", **headers)
        added = 0
        for place, quantity in plan.picks:
            variant = self.world.variants[int(place * len(self.world.variants))]
            body = {"variant_id": variant["id"], "quantity": quantity, "currency": plan.currency}
            found = self.ask("POST", "/api/cart/add/", body, **headers)
            added += found.status_code == 201
            if found.status_code == 201 and not headers:
                headers["X-Cart-Token"] = found.json()["token"]
        if not added:
            raise GaveUp("sold out")

    def _at_the_page(self, plan: Plan, found: requests.Response, headers: dict[str, str]) -> str:
        if found.status_code != 201:
            raise GaveUp(f"checkout {found.status_code} {found.json().get('code')}")
        bought = found.json()
        mine = {k: v for k, v in headers.items() if k == "Authorization"} | {"X-Order-Token": bought["order_token"]}
        number, session = bought["order_number"], bought["session_id"]
        if plan.ending == "leave":
            return "left"
        if plan.ending == "cancel":
            return f"cancelled {self.ask('POST', f'/api/orders/{number}/cancel/', {}, **mine).status_code}"
        if plan.ending == "expire_and_retry":
            self.control(f"sessions/{session}/expire")
            found = self.ask("POST", "/api/payment/checkout/", {"order_number": number}, **mine)
            if found.status_code != 201:
                raise GaveUp(f"retry {found.status_code} {found.json().get('code')}")
            session = found.json()["session_id"]
        if plan.declined_first:
            self.control(f"sessions/{session}/pay", payment_method=DECLINED)
        self._pay_session(plan, session)
        if plan.ending == "pay_and_cancel":
            self.ask("POST", f"/api/orders/{number}/cancel/", {}, **mine)
        if plan.watches:
            self.ask("GET", f"/api/payment/status/?session_id={session}")
        return self._afterwards(plan, self._intent_of(session), number, mine)

    def _pay_session(self, plan: Plan, session: str) -> None:
        email = f"buyer-{plan.number}@storm.test"
        found = self.control(f"sessions/{session}/pay", payment_method=plan.card, email=email)
        if found.status_code == 200 and plan.card == SECURE:
            self.control(f"sessions/{session}/authenticate", passed=True)
        elif found.status_code != 200:
            raise GaveUp(f"page {found.status_code}")

    def _intent_of(self, session: str) -> str:
        found = self.http.get(f"{self.world.stripe}/_control/objects", params={"id": session}, timeout=60)
        return found.json()["data"][0]["payment_intent"] or ""

    def _with_own_form(self, plan: Plan, headers: dict[str, str]) -> str:
        body = {"email": f"buyer-{plan.number}@storm.test", "shipping_address": ADDRESS}
        found = self._place(plan, "/api/orders/", body, headers)
        if found.status_code not in (200, 201):
            raise GaveUp(f"order {found.status_code} {found.json().get('code')}")
        order = found.json()
        number = order["number"]
        mine = {k: v for k, v in headers.items() if k == "Authorization"} | {"X-Order-Token": order["order_token"]}
        key = {"Idempotency-Key": f"intent-{self.world.seed}-{plan.number}"}
        found = self.ask("POST", "/api/payment/intents/", {"order_number": number}, **mine, **key)
        if found.status_code != 201:
            raise GaveUp(f"intent {found.status_code} {found.json().get('code')}")
        payment, intent = found.json()["payment_id"], found.json()["payment_intent_id"]
        if plan.ending == "leave":
            return "left"
        if plan.ending == "cancel":
            return f"cancelled {self.ask('POST', f'/api/payment/payments/{payment}/cancel/', {}, **mine).status_code}"
        if plan.declined_first:
            self._confirm(intent, "pm_card_chargeDeclined")
        self._confirm(intent, "pm_card_visa")
        if plan.ending == "pay_and_cancel":
            self.ask("POST", f"/api/orders/{number}/cancel/", {}, **mine)
        if plan.watches:
            self.ask("POST", f"/api/payment/payments/{payment}/confirm/", {}, **mine)
        return self._afterwards(plan, intent, number, mine)

    def _confirm(self, intent: str, method: str) -> None:
        """What Stripe.js does, until the stand-in answers: faults may hit this call too."""
        for _ in range(20):
            try:
                url = f"{self.world.stripe}/v1/payment_intents/{intent}/confirm"
                data = {"payment_method": method, "return_url": f"{self.world.shop}/back"}
                found = self.http.post(url, data=data, auth=(SECRET_KEY, ""), timeout=40)
            except requests.RequestException:
                continue
            if found.status_code in (200, 400, 402):
                return
            time.sleep(0.3)
        raise GaveUp("confirm")

    # What comes after the money

    def _afterwards(self, plan: Plan, intent: str, number: str, mine: dict[str, str]) -> str:
        if plan.afterwards == "nothing" or not intent:
            return "paid"
        if plan.afterwards == "cancel":
            self.ask("POST", f"/api/orders/{number}/cancel/", {}, **mine)
        elif plan.afterwards.startswith("dashboard"):
            part = {"amount": 300} if plan.afterwards == "dashboard_part" else {}
            self.control("refund", payment_intent=intent, **part)
        elif plan.afterwards.startswith("dispute"):
            self._dispute(intent, plan.afterwards.removeprefix("dispute_"))
        else:
            self._refund_by_staff(plan, number, mine)
        return plan.afterwards

    def _dispute(self, intent: str, outcome: str) -> None:
        found = self.control(f"charges/{intent}/dispute")
        if found.status_code == 200 and outcome != "open":
            self.control(f"disputes/{found.json()['dispute']['id']}/decide", outcome=outcome)

    def _refund_by_staff(self, plan: Plan, number: str, mine: dict[str, str]) -> None:
        """By line, back into stock; or twice in parts, of which both keep their own amount."""
        order = self._paid_order(number, mine)
        if order is None:
            return
        payment = next(p for p in order["payments"] if p["status"] == "succeeded")
        line = order["items"][0]
        body: dict[str, Any] = {"payment_id": payment["id"]}
        if plan.afterwards == "staff_restock":
            body["items"] = [{"order_item_id": line["id"], "quantity": 1, "restock": line["sku"].startswith("THING")}]
            bodies = [body]
        else:
            bodies = [body | {"amount": "1.00"}, body | {"amount": "2.00"}]
        for place, wish in enumerate(bodies):
            key = f"refund-{self.world.seed}-{plan.number}-{place}"
            self._staff("POST", "/api/payment/refunds/", wish, key)

    def _paid_order(self, number: str, mine: dict[str, str]) -> dict[str, Any] | None:
        for _ in range(12):
            order = self.ask("GET", f"/api/orders/{number}/", **mine).json()
            if order["payment_status"] == "paid":
                return dict(order)
            time.sleep(1)
        return None

    def _staff(self, method: str, path: str, body: Any, key: str) -> requests.Response:
        with self.world.lock:
            token = self.world.staff_token
        if not token:
            found = self.ask("POST", "/api/auth/login/", {"email": STAFF, "password": self.world.password})
            self._expect(found, 200)
            token = self.world.staff_token = found.json()["token"]
        return self.ask(method, path, body, Authorization=f"Token {token}", **{"Idempotency-Key": key})

    def _expect(self, found: requests.Response, *codes: int) -> None:
        if found.status_code not in codes:
            raise GaveUp(f"{found.request.path_url} {found.status_code} {found.text[:80]}")
