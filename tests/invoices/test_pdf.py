"""The printed page, looked at: pictures of it stand in `golden/`, and what is read from it is compared word by word."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import time_machine
from django.core.checks import run_checks
from PIL import Image, ImageChops

from apps.invoices import pdf
from apps.invoices.models import Document
from apps.invoices.pdf import Page, print_page, printable
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.invoices.services.printing import print_document
from apps.payment.models import Refund
from tests.support.orders import make_order, make_refund

pytestmark = pytest.mark.django_db

GOLDEN = Path(__file__).parent / "golden"
ISSUED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _seller(settings: Any) -> Iterator[None]:
    settings.SELLER_NAME = "Proshop GmbH"
    settings.SELLER_ADDRESS = "Hauptstr. 5\\n10115 Berlin\\nGermany"
    settings.SELLER_TAX_ID = "DE123456789"
    settings.INVOICE_TAX_RATE = Decimal("0.19")
    settings.INVOICE_FONTS = []
    with time_machine.travel(ISSUED, tick=False):
        yield


def page(**changes: Any) -> Page:
    """A page with as little as can be on it."""
    least: dict[str, Any] = {
        "language": "en",
        "title": "Invoice",
        "number": "INV-2026-00001",
        "seller": ["Proshop"],
        "buyer": ["Ada"],
        "facts": [("Number", "INV-2026-00001")],
        "heads": ["Item", "Quantity", "Unit price", "Amount"],
        "rows": [["Mug", "1", "€10.00", "€10.00"]],
        "charges": [],
        "total": ("Total", "€10.00"),
        "contained": [],
        "closing": [],
        "page_label": "Page %(page)s of %(pages)s",
    }
    return Page(**least | changes)


def printed(what: Page) -> bytes:
    return print_page(what, issued_at=ISSUED)


def text_of(content: bytes, number: int = 0) -> list[str]:
    """The lines of a page, from top to bottom."""
    text: str = pypdfium2.PdfDocument(content)[number].get_textpage().get_text_range()
    return [line.replace("\xa0", " ").strip() for line in text.splitlines() if line.strip()]


def picture_of(content: bytes, number: int = 0) -> Image.Image:
    picture: Image.Image = pypdfium2.PdfDocument(content)[number].render(scale=1.25).to_pil()
    return picture.convert("L")


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels, in a thousand, that clearly differ. Another version of the renderer shades edges anew."""
    if one.size != other.size:
        return 1000.0
    histogram = ImageChops.difference(one, other).histogram()
    return sum(histogram[96:]) / (one.size[0] * one.size[1]) * 1000


def look_at(name: str, content: bytes, tmp_path: Path, number: int = 0) -> None:
    seen = picture_of(content, number)
    golden = GOLDEN / f"{name}.png"
    found = tmp_path / golden.name
    seen.save(found)
    assert golden.exists(), f"there is no picture yet: look at {found} and copy it to {golden}"
    apart = difference(seen, Image.open(golden))
    assert apart < 0.02, f"{apart:.3f} of a thousand pixels differ: compare {found} with {golden}"


# Pictures


def test_invoice_in_english(tmp_path: Path) -> None:
    order = make_order(
        ("Compile Time Mug, green", 2, 1250),
        ("Stack Overflow Bucket with a name that is so long that it does not fit on one line of the table", 1, 99_900),
        currency="EUR",
        shipping=490,
        discount=100,
    )
    content = print_document(issue_invoice(order.pk))
    assert text_of(content) == [
        "Proshop GmbH",
        "Hauptstr. 5",
        "10115 Berlin",
        "Germany",
        "Tax ID DE123456789",
        "Ada Lovelace",
        "Hauptstr. 1",
        "50667 Köln",
        "Germany",
        "buyer@example.com",
        "Invoice number INV-2026-00001",
        "Invoice date March 2, 2026",
        "Order ORD-20260301-00001",
        "Ordered on March 1, 2026",
        "Paid on March 1, 2026",
        "Invoice",
        "Item Quantity Unit price Amount",
        "Compile Time Mug, green (SKU-1) 2 €12.50 €25.00",
        "Stack Overflow Bucket with a name that is so long that",
        "it does not fit on one line of the table (SKU-2)",
        "1 €999.00 €999.00",
        "Discount -€1.00",
        "Shipping €4.90",
        "Total €1,027.90",
        "Net amount €863.78",
        "Tax contained, 19% €164.12",
        "This invoice has been paid. Nothing is due.",
        "Page 1 of 1 Proshop GmbH · INV-2026-00001",
    ]
    look_at("invoice-en", content, tmp_path)


