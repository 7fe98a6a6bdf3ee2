"""Names that are markup, through every page of the admin, the mails and the invoice. Formulas: tests/backoffice."""

from __future__ import annotations

import re

import pypdfium2
import pytest
from django.contrib import admin
from django.core import mail
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog.models import Category, Product, ProductVariant
from apps.orders.models import Order
from tests.support.shop import Shop, Stripe, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert('xss')</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
FORMULA = '=HYPERLINK("http://evil.example","x")'
ADDRESS = {
    "name": SCRIPT,
    "line1": IMAGE,
    "line2": "{{ 7*7 }}{% debug %}",
    "city": FORMULA,
    "state": "' autofocus onfocus='alert(1)",
    "postal_code": "<b>1",
    "country": "US",
}
LIVE = re.compile(r"<script>alert|<img src=x|<[^<>]*' autofocus onfocus='|<b>1|>49<", re.IGNORECASE)
"""Any of the names as markup. Escaped they do not match, nor does a quote in a text outside of a tag."""


@pytest.fixture
def bought(stripe_sandbox: Stripe) -> Order:
    """A paid order in which everything that a person may fill in is hostile."""
    person = User.objects.create_user("ada@example.com", "correct horse battery", name=SCRIPT)
    variant = make_variant("MUG-1")
    Category.objects.update(name=SCRIPT)
    Product.objects.update(name=IMAGE, description=SCRIPT)
    ProductVariant.objects.update(name=SCRIPT)
    buyer = Shop(person)
    buyer.add(variant, 2)
    made = buyer.post("/api/orders/", {"email": "ada@example.com", "shipping_address": ADDRESS})
    assert made.status_code == 201, made.content
    answer = buyer.post("/api/payment/checkout/", {"order_number": made.json()["number"]})
    stripe_sandbox.pay(answer.json()["session_id"])
    stripe_sandbox.digest()
    order = Order.objects.get()
    asked = buyer.post(
        "/api/payment/refunds/",
        {"payment_id": order.payments.get().pk, "amount": "1.00", "reason": "other", "description": SCRIPT + IMAGE},
    )
    assert asked.status_code == 202, asked.content
    work()
    return order


@pytest.fixture
def staff() -> Client:
    browser = Client()
    browser.force_login(
        User.objects.create_superuser("owner@example.com", "correct horse battery", name=IMAGE),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return browser


def test_no_page_of_the_admin_takes_a_name_for_markup(bought: Order, staff: Client) -> None:
    pages = ["/admin/"]
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist") + (f"?q={SCRIPT}" if page.search_fields else ""))
        pages.append(reverse(f"{name}_changelist"))
        pages += [reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()[:2]]
        pages += [reverse(f"{name}_history", args=[row.pk]) for row in model._default_manager.all()[:1]]
    shown = 0
    for path in pages:
        answer = staff.get(path)
        assert answer.status_code in (200, 302), path
        text = answer.content.decode()
        assert LIVE.findall(text) == [], path
        shown += "&lt;script&gt;alert(" in text
    assert shown >= 5, "the names are on these pages, escaped"


def test_the_orders_story_and_what_is_linked_from_it_is_text(bought: Order, staff: Client) -> None:
    start = reverse("admin:orders_order_change", args=[bought.pk])
    links = set(re.findall(r'href="(/admin/[^"?#]+)', staff.get(start).content.decode()))
    assert len(links) > 10
    for path in sorted(links):
        answer = staff.get(path)
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            assert LIVE.findall(answer.content.decode()) == [], path


def test_mails_carry_the_names_as_text(bought: Order) -> None:
    assert [message.subject.partition(" ORD-")[0] for message in mail.outbox] == [
        "Your order",
        "Your refund request for order",
    ]
    for message in mail.outbox:
        assert "\n" not in message.subject
        html = message.alternatives[0][0]
        assert LIVE.findall(html) == [], message.subject
    assert any("&lt;script&gt;alert(" in message.alternatives[0][0] for message in mail.outbox)


def test_the_invoice_prints_the_names_and_follows_no_address(bought: Order) -> None:
    """Sockets to anywhere else fail in this suite, so a picture that was fetched would fail it too."""
    buyer = Shop(User.objects.get(email="ada@example.com"))
    content = buyer.get(f"/api/orders/{bought.number}/invoice/").content
    found = "".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(content))
    for name in (SCRIPT, IMAGE, FORMULA, "{{ 7*7 }}{% debug %}"):
        assert "".join(name.split()) in "".join(found.split()), name
