"""A document on paper: A4, in a Unicode font that ships with the shop.

What comes out depends on the page alone, so that a document printed again is the same to the byte. No text makes it
fail: what no font has a glyph for is drawn as \ufffd. Words that run from right to left are put in that order; letters
that change their shape beside others (Arabic) keep the one that they have alone.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import TableBordersLayout, TextDirection, VAlign, XPos, YPos
from fpdf.fonts import FontFace, TTFFont

logger = logging.getLogger(__name__)

FONTS = Path(__file__).parent / "fonts"
FAMILY = "dejavu"
INK, GREY, RULE = (34, 48, 60), (91, 102, 112), (200, 205, 210)
MARGIN, WIDTH = 20.0, 170.0
COLUMNS = (92, 18, 30, 30)

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
HALF_OF_A_PAIR = re.compile(r"[\ud800-\udfff]")
UNKNOWN = "\ufffd"

LATIN = (
    (0x20, 0x7E), (0xA0, 0x17F), (0x218, 0x21B), (0x1E9E, 0x1E9E), (0x2010, 0x2027), (0x202F, 0x203A),
    (0x20A0, 0x20B5), (0x20B8, 0x20BA), (0x20BD, 0x20BD), (0x2122, 0x2122), (0x2212, 0x2212), (0xFFFD, 0xFFFD),
)  # fmt: skip
"""What the small fonts have, which `scripts/latin_fonts.py` cuts out of the whole ones. A page in these characters is
printed in a quarter of the time, since reading the fonts is most of the work, and is the same to the byte."""
ONLY_LATIN = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in LATIN) + "]*")

PAGE_COUNT = "\ue0f0\ue0f1"
"""Stands for the number of pages until it is known. No text has it: these are characters of no script."""

MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")

Pair = Sequence[str]
"""A label and its value."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is printed, in the reader's words."""

    language: str
    title: str
    number: str
    seller: Sequence[str]
    buyer: Sequence[str]
    facts: Sequence[Pair]
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    charges: Sequence[Pair]
    total: Pair
    contained: Sequence[Pair]
    closing: Sequence[str]
    page_label: str


def print_page(page: Page, *, issued_at: datetime) -> bytes:
    """The document as a PDF."""
    sheet = _Sheet(page, issued_at)
    sheet.add_page()
    sheet.print_head()
    sheet.print_lines()
    sheet.print_sums()
    sheet.print_closing()
    return bytes(sheet.output())


def printable(text: str) -> str:
    """The text on one line, without what has no place on paper."""
    return HALF_OF_A_PAIR.sub(UNKNOWN, UNPRINTABLE.sub(" ", text)).strip()


def in_reading_order(text: str) -> str:
    """The text from left to right as it is read, for scripts that run the other way."""
    if not any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        return text
    read = BidiParagraph(text, base_direction=TextDirection.LTR).get_reordered_characters()
    return "".join(c.character.translate(MIRRORED) if c.embedding_level % 2 else c.character for c in read)


def is_latin(page: Page) -> bool:
    """Whether the small fonts have every character of a page."""
    return all(ONLY_LATIN.fullmatch(printable(text)) for text in _texts(astuple(page)))


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    else:
        for each in found:
            yield from _texts(each)


