"""A font that invoices could not be printed with is named at start-up."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from fpdf import FPDF


@checks.register()
def check_fonts(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Invoices are printed without a font that cannot be read; what it was for shows as empty boxes."""
    found: list[checks.CheckMessage] = []
    for path in settings.INVOICE_FONTS:
        try:
            FPDF().add_font("tried", "", path)
        except Exception as error:  # a font file can be broken in any way
            found.append(checks.Warning(f"INVOICE_FONTS: {path} cannot be used: {error}", id="invoices.W001"))
    return found
