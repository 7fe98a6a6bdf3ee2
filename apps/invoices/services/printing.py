"""A document as a file, the same each time."""

from __future__ import annotations

from apps.invoices.models import Document
from apps.invoices.pdf import Page, print_page


def print_document(document: Document) -> bytes:
    return print_page(Page(**document.page), issued_at=document.issued_at)


def file_name(document: Document) -> str:
    return f"{document.number}.pdf"
