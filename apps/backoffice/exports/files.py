"""Tables as files: CSV that goes out line by line, XLSX that is written to disk first and then sent."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from apps.backoffice.exports.tables import Cell, Row
from apps.common.money import Money, decimals, to_major

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet would take for a formula."""

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
LONGEST = 32_767
ROWS_PER_SHEET = 1_000_000


def csv_lines(columns: Iterable[str], rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a CSV file in UTF-8, with a byte order mark that spreadsheets need to see that it is."""
    line = io.StringIO()
    writer = csv.writer(line)

    def take() -> str:
        text = line.getvalue()
        line.seek(0)
        line.truncate()
        return text

    line.write("\ufeff")
    writer.writerow(columns)
    yield take()
    for row in rows:
        writer.writerow([csv_text(cell) for cell in row])
        yield take()


def csv_text(cell: Cell) -> str:
    """A cell as text. What came from people never begins a formula; an apostrophe stands before it then."""
    if cell is None:
        return ""
    if isinstance(cell, Money):
        return to_major(cell.amount, cell.currency)
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, int | Decimal):
        return str(cell)
    text = cell.replace("\x00", "")
    return f"'{text}" if text.startswith(FORMULA) else text


def xlsx_file(title: str, columns: Iterable[str], rows: Iterable[Row]) -> IO[bytes]:
    """A workbook in a temporary file that is gone once it is closed; a new sheet begins where one is full."""
    book = Workbook(write_only=True)
    heads = list(columns)
    sheet = _sheet(book, title, heads)
    for number, row in enumerate(rows):
        if number and number % ROWS_PER_SHEET == 0:
            sheet = _sheet(book, f"{title} {number // ROWS_PER_SHEET + 1}", heads)
        sheet.append([_xlsx_cell(sheet, cell) for cell in row])
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    book.save(file)
    file.seek(0)
    return file


def _sheet(book: Workbook, title: str, heads: list[str]) -> Any:
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    sheet.append(heads)
    return sheet


def _xlsx_cell(sheet: Any, cell: Cell) -> Any:
    """A cell whose type is what it is: an amount is a number, a text is a text and never a formula."""
    if isinstance(cell, Money):
        made = WriteOnlyCell(sheet, Decimal(to_major(cell.amount, cell.currency)))
        places = decimals(cell.currency)
        made.number_format = f"#,##0.{'0' * places}" if places else "#,##0"
        return made
    if isinstance(cell, datetime):
        made = WriteOnlyCell(sheet, cell.astimezone(UTC).replace(tzinfo=None, microsecond=0))
        made.number_format = "yyyy-mm-dd hh:mm:ss"
        return made
    if isinstance(cell, str):
        made = WriteOnlyCell(sheet, CONTROL.sub("", cell)[:LONGEST])
        made.data_type = "s"
        return made
    return cell