def test_invoice_in_german(tmp_path: Path) -> None:
    order = make_order(("Tasse „Übersetzungszeit“", 2, 1250), currency="EUR", language="de")
    content = print_document(issue_invoice(order.pk))
    found = text_of(content)
    for line in (
        "Rechnungsnummer INV-2026-00001",
        "Rechnungsdatum 2. März 2026",
        "Tasse „Übersetzungszeit“ (SKU-1) 2 12,50 € 25,00 €",
        "Gesamtbetrag 25,00 €",
        "Enthaltene Steuer, 19 % 3,99 €",
        "Seite 1 von 1 Proshop GmbH · INV-2026-00001",
    ):
        assert line in found
    look_at("invoice-de", content, tmp_path)


def test_credit_note_and_its_cancellation(tmp_path: Path) -> None:
    order = make_order(("Tasse", 3, 1250), currency="EUR", language="fr")
    refund = make_refund(order, 2500)
    refund.items.create(order_item=order.items.get(), quantity=2)
    issue_for_refund(refund.pk)
    Refund.objects.update(status="failed")
    issue_for_refund(refund.pk)
    note, paper = (Document.objects.get(kind=kind) for kind in ("credit_note", "cancellation"))
    found = text_of(print_document(note))
    assert "Avoir" in found
    assert "Sur la facture INV-2026-00001" in found
    assert "Tasse (SKU-1) 2 12,50 € 25,00 €" in found
    look_at("credit-note-fr", print_document(note), tmp_path)
    assert "Annule l’avoir CN-2026-00001" in text_of(print_document(paper))
    look_at("cancellation-fr", print_document(paper), tmp_path)


def test_hundred_lines_take_four_pages_with_heads_and_numbers(tmp_path: Path) -> None:
    order = make_order(*[(f"Thing number {place}", 1, 100) for place in range(1, 101)], currency="JPY")
    content = print_document(issue_invoice(order.pk))
    pages = len(pypdfium2.PdfDocument(content))
    assert pages == 4
    for number in range(pages):
        found = text_of(content, number)
        assert "Item Quantity Unit price Amount" in found
        assert found[-1] == f"Page {number + 1} of {pages} Proshop GmbH · INV-2026-00001"
    things = [line for number in range(pages) for line in text_of(content, number) if line.startswith("Thing")]
    assert things == [f"Thing number {place} (SKU-{place}) 1 ¥100 ¥100" for place in range(1, 101)]
    assert "Total ¥10,000" in text_of(content, pages - 1)
    look_at("hundred-lines-2", content, tmp_path, 1)
    look_at("hundred-lines-4", content, tmp_path, 3)


def test_one_changed_digit_is_seen() -> None:
    """The control: the pictures are compared closely enough."""
    before, after = printed(page()), printed(page(total=("Total", "€10.01")))
    assert difference(picture_of(before), picture_of(after)) > 0.02
    assert difference(picture_of(before), picture_of(printed(page()))) == 0


# Always the same


def test_printed_again_later_it_is_the_same_to_the_byte(settings: Any) -> None:
    document = issue_invoice(make_order(("Mug", 2, 1250), currency="EUR").pk)
    first = print_document(document)
    settings.SELLER_NAME, settings.INVOICE_TAX_RATE = "Somebody else", Decimal("0.07")
    document.order.items.update(name="Something else")
    with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC)):
        again = print_document(Document.objects.get())
    assert hashlib.sha256(again).digest() == hashlib.sha256(first).digest()


def test_file_says_what_it_is() -> None:
    document = issue_invoice(make_order(("Mug", 1, 1000), language="de").pk)
    told = pypdfium2.PdfDocument(print_document(document)).get_metadata_dict()
    assert (told["Title"], told["Author"], told["CreationDate"]) == (
        "Rechnung INV-2026-00001",
        "Proshop GmbH",
        "D:20260302093000Z",
    )


# Whatever the text is


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Zażółć gęślą jaźń", "Zażółć gęślą jaźń"),
        ("Ελληνικά, Кириллица, Tiếng Việt", "Ελληνικά, Кириллица, Tiếng Việt"),
        ("漢字", "\ufffd\ufffd"),
        ("a\U0001f9ff\U00020000b", "a\ufffd\ufffdb"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("nul \x00 bell \x07 two\r\nlines\u2028more", "nul bell two lines more"),
        ("**bold** __under__ {nb} %s \ue0f0\ue0f1", "**bold** __under__ {nb} %s \ufffd\ufffd"),
    ],
)
def test_any_text_is_drawn(text: str, drawn: str) -> None:
    found = text_of(printed(page(buyer=[text], facts=[])))
    assert " ".join(found[1].split()) == drawn


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("שלום (עולם) SKU-3", "\u05dd\u05d5\u05dc\u05e9"),
        ("עולם", "\u05dd\u05dc\u05d5\u05e2"),
    ],
)
def test_words_from_right_to_left_stand_in_that_order(text: str, drawn: str) -> None:
    """What a reader sees from left to right: the picture, that is, whose letters the text layer has in drawn order."""
    boxes = pypdfium2.PdfDocument(printed(page(buyer=[text])))[0].get_textpage()
    count = boxes.count_chars()
    letters = sorted(
        (boxes.get_charbox(index)[0], boxes.get_text_range(index, 1))
        for index in range(count)
        if "\u0590" <= boxes.get_text_range(index, 1) <= "\u05ff"
    )
    assert drawn in "".join(letter for _, letter in letters)


