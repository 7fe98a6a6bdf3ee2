"""What every e-mail is made of, and how it becomes plain text and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language

from apps.invoices.models import Document
from apps.invoices.services.printing import file_name, print_document


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what, and how much it is."""

    what: str
    amount: str


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    link: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Somebody's own words, and who says them."""

    whose: str
    words: str


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail's words, in the language of whoever reads it. Plain text and HTML are made of the same ones."""

    subject: str
    title: str
    paragraphs: Sequence[str]
    rows: Sequence[Row] = ()
    total: Row | None = None
    quote: Quote | None = None
    button: Button | None = None
    documents: Sequence[Document | None] = ()
    """What is attached; None stands for one that belongs to it and is not issued yet."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An e-mail as it goes out. `waits` says that something is missing which will be there soon."""

    subject: str
    text: str
    html: str
    attachments: Sequence[Attachment] = ()
    waits: bool = False


def render_letter(letter: Letter) -> Rendered:
    """A letter as it goes out, in the language that is active."""
    subject = " ".join(letter.subject.split())  # a header is one line
    context = {
        "letter": letter,
        "subject": subject,
        "language": get_language() or settings.LANGUAGE_CODE,
        "shop": settings.SELLER_NAME,
        "shop_url": settings.FRONTEND_URL,
    }
    text = render_to_string("notifications/letter.txt", context)
    html = render_to_string("notifications/letter.html", context)
    issued = [document for document in letter.documents if document is not None]
    attachments = [Attachment(file_name(each), print_document(each), "application/pdf") for each in issued]
    return Rendered(subject, text, html, attachments, waits=None in letter.documents)
