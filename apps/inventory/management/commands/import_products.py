"""Fill or update the shop from a CSV file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.inventory.imports import COLUMNS, ImportRefused, import_products

SHOWS_PROGRESS_FROM = 2000


class Command(BaseCommand):
    help = f"Create or update products by sku from a CSV file with the columns {','.join(COLUMNS)}. All or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            done = import_products(path, progress=self._progress(path))
        except ImportRefused as refused:
            for error in refused.errors:
                self.stderr.write(error)
            raise CommandError("Nothing was imported.") from None
        self.stdout.write(f"{done.created} created, {done.updated} updated, {done.unchanged} unchanged.")

    def _progress(self, path: Path) -> Any:
        """A bar on a terminal for long files, nothing elsewhere."""
        if not sys.stderr.isatty() or not path.is_file():
            return lambda line: None
        with path.open("rb") as file:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        if lines < SHOWS_PROGRESS_FROM:
            return lambda line: None

        def show(line: int) -> None:
            if line % 500 and line < lines:
                return
            width = 40
            filled = min(width, width * line // lines)
            self.stderr.write(f"\rreading [{'#' * filled}{'.' * (width - filled)}] {line}/{lines}", ending="")
            if line >= lines:
                self.stderr.write("\nwriting")

        return show
