"""The catalogue as clients see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Price, Product, ProductVariant
from tests.support.shop import make_variant

pytestmark = pytest.mark.django_db


def listed(query: str = "") -> Any:
    return Client().get(f"/api/products/{query}")


def test_product_is_shown_with_what_can_be_bought_of_it() -> None:
    mug = make_variant("MUG-1", price=1250, stock=5)
    ProductVariant.objects.filter(pk=mug.pk).update(held=2)
    assert listed().json()["results"] == [
        {
            "id": mug.product_id,
            "slug": "mug-1",
            "name": "Product MUG-1",
            "description": "",
            "image_url": "",
            "category": "things",
            "category_name": "Things",
            "kind": "physical",
            "variants": [
                {"id": mug.pk, "sku": "MUG-1", "name": "", "price": "12.50", "currency": "USD", "available": 3}
            ],
        }
    ]
    assert Client().get("/api/products/mug-1/").json() == listed().json()["results"][0]
    assert Client().get("/api/categories/").json() == [{"slug": "things", "name": "Things"}]


def test_stock_that_is_not_counted_is_null() -> None:
    make_variant("EBOOK", stock=None, kind="digital")
    assert listed().json()["results"][0]["variants"][0]["available"] is None


def test_only_what_has_a_price_in_the_currency_is_shown() -> None:
    mug = make_variant("MUG-1")
    make_variant("CUP-1")
    Price.objects.create(variant=mug, currency="JPY", amount=1900)
    shown = listed("?currency=jpy").json()["results"]
    assert [(p["slug"], p["variants"][0]["price"]) for p in shown] == [("mug-1", "1900")]
    assert Client().get("/api/products/cup-1/?currency=JPY").status_code == 404


def test_inactive_products_and_variants_are_not_shown() -> None:
    mug, cup = make_variant("MUG-1"), make_variant("CUP-1")
    Product.objects.filter(pk=mug.product_id).update(active=False)
    ProductVariant.objects.filter(pk=cup.pk).update(active=False)
    assert listed().json()["count"] == 0


@pytest.mark.parametrize(
    ("ordering", "slugs"),
    [("name", ["a", "b", "c"]), ("-name", ["c", "b", "a"]), ("price", ["b", "c", "a"]), ("-price", ["a", "c", "b"])],
)
def test_ordering(ordering: str, slugs: list[str]) -> None:
    for sku, price in (("a", 300), ("b", 100), ("c", 200)):
        make_variant(sku, price=price)
    assert [p["slug"] for p in listed(f"?ordering={ordering}").json()["results"]] == slugs


def test_search_and_category_narrow_the_list() -> None:
    make_variant("MUG-1")
    make_variant("CUP-1")
    assert [p["slug"] for p in listed("?search=mug").json()["results"]] == ["mug-1"]
    assert listed("?search=mug+cup").json()["count"] == 0
    assert listed("?category=nothing").json()["count"] == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?ordering=sku", 400),
        ("?currency=XXX", 400),
        ("?search=%00", 400),
        ("?page=0", 404),
        ("?page=99", 404),
        ("?page=x", 404),
        ("?page=" + "9" * 400, 404),
        ("?page_size=-1", 200),
        ("?search=%ff%fe", 200),
    ],
)
def test_odd_queries_get_a_clear_answer(query: str, status: int) -> None:
    make_variant()
    answer = listed(query)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"


def test_a_page_takes_as_many_statements_for_ten_products_as_for_one(django_assert_num_queries: Any) -> None:
    make_variant("S-0")
    with django_assert_num_queries(4):
        listed()
    for number in range(1, 10):
        make_variant(f"S-{number}")
    with django_assert_num_queries(4):
        listed()