def test_other_fonts_draw_what_the_first_has_no_glyph_for(settings: Any, tmp_path: Path) -> None:
    """A font that has one letter of the old Ugaritic script."""
    settings.INVOICE_FONTS = [str(make_font(tmp_path, "\U00010380"))]
    [line] = text_of(printed(page(buyer=["x \U00010380 \U00010381"], facts=[])))[1:2]
    assert line == "x \U00010380 \ufffd"


def test_small_fonts_print_what_the_whole_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = "".join(chr(code) for first, last in pdf.LATIN for code in range(first, last + 1))
    rows = [[letters[start : start + 40], "1", "€1.00", "€1.00"] for start in range(0, len(letters), 40)]
    what = page(title=letters, heads=[letters[70:], "", "", ""], rows=rows)
    assert pdf.is_latin(what)
    small = printed(what)
    monkeypatch.setattr(pdf, "is_latin", lambda page: False)
    assert printed(what) == small


@pytest.mark.parametrize("text", ["Ελλη", "e\u0301", "\u05d0", "漢", "\ue0f0"])
@pytest.mark.parametrize("part", ["title", "buyer", "rows", "total", "closing"])
def test_one_character_of_another_script_takes_the_whole_fonts(text: str, part: str) -> None:
    changes: dict[str, Any] = {"rows": [["Mug", text, "", ""]], "total": ("Total", text)}
    assert pdf.is_latin(page())
    assert not pdf.is_latin(page(**{part: changes.get(part, text if part == "title" else [text])}))


def test_font_that_cannot_be_read_is_left_out_and_named_at_start_up(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    settings.INVOICE_FONTS = ["/nowhere/font.ttf", str(broken)]
    with caplog.at_level(logging.WARNING):
        assert text_of(printed(page(buyer=["漢"])))[0] == "Proshop"
    assert [record.message for record in caplog.records] == ["invoice_font_unreadable"] * 2
    found = [str(check.msg) for check in run_checks() if check.id == "invoices.W001"]
    assert [message.split(" cannot be used")[0] for message in found] == [
        "INVOICE_FONTS: /nowhere/font.ttf",
        f"INVOICE_FONTS: {broken}",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"seller": [], "buyer": [], "facts": [], "rows": []},
        {"seller": ["S" * 400], "buyer": ["B" * 400], "facts": [("F" * 300, "V" * 300)]},
        {"rows": [["x" * 400, "9" * 40, "9" * 60, "9" * 60]], "total": ("T" * 200, "9" * 200)},
        {"rows": [[" ", "", "", ""]], "closing": ["", " ", "c" * 900]},
        {"buyer": [""] * 70, "facts": [("a", "b")] * 70},
        {"title": "", "number": "N" * 200, "page_label": "%(page)s"},
    ],
)
def test_any_page_is_printed(changes: dict[str, Any]) -> None:
    content = printed(page(**changes))
    assert content.startswith(b"%PDF-1.")
    assert len(pypdfium2.PdfDocument(content)) >= 1


def test_sums_stay_together_on_one_page() -> None:
    for rows in range(14, 26):
        content = printed(
            page(rows=[["Mug", "1", "€1.00", "€1.00"]] * rows, contained=[("Net", "€8.40"), ("Tax", "€1.60")])
        )
        last = text_of(content, len(pypdfium2.PdfDocument(content)) - 1)
        assert [line for line in last if line.startswith(("Total", "Net", "Tax"))] == [
            "Total €10.00",
            "Net €8.40",
            "Tax €1.60",
        ]


def test_printable_leaves_ordinary_text_alone() -> None:
    assert printable("Größe 38 – 10 m² ½ “quoted”") == "Größe 38 – 10 m² ½ “quoted”"


def make_font(folder: Path, letters: str) -> Path:
    """A TrueType font in which these letters are boxes."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, 700), (550, 700), (550, 0)):
        pen.lineTo(point)
    pen.closePath()
    box = pen.glyph()
    names = [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, box))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    file = io.BytesIO()
    builder.save(file)
    path = folder / "boxes.ttf"
    path.write_bytes(file.getvalue())
    return path
