"""The catalogue as a file, checked before it is applied; and stock that moves with a reason, once per page."""

from __future__ import annotations

import csv
import io
import zipfile
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from openpyxl import Workbook, load_workbook

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.backoffice.shelves import files
from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.inventory.imports import COLUMNS
from apps.inventory.models import StockMovement
from apps.orders.models import Order
from tests.support.shop import Shop, Stripe, make_variant
from tests.support.staff import hidden, signed_in, text_of, told

pytestmark = pytest.mark.django_db
calls_stripe = pytest.mark.django_db(transaction=True)

PAGE = "/admin/shelves/"
HEADER = ",".join(COLUMNS)


def person(role: str) -> Client:
    user = User.objects.create_user(f"{role}@example.com", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return signed_in(user)


@pytest.fixture
def clerk() -> Client:
    return person("catalogue")


def upload(client: Client, text: str | bytes, name: str = "spring.csv", **fields: str) -> Any:
    data = text if isinstance(text, bytes) else text.encode()
    return client.post(PAGE, {"check": "1", "file": SimpleUploadedFile(name, data), **fields})


def confirm(client: Client, checked: Any, reason: str = "spring prices") -> Any:
    page = checked.content.decode()
    text = unescape(page.partition('<textarea name="text" hidden>\n')[2].partition("</textarea>")[0])
    stock = {"stock": "on"} if 'name="stock" value="on"' in page else {}
    return client.post(PAGE, {"apply": "1", "text": text, "name": hidden(checked, "name"), "reason": reason, **stock})


def shelves() -> list[tuple[Any, ...]]:
    prices = Price.objects.order_by("variant__sku", "currency")
    return list(prices.values_list("variant__sku", "variant__product__name", "currency", "amount", "variant__stock"))


def exported(client: Client, kind: str) -> bytes:
    answer = client.post(PAGE, {"export": "1", "format": kind})
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def test_file_is_shown_change_by_change_and_applied_only_then(clerk: Client) -> None:
    make_variant("MUG-1", price=1250, stock=5)
    file = f"{HEADER}\nMUG-1,Product MUG-1,,Things,physical,13.50,USD,7\nCAP-1,Cap,red,Hats,physical,20,USD,3\n"
    checked = upload(clerk, file)
    said = text_of(checked)
    assert "1 to create, 1 to update, 0 as they are. Variants that exist keep their stock." in said
    assert "MUG-1 USD price 12.50 USD 13.50 USD" in said
    assert "CAP-1 USD product – Cap" in said
    assert "CAP-1 USD stock – 3" in said
    assert "MUG-1 USD stock" not in said
    assert shelves() == [("MUG-1", "Product MUG-1", "USD", 1250, 5)]
    assert not Category.objects.filter(name="Hats").exists()
    assert AuditEntry.objects.count() == 0

    done = confirm(clerk, checked)
    assert told(done) == ["Imported: 1 created, 1 updated, 0 as they were."]
    assert shelves() == [("CAP-1", "Cap", "USD", 2000, 3), ("MUG-1", "Product MUG-1", "USD", 1350, 5)]
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.reason) == ("catalogue@example.com", "imported", "spring prices")
    assert "spring.csv" in entry.detail
    assert entry.before["MUG-1 USD"]["price"] == "12.50 USD"
    assert entry.after["MUG-1 USD"]["price"] == "13.50 USD"
    assert entry.after["CAP-1 USD"]["product"] == "Cap"


def test_stock_of_a_file_counts_only_when_asked_and_comes_as_a_movement(clerk: Client) -> None:
    variant = make_variant("MUG-1", price=1250, stock=5)
    file = f"{HEADER}\nMUG-1,Product MUG-1,,Things,physical,12.50,USD,7\n"
    assert "nothing to import" in text_of(upload(clerk, file))
    checked = upload(clerk, file, stock="on")
    assert "MUG-1 USD stock 5 7" in text_of(checked)
    assert StockMovement.objects.count() == 0
    confirm(clerk, checked)
    variant.refresh_from_db()
    assert variant.stock == 7
    move = StockMovement.objects.get()
    assert (move.quantity, move.kind, move.reason) == (2, "import", "line 2")


def test_every_wrong_row_is_told_and_none_is_applied(clerk: Client) -> None:
    rows = [
        "A-1,Good,,Things,physical,1.00,USD,1",
        "A-2,,,Things,physical,1.00,USD,1",
        "A-3,Bad price,,Things,physical,1.001,USD,1",
        "A-4,=SUM(A1),,Things,physical,1.00,USD,1",
        "A-5,Bad stock,,Things,physical,1.00,USD,-4",
        "A-1,Good,,Things,physical,2.00,USD,1",
    ]
    said = text_of(upload(clerk, "\n".join([HEADER, *rows]), stock="on"))
    assert "Nothing was imported" in said
    for line, problem in ((3, "product is empty"), (4, "price"), (5, "begins with ="), (6, "stock"), (7, "line 2")):
        assert f"line {line}: " in said
        assert problem in said
    assert "line 2: " not in said
    assert Product.objects.count() == 0
    assert AuditEntry.objects.count() == 0


