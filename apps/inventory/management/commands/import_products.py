"""Fill or update the shop from a CSV file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit.services import Thing, record_command
from apps.inventory.imports import COLUMNS, Imported, ImportRefused, import_products

BAR_FROM_LINES = 2000
BAR_WIDTH = 40


class Command(BaseCommand):
    help = f"Create or update products by sku from a CSV file with the columns {','.join(COLUMNS)}. All or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        lines = _lines(path) if sys.stderr.isatty() else 0
        try:
            done = import_products(
                path,
                progress=self._bar(lines) if lines >= BAR_FROM_LINES else lambda line: None,
                before_commit=lambda done: _keep(path, done),
            )
        except ImportRefused as refused:
            for error in refused.errors:
                self.stderr.write(error)
            raise CommandError("Nothing was imported.") from None
        self.stdout.write(_sentence(done))

    def _bar(self, lines: int) -> Callable[[int], None]:
        """Draws how far the reading is, a hundred times at most."""
        step = max(1, lines // 100)

        def show(line: int) -> None:
            if line > lines or (line % step and line != lines):
                return
            filled = BAR_WIDTH * line // lines
            bar = f"\rreading [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {line}/{lines}"
            self.stderr.write(bar, style_func=str, ending="\nwriting\n" if line == lines else "")

        return show


def _keep(path: Path, done: Imported) -> None:
    """One entry in the audit trail, in the import's own transaction."""
    record_command("import_products", "imported", Thing("catalog.product", name=path.name), told=_sentence(done))


def _sentence(done: Imported) -> str:
    return f"{done.created} created, {done.updated} updated, {done.unchanged} unchanged."


def _lines(path: Path) -> int:
    """How many lines a file has. 0 for what can be read only once, or not at all."""
    if not path.is_file() or not os.access(path, os.R_OK):
        return 0
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