class _Sheet(FPDF):
    def __init__(self, page: Page, issued_at: datetime) -> None:
        super().__init__(format="A4", unit="mm")
        self.content = page
        self.alias_nb_pages(PAGE_COUNT)
        self.set_margins(MARGIN, 18, MARGIN)
        self.set_auto_page_break(True, margin=26)
        self.set_lang(page.language)
        self.set_title(f"{printable(page.title)} {page.number}")
        self.set_author(printable(page.seller[0]) if page.seller else "")
        self.set_creation_date(issued_at)
        latin = is_latin(page)
        self.add_font(FAMILY, "", FONTS / ("DejaVuSans-Latin.ttf" if latin else "DejaVuSans.ttf"))
        self.add_font(FAMILY, "B", FONTS / ("DejaVuSans-Bold-Latin.ttf" if latin else "DejaVuSans-Bold.ttf"))
        families = [FAMILY, *([] if latin else self._other_fonts())]
        self.set_fallback_fonts(families, exact_match=False)
        faces = (self.fonts[family] for family in families)
        self.glyphs = {code for face in faces if isinstance(face, TTFFont) for code in face.cmap}
        self.set_text_color(*INK)
        self.set_draw_color(*RULE)

    def _other_fonts(self) -> list[str]:
        """Those of INVOICE_FONTS. One that cannot be read is left out: a start-up check names it."""
        families = []
        for number, path in enumerate(settings.INVOICE_FONTS):
            try:
                self.add_font(f"other{number}", "", path)
            except Exception as error:  # a font file can be broken in any way
                logger.warning("invoice_font_unreadable", extra={"font": path, "error": type(error).__name__})
                continue
            families.append(f"other{number}")
        return families

    def footer(self) -> None:
        self.set_y(-17)
        self._size(8)
        self.set_text_color(*GREY)
        page, pages = self.page_no(), PAGE_COUNT
        self.cell(WIDTH / 2, 4, self._text(self.content.page_label) % {"page": page, "pages": pages})
        owner = " · ".join([*self.content.seller[:1], self.content.number])
        self.cell(WIDTH / 2, 4, self._fitting(self._text(owner), WIDTH / 2), align="R")
        self.set_text_color(*INK)

    def print_head(self) -> None:
        """The seller on top; below it the buyer on the left and the document's facts on the right."""
        name, *rest = self.content.seller or [""]
        self._size(14, bold=True)
        self._line(name, height=7)
        self._size(9)
        self.set_text_color(*GREY)
        for line in rest:
            self._line(line, height=4.6)
        self.set_text_color(*INK)
        self.ln(10)
        top = self.get_y()
        self._size(10)
        for line in self.content.buyer:
            self._line(line, width=80, height=5)
        lowest = self.get_y()
        self.set_y(top)
        for label, value in self.content.facts:
            self._pair(label, value, left=MARGIN + 84, label_width=44, value_width=42)
        self.set_y(max(lowest, self.get_y()) + 10)
        self._size(18, bold=True)
        self._line(self.content.title, height=9)
        self.ln(4)

    def print_lines(self) -> None:
        self._size(9)
        heads = FontFace(emphasis="BOLD", color=INK)
        with self.table(
            col_widths=COLUMNS,
            text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=heads,
            line_height=4.6,
            padding=(1.6, 0, 1.6, 0),
            v_align=VAlign.T,
            width=WIDTH,
        ) as table:
            for cells in [self.content.heads, *self.content.rows]:
                row = table.row()
                for cell in cells:
                    row.cell(self._text(cell))
        self.ln(4)

    def print_sums(self) -> None:
        """Kept together on one page."""
        pairs = len(self.content.charges) + len(self.content.contained) + 1
        if self.will_page_break(6 * pairs + 12):
            self.add_page()
        self._size(9)
        self._sums(self.content.charges)
        self._size(11, bold=True)
        self._sums([self.content.total])
        self._size(9)
        self.set_text_color(*GREY)
        self._sums(self.content.contained)
        self.set_text_color(*INK)

    def print_closing(self) -> None:
        self.ln(8)
        self._size(9)
        for sentence in self.content.closing:
            self._line(sentence, height=5)

    def _sums(self, pairs: Sequence[Pair]) -> None:
        for label, value in pairs:
            self._pair(label, value, left=MARGIN + 60, label_width=60, value_width=50, align="R")

    def _pair(
        self, label: str, value: str, *, left: float, label_width: float, value_width: float, align: str = "L"
    ) -> None:
        """A label and its value side by side; each wraps within its own width."""
        top = self.get_y()
        self.set_x(left)
        self.multi_cell(label_width, 5, self._text(label), align="L", new_x=XPos.RIGHT, new_y=YPos.NEXT)
        below = self.get_y()
        self.set_xy(left + label_width, top)
        self.multi_cell(value_width, 5, self._text(value), align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_y(max(below, self.get_y()))

    def _line(self, text: str, *, height: float, width: float = WIDTH) -> None:
        self.multi_cell(width, height, self._text(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _text(self, text: str) -> str:
        """What can be drawn of a text, in the order in which it is drawn."""
        drawn = "".join(c if ord(c) in self.glyphs else UNKNOWN for c in printable(text))
        return in_reading_order(drawn)

    def _fitting(self, text: str, width: float) -> str:
        while text and self.get_string_width(text) > width - 2:
            text = text[:-1]
        return text

    def _size(self, points: float, *, bold: bool = False) -> None:
        self.set_font(FAMILY, "B" if bold else "", points)