@calls_stripe
def test_what_became_wrong_since_the_check_is_refused_whole(clerk: Client, shop: Shop, stripe_sandbox: Stripe) -> None:
    variant = make_variant("MUG-1", stock=5)
    checked = upload(clerk, f"{HEADER}\nMUG-1,Renamed,,Things,physical,12.50,USD,1\n", stock="on")
    assert "MUG-1 USD stock 5 1" in text_of(checked)
    shop.add(variant, 3)
    shop.checkout()
    said = text_of(confirm(clerk, checked))
    assert "line 2: 3 of MUG-1 are held by open orders." in said
    variant.refresh_from_db()
    assert (variant.stock, variant.held, variant.product.name) == (5, 3, "Product MUG-1")
    assert AuditEntry.objects.count() == 0


def test_import_without_a_reason_is_asked_for_one(clerk: Client) -> None:
    checked = upload(clerk, f"{HEADER}\nCAP-1,Cap,,Hats,physical,20,USD,3\n")
    again = confirm(clerk, checked, reason=" ")
    assert "Say why" in text_of(again)
    assert Product.objects.count() == 0
    assert told(confirm(clerk, again)) == ["Imported: 1 created, 0 updated, 0 as they were."]
    assert ProductVariant.objects.get().stock == 3


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_export_comes_back_as_it_went(clerk: Client, kind: str) -> None:
    variant = make_variant("MUG-1", price=1250, stock=5)
    Price.objects.create(variant=variant, currency="JPY", amount=1400)
    make_variant("BOOK-1", price=999, stock=None, kind="digital")
    data = exported(clerk, kind)
    if kind == "csv":
        rows = [tuple(row) for row in csv.reader(io.StringIO(data.decode("utf-8-sig")))]
    else:
        book = load_workbook(io.BytesIO(data))
        rows = [tuple("" if c is None else str(c) for c in row) for row in book.active.iter_rows(values_only=True)]
    assert rows[0] == COLUMNS
    assert {row[0] for row in rows[1:]} == {"MUG-1", "BOOK-1"}
    assert ("MUG-1", "Product MUG-1", "", "Things", "physical", "1400", "JPY", "5") in rows
    assert "nothing to import" in text_of(upload(clerk, data, f"catalogue.{kind}", stock="on"))
    assert [entry.action for entry in AuditEntry.objects.all()] == ["exported"]


def test_workbook_of_a_person_is_read_with_its_line_numbers(clerk: Client) -> None:
    book = Workbook()
    sheet = book.active
    sheet.append(list(COLUMNS))
    sheet.append(["CAP-1", "Cap", None, "Hats", "physical", 20.5, "USD", 3.0])
    sheet.append([None] * 8)
    sheet.append(["CAP-2", "Two\nlines", None, "Hats", "physical", 20, "USD", 3])
    sheet.append(["CAP-3", "Cap 3", None, "Hats", "physical", "dear", "USD", 3])
    file = io.BytesIO()
    book.save(file)
    said = text_of(upload(clerk, file.getvalue(), "caps.xlsx"))
    assert "line 4: product has a control character." in said
    assert "line 5: price 'dear' is not an amount in USD." in said
    assert "line 2: " not in said
    sheet.delete_rows(3, 3)
    file = io.BytesIO()
    book.save(file)
    confirm(clerk, upload(clerk, file.getvalue(), "caps.xlsx"))
    assert shelves() == [("CAP-1", "Cap", "USD", 2050, 3)]


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/sharedStrings.xml", b"0" * (files.MOST_UNPACKED + 1))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfe\x00", "neither XLSX nor CSV"),
        (b"PK\x03\x04 and then nothing", "cannot be read as XLSX"),
        (b"a,b\n1,2\n", "the columns must be"),
        (b"x" * (files.MOST_BYTES + 1), "too long for this page"),
        (b"\n" * (files.MOST_ROWS + 2), "too long for this page"),
        (bomb(), "too long for this page"),
        (b"", "This file is empty"),
    ],
)
def test_file_that_is_none_is_refused_in_words(clerk: Client, data: bytes, problem: str) -> None:
    answer = upload(clerk, data)
    assert answer.status_code == 200
    assert problem in text_of(answer)
    assert Product.objects.count() == 0


