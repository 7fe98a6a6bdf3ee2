"""Products from a file: all of it or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import User
from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.inventory.imports import Imported, ImportRefused, import_products
from apps.inventory.models import StockMovement
from apps.payment.invariants import verify

pytestmark = pytest.mark.django_db(transaction=True)
HEADER = "sku,product,variant,category,kind,price,currency,stock\n"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def write_and_import(*lines: str, header: str = HEADER) -> Imported:
        path = tmp_path / "products.csv"
        path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return import_products(path)

    return write_and_import


def test_file_is_created_then_updated_and_then_found_unchanged(load: Any) -> None:
    assert load("A,Mug,Green,Coffee,physical,12.50,USD,5", "A,Mug,Green,Coffee,physical,1900,JPY,5") == Imported(
        1, 0, 0
    )
    mug = ProductVariant.objects.get()
    assert (mug.product.name, mug.product.slug, mug.name, mug.stock, mug.opening_stock) == ("Mug", "mug", "Green", 5, 5)
    assert sorted(Price.objects.values_list("currency", "amount")) == [("JPY", 1900), ("USD", 1250)]

    same = ("A,Mug,Blue,Coffee,physical,13.00,USD,8", "A,Mug,Blue,Coffee,physical,1900,JPY,8")
    assert load(*same) == Imported(0, 1, 0)
    mug.refresh_from_db()
    assert (mug.name, mug.stock, mug.opening_stock) == ("Blue", 8, 5)
    assert list(StockMovement.objects.values_list("quantity", "kind")) == [(3, "import")]

    assert load(*same) == Imported(0, 0, 1)
    assert StockMovement.objects.count() == 1
    assert verify() == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("B,Mug,,Coffee,physical,12.50,USD", "line 3: 7 cells, not 8."),
        (",Mug,,Coffee,physical,12.50,USD,5", "line 3: sku is empty."),
        ("B,Mug,,Coffee,liquid,12.50,USD,5", "line 3: kind is 'liquid'; it takes physical or digital."),
        ("B,Mug,,Coffee,physical,12.505,USD,5", "line 3: price '12.505' is not an amount in USD."),
        ("B,Mug,,Coffee,physical,12.5,JPY,5", "line 3: price '12.5' is not an amount in JPY."),
        ("B,Mug,,Coffee,physical,x,USD,5", "line 3: price 'x' is not an amount in USD."),
        ("B,Mug,,Coffee,physical,-1,USD,5", "line 3: price -1 is out of range."),
        ("B,Mug,,Coffee,physical,1,XXX,5", "line 3: 'XXX' is not a currency that Stripe supports."),
        (
            "B,Mug,,Coffee,physical,1,USD,-1",
            "line 3: stock is '-1'; it takes a whole number up to 1000000000, or nothing.",
        ),
        ("B,Mug\x00,,Coffee,physical,1,USD,1", "line 3: product has a control character."),
        ("B" * 65 + ",Mug,,Coffee,physical,1,USD,1", "line 3: sku is longer than 64 characters."),
        ("A,Mug,,Coffee,physical,1,EUR,6", "line 3: A differs from line 2 in more than price and currency."),
        ("A,Mug,,Coffee,physical,1,USD,5", "line 3: A has a price in USD in line 2 already."),
    ],
)
def test_one_bad_row_applies_nothing_and_is_named(load: Any, line: str, reason: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        load("A,Mug,,Coffee,physical,12.50,USD,5", line)
    assert refused.value.errors == [reason]
    assert (Category.objects.count(), Product.objects.count(), ProductVariant.objects.count()) == (0, 0, 0)


def test_wrong_columns_are_refused(load: Any) -> None:
    with pytest.raises(ImportRefused, match="line 1: the columns must be sku,product"):
        load(header="sku,name\n")


def test_stock_below_what_is_held_is_refused_and_nothing_is_applied(load: Any) -> None:
    load("A,Mug,,Coffee,physical,12.50,USD,5")
    ProductVariant.objects.update(held=3)
    with pytest.raises(ImportRefused) as refused:
        load("N,New,,Coffee,physical,1.00,USD,1", "A,Mug,,Coffee,physical,12.50,USD,2")
    assert refused.value.errors == ["line 3: 3 of A are held by open orders."]
    assert ProductVariant.objects.count() == 1


def test_command_names_every_error_and_fails(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "A,Mug,,Coffee,liquid,1,USD,1\nB,Mug,,Coffee,physical,x,USD,1\n")
    with pytest.raises(CommandError, match=r"Nothing was imported\."):
        call_command("import_products", str(path))
    errors = capsys.readouterr().err
    assert "line 2:" in errors
    assert "line 3:" in errors


def test_statements_grow_with_batches_and_not_with_rows(load: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(40):
        load(*(f"S{n},Thing {n},,Coffee,physical,1.00,USD,1" for n in range(400)))


def test_seed_fills_the_shop_once(capsys: Any, settings: Any) -> None:
    settings.DEBUG = True
    call_command("seed_demo")
    first = capsys.readouterr().out
    assert "sign-in buyer: demo@example.com / " in first
    assert "sign-in staff: admin@example.com / " in first
    assert Product.objects.count() == 23
    assert Category.objects.count() == 6
    assert Price.objects.get(variant__sku="TRACK-DP").amount == 49900
    assert Price.objects.get(variant__sku="TRACK-FSD").amount == 59900
    assert not Product.objects.filter(image_url="").exists()
    ProductVariant.objects.filter(sku="CAP-1").update(stock=49)
    StockMovement.objects.create(variant=ProductVariant.objects.get(sku="CAP-1"), quantity=-1, kind="adjustment")

    call_command("seed_demo")
    assert "0 variants created, 0 updated" in capsys.readouterr().out
    assert ProductVariant.objects.get(sku="CAP-1").stock == 49
    assert User.objects.count() == 2
    assert verify() == []


def test_seed_makes_no_sign_ins_outside_development(capsys: Any) -> None:
    call_command("seed_demo")
    assert "sign-in" not in capsys.readouterr().out
    assert User.objects.count() == 0


def test_variants_keep_the_order_of_the_file(load: Any) -> None:
    load("S,Tee,S,Apparel,physical,1.00,USD,1", "M,Tee,M,Apparel,physical,1.00,USD,1")
    assert [variant.sku for variant in Product.objects.get().variants.all()] == ["S", "M"]
