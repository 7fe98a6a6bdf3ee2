"""The catalogue as clients see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Category, Price, Product, ProductVariant
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
            "needs_account": False,
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


def test_newest_comes_first() -> None:
    for sku in ("a", "b", "c"):
        make_variant(sku)
    assert [p["slug"] for p in listed("?ordering=newest").json()["results"]] == ["c", "b", "a"]


def test_products_are_ordered_by_the_price_that_can_be_paid() -> None:
    mug, cup = make_variant("mug", price=500), make_variant("cup", price=300)
    for number, (price, active) in enumerate(((100, False), (900, True), (200, True))):
        variant = ProductVariant.objects.create(product=mug.product, sku=f"mug-{number}", active=active)
        Price.objects.create(variant=variant, currency="USD" if number < 2 else "EUR", amount=price)
    Price.objects.create(variant=cup, currency="EUR", amount=100)
    for query in ("?ordering=price", "?ordering=price&search=mug-1+mug", "?ordering=price&search=product"):
        assert [p["slug"] for p in listed(query).json()["results"]] == (["mug"] if "mug-1" in query else ["cup", "mug"])
    assert [p["slug"] for p in listed("?ordering=-price&currency=EUR").json()["results"]] == ["mug", "cup"]


def test_product_found_by_several_skus_is_shown_once_with_all_its_variants() -> None:
    mug = make_variant("MUG-1")
    other = ProductVariant.objects.create(product=mug.product, sku="MUG-2", position=0)
    Price.objects.create(variant=other, currency="USD", amount=100)
    found = listed("?search=mug-&ordering=price").json()
    assert found["count"] == 1
    assert [v["sku"] for v in found["results"][0]["variants"]] == ["MUG-1", "MUG-2"]


def test_pages_lead_through_the_list() -> None:
    for sku in ("a", "b", "c"):
        make_variant(sku)
    first = listed("?page_size=2").json()
    assert (first["count"], first["previous"], len(first["results"])) == (3, None, 2)
    last = Client().get(first["next"]).json()
    assert (last["next"], [p["slug"] for p in last["results"]]) == (None, ["c"])
    assert listed("?page_size=500").json()["count"] == 3


def test_search_and_category_narrow_the_list() -> None:
    make_variant("MUG-1")
    make_variant("CUP-1")
    assert [p["slug"] for p in listed("?search=mug").json()["results"]] == ["mug-1"]
    assert listed("?search=mug+cup").json()["count"] == 0
    assert listed("?category=nothing").json()["count"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "?ordering=sku",
        "?currency=XXX",
        "?search=%00",
        "?search=" + "m" * 201,
        "?search=" + "m+" * 11,
        "?category=%00",
        "?ordering=%00",
        "?currency=%00",
        "?page=0",
        "?page=x",
        "?page=last",
        "?page=%d9%a1",
        "?page=" + "9" * 400,
        "?page_size=-1",
        "?page_size=x",
    ],
)
def test_odd_queries_are_refused_by_field(query: str) -> None:
    make_variant()
    answer = listed(query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert list(answer.json()["fields"]) == [query[1:].partition("=")[0]]


@pytest.mark.parametrize("query", ["?page=2", "?page=999999999"])
def test_page_beyond_the_last_is_not_found(query: str) -> None:
    make_variant()
    answer = listed(query)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("search", ["%ff%fe", "%25", "_", "%5c", "%27;--", "%f0%9f%92%a9", "%ed%a0%80", "+"])
@pytest.mark.parametrize("name", ["search", "category"])
def test_hostile_texts_find_nothing_and_break_nothing(name: str, search: str) -> None:
    make_variant()
    answer = listed(f"?{name}={search}")
    assert answer.status_code == 200
    assert answer.json()["count"] == (1 if (name, search) == ("search", "+") else 0)


@pytest.mark.parametrize("path", ["/api/products/none/", "/api/products/%00/", "/api/products/a b/"])
def test_unknown_product_is_not_found_as_json(path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert set(answer.json()) == {"error", "code"}


def test_only_reading_is_allowed() -> None:
    assert [Client().post(f"/api/{path}/").status_code for path in ("products", "categories")] == [405, 405]


def test_shelves_with_nothing_on_them_are_not_listed() -> None:
    Category.objects.create(slug="empty", name="Empty")
    assert Client().get("/api/categories/").json() == []


def test_a_page_takes_as_many_statements_for_ten_products_as_for_one(django_assert_num_queries: Any) -> None:
    make_variant("S-0")
    with django_assert_num_queries(4):
        listed()
    for number in range(1, 10):
        make_variant(f"S-{number}")
    with django_assert_num_queries(4):
        listed()