@pytest.mark.parametrize("role", ["viewer", "support", "finance"])
def test_shelves_are_closed_to_whoever_does_not_fill_them(role: str) -> None:
    variant = make_variant("MUG-1", stock=5)
    client = person(role)
    file = f"{HEADER}\nMUG-1,Product MUG-1,,Things,physical,1.00,USD,7\n"
    fields = {"apply": "1", "text": file, "name": "x.csv", "reason": "y"}
    answers = [client.get(PAGE), client.post(PAGE, {"export": "1", "format": "csv"}), upload(client, file)]
    answers += [client.post(PAGE, fields), client.post(stock_page(variant), move(client, variant, 1))]
    assert {answer.status_code for answer in answers} == {403}
    variant.refresh_from_db()
    assert (variant.stock, variant.prices.get().amount) == (5, 1250)


def stock_page(variant: ProductVariant) -> str:
    return f"/admin/catalog/productvariant/{variant.pk}/stock/"


def move(
    client: Client, variant: ProductVariant, quantity: int | str, reason: str = "counted by hand"
) -> dict[str, Any]:
    page = client.get(stock_page(variant))
    mark = hidden(page, "page") if page.status_code == 200 else "0" * 32
    return {"page": mark, "quantity": quantity, "reason": reason}


def test_stock_is_corrected_once_per_page_with_its_reason_in_the_trail(clerk: Client) -> None:
    variant = make_variant("MUG-1", stock=5)
    form = move(clerk, variant, -2)
    assert told(clerk.post(stock_page(variant), form)) == ["MUG-1: -2 in stock."]
    again = clerk.post(stock_page(variant), form)
    assert "This was done already. Nothing was moved again." in text_of(again)
    variant.refresh_from_db()
    assert variant.stock == 3
    row = StockMovement.objects.get()
    assert (row.quantity, row.kind, row.reason) == (-2, "adjustment", "counted by hand")
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.reason) == ("catalogue@example.com", "counted by hand")
    assert (entry.before["stock"], entry.after["stock"]) == (5, 3)


@calls_stripe
def test_stock_that_is_held_cannot_be_taken_and_is_shown(clerk: Client, shop: Shop, stripe_sandbox: Stripe) -> None:
    variant = make_variant("MUG-1", stock=5)
    shop.add(variant, 3)
    shop.checkout()
    said = text_of(clerk.get(stock_page(variant)))
    assert "In the house 5 Held by open orders 3 Left to sell 2" in said
    assert "3 for an open order" in said
    assert Order.objects.get().number not in said
    refused = clerk.post(stock_page(variant), move(clerk, variant, -3))
    assert "Less would be left than is promised to buyers. Nothing was moved." in text_of(refused)
    variant.refresh_from_db()
    assert (variant.stock, variant.held) == (5, 3)
    assert StockMovement.objects.count() == 0
    assert Order.objects.get().number in text_of(person("owner").get(stock_page(variant)))


@pytest.mark.parametrize("quantity", ["", "0", "1.5", "many", str(10**12)])
def test_stock_moves_by_whole_units_and_never_without_a_reason(clerk: Client, quantity: str) -> None:
    variant = make_variant("MUG-1", stock=5)
    assert clerk.post(stock_page(variant), move(clerk, variant, quantity)).status_code == 200
    assert clerk.post(stock_page(variant), move(clerk, variant, 1, reason=" ")).status_code == 200
    assert StockMovement.objects.count() == 0


def test_counting_begins_with_what_is_there(clerk: Client) -> None:
    variant = make_variant("MUG-1", stock=None)
    assert "not counted: it never sells out" in text_of(clerk.get(stock_page(variant)))
    assert told(clerk.post(stock_page(variant), move(clerk, variant, 12))) == [
        "MUG-1: Counted from now on, 12 in stock."
    ]
    variant.refresh_from_db()
    assert (variant.stock, variant.opening_stock, variant.held) == (12, 0, 0)
    assert StockMovement.objects.get().quantity == 12


@calls_stripe
def test_variant_that_was_ordered_uncounted_stays_so(clerk: Client, shop: Shop, stripe_sandbox: Stripe) -> None:
    variant = make_variant("MUG-1", stock=None)
    shop.add(variant)
    shop.checkout()
    refused = clerk.post(stock_page(variant), move(clerk, variant, 12))
    assert "It was ordered while its stock was not counted" in text_of(refused)
    variant.refresh_from_db()
    assert variant.stock is None
    assert StockMovement.objects.count() == 0


def test_product_shows_its_variants_prices_and_picture(clerk: Client) -> None:
    variant = make_variant("MUG-1", price=1250, stock=5)
    Price.objects.create(variant=variant, currency="EUR", amount=1150)
    Product.objects.update(image_url="https://pictures.example/mug.png")
    page = clerk.get(f"/admin/catalog/product/{variant.product_id}/change/")
    assert 'src="https://pictures.example/mug.png"' in page.content.decode()
    for price in ("12.50 USD", "11.50 EUR"):
        assert price in text_of(page)
