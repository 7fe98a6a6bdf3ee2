"""Products from a file: all of it or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit.models import AuditEntry
from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.inventory import imports, services
from apps.inventory.imports import Imported, ImportRefused, import_products
from apps.inventory.management.commands import import_products as command
from apps.inventory.models import StockMovement
from apps.payment.invariants import verify
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound")]
HEADER = "sku,product,variant,category,kind,price,currency,stock\n"

Load = Callable[..., Imported]


@pytest.fixture
def sound(db: None) -> Iterator[None]:
    """After the test, everything that must always be true is."""
    yield
    assert verify() == []


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_import(*lines: str, header: str = HEADER, keep_stock: bool = False) -> Imported:
        path = tmp_path / "products.csv"
        path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return import_products(path, keep_stock=keep_stock)

    return write_and_import


def refused(load: Load, *lines: str, **options: Any) -> list[str]:
    with pytest.raises(ImportRefused) as refusal:
        load(*lines, **options)
    return refusal.value.errors


def stock_of(sku: str) -> tuple[int | None, int, int | None]:
    variant = ProductVariant.objects.get(sku=sku)
    return variant.stock, variant.held, variant.opening_stock


def test_file_is_created_then_updated_and_then_found_unchanged(load: Load) -> None:
    assert load("A,Mug,Green,Coffee,physical,12.50,USD,5", "A,Mug,Green,Coffee,physical,1900,JPY,5") == Imported(
        1, 0, 0
    )
    mug = ProductVariant.objects.get()
    assert (mug.product.name, mug.product.slug, mug.name, mug.active) == ("Mug", "mug", "Green", True)
    assert (mug.product.category.slug, mug.product.category.name) == ("coffee", "Coffee")
    assert stock_of("A") == (5, 0, 5)
    assert sorted(Price.objects.values_list("currency", "amount")) == [("JPY", 1900), ("USD", 1250)]

    same = ("A,Mug,Blue,Coffee,physical,13.00,USD,8", "A,Mug,Blue,Coffee,physical,1900,JPY,8")
    assert load(*same) == Imported(0, 1, 0)
    mug.refresh_from_db()
    assert mug.name == "Blue"
    assert stock_of("A") == (8, 0, 5)
    assert list(StockMovement.objects.values_list("quantity", "kind", "reason", "order_id")) == [
        (3, "import", "line 2", None)
    ]
    assert sorted(Price.objects.values_list("currency", "amount")) == [("JPY", 1900), ("USD", 1300)]

    before = list(ProductVariant.objects.values()), list(Product.objects.values()), list(Price.objects.values())
    assert load(*same) == Imported(0, 0, 1)
    assert StockMovement.objects.count() == 1
    assert before == (
        list(ProductVariant.objects.values()),
        list(Product.objects.values()),
        list(Price.objects.values()),
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("B,Mug,,Coffee,physical,12.50,USD", "7 cells, not 8."),
        (",Mug,,Coffee,physical,12.50,USD,5", "sku is empty."),
        ("B,Mug,,Coffee,liquid,12.50,USD,5", "kind is 'liquid'; it takes physical or digital."),
        ("B,Mug,,Coffee,physical,12.505,USD,5", "price '12.505' is not an amount in USD."),
        ("B,Mug,,Coffee,physical,12.5,JPY,5", "price '12.5' is not an amount in JPY."),
        ("B,Mug,,Coffee,physical,x,USD,5", "price 'x' is not an amount in USD."),
        ("B,Mug,,Coffee,physical,1e3,USD,5", "price '1e3' is not an amount in USD."),
        ("B,Mug,,Coffee,physical,NaN,USD,5", "price 'NaN' is not an amount in USD."),
        ("B,Mug,,Coffee,physical,-1,USD,5", "price -1 is out of range."),
        ("B,Mug,,Coffee,physical,1000000.00,USD,5", "price 1000000.00 is out of range."),
        ("B,Mug,,Coffee,physical,1,XXX,5", "'XXX' is not a currency that Stripe supports."),
        ("B,Mug,,Coffee,physical,1,USD,-1", "stock is '-1'; it takes a whole number up to 1000000000, or nothing."),
        (
            "B,Mug,,Coffee,physical,1,USD,1000000001",
            "stock is '1000000001'; it takes a whole number up to 1000000000, or nothing.",
        ),
        (
            f"B,Mug,,Coffee,physical,1,USD,{'0' * 20}5",
            "stock is '000000000000000000005'; it takes a whole number up to 1000000000, or nothing.",
        ),
        ("B,Mug,,Coffee,physical,1,USD,²", "stock is '\\xb2'; it takes a whole number up to 1000000000, or nothing."),
        ("B,Mug\x00,,Coffee,physical,1,USD,1", "product has a control character."),
        ('B,"Mug\nand cup",,Coffee,physical,1,USD,1', "product has a control character."),
        ("B,Mug \u202egum,,Coffee,physical,1,USD,1", "product has a control character."),
        ("B" * 65 + ",Mug,,Coffee,physical,1,USD,1", "sku is longer than 64 characters."),
        (f"B,{'m' * 201},,Coffee,physical,1,USD,1", "product is longer than 200 characters."),
        ("B,=1+1,,Coffee,physical,1,USD,1", "product begins with =, as a spreadsheet's formula does."),
        ("B,Mug,@x,Coffee,physical,1,USD,1", "variant begins with @, as a spreadsheet's formula does."),
        ("B,Mug,,***,physical,1,USD,1", "category '***' has no letter or digit."),
        ('B,"Mug"x,,Coffee,physical,1,USD,1', "',' expected after '\"'."),
        ("A,Mug,,Coffee,physical,1,EUR,6", "A differs from line 2 in more than price and currency."),
        ("A,Mug,,Coffee,physical,1,EUR,", "A differs from line 2 in more than price and currency."),
        ("A,Cup,,Coffee,physical,1,EUR,5", "A differs from line 2 in more than price and currency."),
        ("A,Mug,,Coffee,physical,1,USD,5", "A has a price in USD in line 2 already."),
        ("B,Mug,Blue,Tea,physical,1,USD,5", "Mug has another category or kind in line 2."),
        ("B,Mug,Blue,Coffee,digital,1,USD,5", "Mug has another category or kind in line 2."),
    ],
)
def test_one_bad_row_applies_nothing_and_is_named(load: Load, line: str, reason: str) -> None:
    assert refused(load, "A,Mug,,Coffee,physical,12.50,USD,5", line) == [f"line 3: {reason}"]
    assert (Category.objects.count(), Product.objects.count(), ProductVariant.objects.count()) == (0, 0, 0)


def test_every_error_is_named_up_to_fifty_in_the_order_of_the_file(load: Load) -> None:
    lines = ["A,Mug,,Coffee,physical,1,USD,5", "A,Mug,,Coffee,physical,1,USD,5", "B,Mug,,Coffee,liquid,1,USD,5"]
    assert refused(load, *lines) == [
        "line 3: A has a price in USD in line 2 already.",
        "line 4: kind is 'liquid'; it takes physical or digital.",
    ]
    errors = refused(load, *(f"S{n},Mug,,Coffee,liquid,1,USD,5" for n in range(60)))
    assert [error.split(":")[0] for error in errors] == [f"line {n}" for n in range(2, 52)]


def test_columns_may_come_in_any_order_and_blank_lines_are_passed_over(load: Load) -> None:
    header = "\ufeffstock, SKU,product,variant,category,kind,price,currency\n\n"
    assert load("5,A,Mug,,Coffee,physical,1,usd", ",,,,,,,", header=header) == Imported(1, 0, 0)
    assert Price.objects.get().currency == "USD"


@pytest.mark.parametrize("header", ["", "sku,name\n", HEADER.replace(",stock", ""), HEADER.replace("kind", "sku")])
def test_wrong_columns_are_refused(load: Load, header: str) -> None:
    assert refused(load, header=header) == [
        "line 1: the columns must be sku,product,variant,category,kind,price,currency,stock."
    ]


def test_what_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(HEADER.encode() + b"A,M\xfcg,,Coffee,physical,1,USD,5\n")
    with pytest.raises(ImportRefused, match="the file is not UTF-8"):
        import_products(path)
    with pytest.raises(ImportRefused, match=r"^The file cannot be read: No such file or directory\.$"):
        import_products(tmp_path / "none.csv")


def test_stock_that_is_not_counted_has_neither_opening_nor_movements(load: Load) -> None:
    line = "E,Book,,Books,digital,9.00,USD,"
    load(line)
    assert stock_of("E") == (None, 0, None)
    assert load(line) == Imported(0, 0, 1)


def test_counting_begins_and_ends_while_nothing_was_ordered_or_moved(load: Load) -> None:
    load("E,Book,,Books,physical,9.00,USD,")
    assert load("E,Book,,Books,physical,9.00,USD,4") == Imported(0, 1, 0)
    assert stock_of("E") == (4, 0, 4)
    assert load("E,Book,,Books,physical,9.00,USD,") == Imported(0, 1, 0)
    assert stock_of("E") == (None, 0, None)
    assert StockMovement.objects.count() == 0


def test_counting_neither_begins_nor_ends_for_what_was_ordered_or_moved(
    load: Load, shop: Shop, stripe_sandbox: Stripe
) -> None:
    ordered, moved = make_variant("ORDERED", stock=None), make_variant("MOVED", stock=5)
    services.adjust(variant_id=moved.pk, quantity=-1, reason="broken")
    shop.add(ordered)
    assert shop.checkout().status_code == 201
    stays = "was ordered or moved already; whether its stock is counted stays as it is."
    assert refused(
        load,
        "NEW,New,,Things,physical,9.00,USD,4",
        "ORDERED,Product ORDERED,,Things,physical,9.00,USD,4",
        "MOVED,Product MOVED,,Things,physical,9.00,USD,",
    ) == [f"line 3: ORDERED {stays}", f"line 4: MOVED {stays}"]
    assert (stock_of("ORDERED"), stock_of("MOVED")) == ((None, 0, None), (4, 0, 5))
    assert ProductVariant.objects.count() == 2


def test_stock_below_what_is_held_is_refused_and_nothing_is_applied(
    load: Load, shop: Shop, stripe_sandbox: Stripe
) -> None:
    mug = make_variant("A", stock=5)
    shop.add(mug, 3)
    assert shop.checkout().status_code == 201
    same = "A,Product A,,Things,physical,12.50,USD,{}"
    assert refused(load, "N,New,,Coffee,physical,1.00,USD,1", same.format(2)) == [
        "line 3: 3 of A are held by open orders."
    ]
    assert (ProductVariant.objects.count(), Category.objects.count(), stock_of("A")) == (1, 1, (5, 3, 5))
    assert load(same.format(3)) == Imported(0, 1, 0)
    assert stock_of("A") == (3, 3, 5)


def test_kept_stock_is_left_alone_and_new_stock_is_set(load: Load) -> None:
    load("A,Mug,,Coffee,physical,1.00,USD,5", "E,Book,,Coffee,digital,1.00,USD,")
    done = load(
        "A,Mug,Blue,Coffee,physical,1.00,USD,9",
        "E,Book,,Coffee,digital,1.00,USD,7",
        "N,New,,Coffee,physical,1.00,USD,3",
        keep_stock=True,
    )
    assert done == Imported(1, 1, 1)
    assert (stock_of("A"), stock_of("E"), stock_of("N")) == ((5, 0, 5), (None, 0, None), (3, 0, 3))
    assert ProductVariant.objects.get(sku="A").name == "Blue"
    assert StockMovement.objects.count() == 0


def test_products_take_the_category_and_kind_of_the_file(load: Load) -> None:
    load("A,Mug,,Coffee,physical,1.00,USD,5")
    assert load("A,Mug,,Tea,digital,1.00,USD,5") == Imported(0, 1, 0)
    assert Product.objects.values_list("category__name", "kind").get() == ("Tea", "digital")


def test_variants_keep_the_order_of_the_file(load: Load) -> None:
    load("S,Tee,S,Apparel,physical,1.00,USD,1", "M,Tee,M,Apparel,physical,1.00,USD,1")
    assert [variant.sku for variant in Product.objects.get().variants.all()] == ["S", "M"]


def test_product_whose_variants_all_come_under_a_new_name_is_renamed(load: Load) -> None:
    load("S,Te,S,Apparel,physical,1.00,USD,1", "M,Te,M,Apparel,physical,1.00,USD,1")
    Product.objects.update(description="Soft.")
    assert load("S,Tee,S,Apparel,physical,1.00,USD,1", "M,Tee,M,Apparel,physical,1.00,USD,1") == Imported(0, 2, 0)
    assert Product.objects.values_list("name", "slug", "description").get() == ("Tee", "te", "Soft.")


def test_variant_that_comes_under_another_name_alone_moves(load: Load) -> None:
    load("S,Tee,S,Apparel,physical,1.00,USD,1", "M,Tee,M,Apparel,physical,1.00,USD,1")
    assert load("M,Shirt,M,Apparel,physical,1.00,USD,1") == Imported(0, 1, 0)
    assert list(ProductVariant.objects.order_by("sku").values_list("sku", "product__name")) == [
        ("M", "Shirt"),
        ("S", "Tee"),
    ]


def test_of_two_products_with_one_name_each_keeps_its_variants(load: Load) -> None:
    first, second = make_variant("A"), make_variant("B")
    Product.objects.update(name="Mug")
    assert load("A,Mug,,Things,physical,12.50,USD,5", "B,Mug,,Things,physical,1.00,USD,5") == Imported(0, 1, 1)
    assert list(ProductVariant.objects.order_by("sku").values_list("product", flat=True)) == [
        first.product_id,
        second.product_id,
    ]


def test_slugs_are_unique_whatever_the_names(load: Load) -> None:
    make_variant("mug")
    names = ["Mug", "Mug!", "Mug 2", "杯子", "книга", "m" * 200]
    load(*(f"S{n},{name},,图书,physical,1.00,USD,1" for n, name in enumerate(names)))
    slugs = list(Product.objects.order_by("pk").values_list("slug", flat=True)[1:])
    assert slugs == ["mug-4", "mug-3", "mug-2", "product", "product-2", "m" * 120]
    assert Category.objects.get(name="图书").slug == "图书"


def test_statements_grow_with_batches_and_not_with_rows(load: Load) -> None:
    def count(rows: int, prefix: str, stock: int) -> int:
        with CaptureQueriesContext(connection) as statements:
            load(*(f"{prefix}{n},{prefix} {n},,Coffee,physical,1.00,USD,{stock}" for n in range(rows)))
        return len(statements)

    load("FIRST,First,,Coffee,physical,1.00,USD,1")
    assert count(100, "A", 1) == count(10, "B", 1)
    assert count(100, "A", 2) == count(10, "B", 2)
    assert count(100, "A", 2) == count(10, "B", 2)


def test_command_names_every_error_and_fails(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "A,Mug,,Coffee,liquid,1,USD,1\nB,Mug,,Coffee,physical,x,USD,1\n")
    with pytest.raises(CommandError, match=r"^Nothing was imported\.$"):
        call_command("import_products", str(path))
    assert capsys.readouterr().err.splitlines() == [
        "line 2: kind is 'liquid'; it takes physical or digital.",
        "line 3: price 'x' is not an amount in USD.",
    ]


def test_command_leaves_one_entry_in_the_trail(tmp_path: Path) -> None:
    path = tmp_path / "shelf.csv"
    path.write_text(HEADER + "A,Mug,,Coffee,physical,1,USD,1\nB,Cup,,Coffee,physical,1,USD,1\n")
    call_command("import_products", str(path))
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.source, entry.action) == (None, "command", "imported")
    assert (entry.object_type, entry.object_id, entry.object_name) == ("catalog.product", "", "shelf.csv")
    by, _, told = entry.detail.partition(" of the machine. ")
    assert by.startswith("import_products, by ")
    assert told == "2 created, 0 updated, 0 unchanged."
    path.write_text(HEADER + "A,Mug,,Coffee,liquid,1,USD,1\n")
    with pytest.raises(CommandError):
        call_command("import_products", str(path))
    assert AuditEntry.objects.count() == 1


def test_import_that_cannot_be_kept_in_the_trail_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "shelf.csv"
    path.write_text(HEADER + "A,Mug,,Coffee,physical,1,USD,1\n")
    monkeypatch.setattr(command, "record_command", dies)
    with pytest.raises(KeyboardInterrupt):
        call_command("import_products", str(path))
    assert Product.objects.count() == 0


def test_command_draws_a_bar_on_a_terminal_alone(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    path = tmp_path / "long.csv"
    path.write_text(HEADER + "".join(f"S{n},Mug,{n},Coffee,physical,1,USD,1\n" for n in range(99)))
    monkeypatch.setattr(command, "BAR_FROM_LINES", 100)
    call_command("import_products", str(path))
    assert capsys.readouterr() == ("99 created, 0 updated, 0 unchanged.\n", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    call_command("import_products", str(path))
    out, err = capsys.readouterr()
    assert out == "0 created, 0 updated, 99 unchanged.\n"
    assert f"\rreading [{'#' * 20}{'.' * 20}] 50/100\r" in err
    assert err.endswith(f"[{'#' * 40}] 100/100\nwriting\n")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_stock_held_while_the_file_is_read_counts(load: Load) -> None:
    """An order that holds the last units after the rows were compared is seen under the lock."""
    load("A,Mug,,Coffee,physical,1.00,USD,5")
    mug = ProductVariant.objects.get()
    errors: list[str] = []

    def run() -> None:
        try:
            errors.extend(refused(load, "A,Mug,,Coffee,physical,1.00,USD,2"))
        finally:
            connections.close_all()

    with transaction.atomic():
        ProductVariant.objects.select_for_update().get(pk=mug.pk)
        other = threading.Thread(target=run)
        other.start()
        other.join(timeout=1)
        assert other.is_alive(), "the import waits for the lock"
        ProductVariant.objects.filter(pk=mug.pk).update(held=3)
    other.join(timeout=10)
    assert errors == ["line 2: 3 of A are held by open orders."]
    assert stock_of("A") == (5, 3, 5)
    ProductVariant.objects.update(held=0)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_same_file_twice_at_once_makes_each_product_once(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text(HEADER + "".join(f"S{n},Mug {n},,Coffee,physical,1,USD,1\n" for n in range(300)))
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(imports.import_products(path))
        except ImportRefused as refusal:
            outcomes.append(refusal.errors)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Imported(300, 0, 0) in outcomes
    assert (Product.objects.count(), ProductVariant.objects.count(), Price.objects.count()) == (300, 300, 300)
    assert verify() == []
