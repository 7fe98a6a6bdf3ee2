"""The catalogue as staff see it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.common.money import decimals, to_major
from tests.support.shop import make_variant
from tests.support.staff import CONFIRMED

pytestmark = pytest.mark.django_db

VARIANTS = "/admin/catalog/productvariant/"
PRODUCTS = "/admin/catalog/product/"


@pytest.fixture
def owner() -> Client:
    client = Client()
    user = User.objects.create_superuser("owner@example.com", "correct horse battery")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def mug() -> ProductVariant:
    return make_variant("MUG-1", price=1250, stock=5)


def form(variant: ProductVariant, *prices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What the variant's page posts; each price a row of its table."""
    rows = {f"prices-{n}-{name}": value for n, row in enumerate(prices) for name, value in row.items()}
    count = {"prices-TOTAL_FORMS": len(prices), "prices-INITIAL_FORMS": sum("id" in row for row in prices)}
    page = {"product": variant.product_id, "sku": variant.sku, "name": variant.name, "position": 0, "active": "on"}
    return {**page, **count, **rows, **fields}


def price_row(variant: ProductVariant, **fields: str) -> dict[str, Any]:
    row = variant.prices.get()
    return {"id": row.pk, "variant": variant.pk, "currency": row.currency, "price": "12.50", **fields}


def test_prices_are_shown_and_changed_in_major_units(owner: Client, mug: ProductVariant) -> None:
    page = owner.get(f"{VARIANTS}{mug.pk}/change/").content.decode()
    assert 'value="12.50"' in page
    assert "1250" not in page
    posted = form(mug, price_row(mug, price="13.75"), {"variant": mug.pk, "currency": "kwd", "price": "4.510"})
    assert owner.post(f"{VARIANTS}{mug.pk}/change/", posted).status_code == 302
    assert sorted(mug.prices.values_list("currency", "amount")) == [("KWD", 4510), ("USD", 1375)]


@pytest.mark.parametrize(
    ("currency", "price"),
    [
        ("USD", "12.505"),
        ("JPY", "12.50"),
        ("USD", "-1"),
        ("USD", "x"),
        ("USD", "1000000"),
        ("XXX", "1"),
        ("USD", ""),
        ("ISK", "5.50"),
        ("KWD", "1.005"),
    ],
)
def test_price_that_cannot_be_is_refused(owner: Client, mug: ProductVariant, currency: str, price: str) -> None:
    posted = form(mug, price_row(mug, currency=currency, price=price))
    assert owner.post(f"{VARIANTS}{mug.pk}/change/", posted).status_code == 200
    assert Price.objects.values_list("currency", "amount").get() == ("USD", 1250)


@pytest.mark.parametrize(
    ("currency", "price", "advice"),
    [
        ("USD", "0.49", "$0.49 is less than Stripe takes in one payment, which is $0.50."),
        ("HUF", "174.99", "HUF\u00a0174.99 is less than Stripe takes in one payment, which is HUF\u00a0175.00."),
        ("USD", "0.50", ""),
        ("USD", "0", ""),
        ("KWD", "0.010", ""),
    ],
)
def test_a_price_below_the_smallest_payment_is_saved_with_advice(
    owner: Client, mug: ProductVariant, currency: str, price: str, advice: str
) -> None:
    posted = form(mug, price_row(mug, currency=currency, price=price))
    answer = owner.post(f"{VARIANTS}{mug.pk}/change/", posted)
    assert answer.status_code == 302
    assert to_major(mug.prices.get().amount, currency) == f"{Decimal(price):.{decimals(currency)}f}"
    told = [str(message) for message in get_messages(answer.wsgi_request) if message.level == messages.WARNING]
    assert told == ([advice] if advice else [])


def test_a_price_that_stays_as_it_was_is_not_advised_against_again(owner: Client, mug: ProductVariant) -> None:
    mug.prices.update(amount=1)
    answer = owner.post(f"{VARIANTS}{mug.pk}/change/", form(mug, price_row(mug, price="0.01"), name="Green"))
    assert [m.level for m in get_messages(answer.wsgi_request)] == [messages.SUCCESS]


def test_stock_is_read_and_never_written_here(owner: Client, mug: ProductVariant) -> None:
    posted = form(mug, price_row(mug), name="Green", stock=99, held=9, opening_stock=99)
    assert owner.post(f"{VARIANTS}{mug.pk}/change/", posted).status_code == 302
    mug.refresh_from_db()
    assert (mug.name, mug.stock, mug.held, mug.opening_stock) == ("Green", 5, 0, 5)


def test_variant_added_by_hand_is_not_counted(owner: Client, mug: ProductVariant) -> None:
    posted = form(mug, {"currency": "USD", "price": "9"}, sku="MUG-2")
    assert owner.post(f"{VARIANTS}add/", posted).status_code == 302
    added = ProductVariant.objects.get(sku="MUG-2")
    assert (added.stock, added.opening_stock, added.prices.get().amount) == (None, None, 900)


@pytest.mark.parametrize("model", [Category, Product, ProductVariant])
def test_nothing_that_may_have_been_sold_is_deleted(owner: Client, mug: ProductVariant, model: Any) -> None:
    row = model.objects.get()
    page = f"/admin/catalog/{model._meta.model_name}/"
    assert owner.post(f"{page}{row.pk}/delete/", CONFIRMED).status_code == 403
    owner.post(page, {"action": "delete_selected", "_selected_action": [row.pk], **CONFIRMED})
    assert model.objects.count() == 1


def test_products_are_found_by_name_and_sku(owner: Client, mug: ProductVariant) -> None:
    make_variant("CUP-1")
    for query in ("mug-1", "Product MUG"):
        for page in (PRODUCTS, VARIANTS):
            shown = owner.get(page, {"q": query}).content.decode()
            assert "MUG-1" in shown
            assert "CUP-1" not in shown


@pytest.mark.parametrize("page", [PRODUCTS, VARIANTS, "a product"])
def test_pages_take_as_many_statements_for_many_rows_as_for_one(owner: Client, mug: ProductVariant, page: str) -> None:
    address = f"{PRODUCTS}{mug.product_id}/change/" if page == "a product" else page

    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            assert owner.get(address).status_code == 200
        return len(found)

    statements()
    one = statements()
    for number in range(2, 12):
        make_variant(f"MUG-{number}")
        ProductVariant.objects.create(product=mug.product, sku=f"OTHER-{number}")
    assert statements() == one
