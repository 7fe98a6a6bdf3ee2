"""The catalogues are complete, and what people read is in their language from the checkout to the mailbox."""

from __future__ import annotations

import gettext
import re
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from django.conf import settings as django_settings
from django.core import mail as outbox
from django.utils.translation import gettext as translated
from django.utils.translation import override, pgettext

from apps.accounts.models import User
from apps.invoices.models import Document
from apps.notifications import subscribers
from apps.notifications.content import KINDS, render
from apps.notifications.content.staff import ENGLISH
from apps.notifications.models import Mail
from apps.notifications.services import send_due
from apps.orders.models import Order
from apps.outbox.services import deliver_due
from apps.payment.models import AttentionCase, Dispute
from tests.support.orders import PAID_AT, make_order, make_refund
from tests.support.shop import Shop, Stripe, make_user, make_variant, work

ROOT = Path(__file__).resolve().parents[2]
APPS = ["notifications", "invoices"]
LANGUAGES = ["de", "fr"]
KEYWORDS = {"_": None, "gettext": None, "pgettext": ((1, "c"), 2)}

Key = tuple[str | None, str]
"""A message's context and its English words."""


def used(app: str) -> set[Key]:
    """What the code has translated."""
    found = extract_from_dir(ROOT / "apps" / app, method_map=[("**.py", "python")], keywords=KEYWORDS)
    return {(context, message) for _, _, message, _, context in found}


def catalogue(app: str, language: str) -> Catalog:
    path = ROOT / "apps" / app / "locale" / language / "LC_MESSAGES" / "django.po"
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def entries(app: str, language: str) -> dict[Key, str]:
    return {(message.context, message.id): message.string for message in catalogue(app, language) if message.id}


def test_there_is_a_catalogue_for_each_language_of_the_shop() -> None:
    assert [code for code, _ in django_settings.LANGUAGES] == [ENGLISH, *LANGUAGES]
    for app in APPS:
        assert sorted(path.name for path in (ROOT / "apps" / app / "locale").iterdir()) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("app", APPS)
def test_every_message_is_translated_and_none_is_left_over(app: str, language: str) -> None:
    known, wanted = entries(app, language), used(app)
    assert len(wanted) > 20
    assert (wanted - set(known), set(known) - wanted) == (set(), set())
    assert [key for key, words in known.items() if not words.strip()] == []
    assert [message.id for message in catalogue(app, language) if message.fuzzy and message.id] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("app", APPS)
def test_translations_name_the_same_facts(app: str, language: str) -> None:
    def placeholders(words: str) -> list[str]:
        return sorted(re.findall(r"%\(\w+\)s|%(?!\()", words))

    wrong = [key for key, words in entries(app, language).items() if placeholders(key[1]) != placeholders(words)]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("app", APPS)
def test_compiled_catalogue_is_that_of_the_text(app: str, language: str) -> None:
    """Nobody needs gettext's tools: `pybabel compile` wrote it, and it is part of the repository."""
    path = ROOT / "apps" / app / "locale" / language / "LC_MESSAGES" / "django.mo"
    with path.open("rb") as file:
        compiled: dict[str, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    compiled.pop("", None)
    expected = {
        f"{context}\x04{message}" if context else message: words
        for (context, message), words in entries(app, language).items()
    }
    assert compiled == expected


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("app", APPS)
def test_no_other_apps_words_come_first(app: str, language: str) -> None:
    """Django merges all catalogues into one, and an app further up in INSTALLED_APPS wins."""
    with override(language):
        found = {
            (context, message): pgettext(context, message) if context else translated(message)
            for context, message in entries(app, language)
        }
    assert found == entries(app, language)


# E-mails

SAID = {
    "order_confirmation": {
        "en": ("Your order {n}", "Order {n} is paid. Here is what you bought."),
        "de": ("Ihre Bestellung {n}", "Die Bestellung {n} ist bezahlt. Das haben Sie gekauft:"),
        "fr": ("Votre commande {n}", "La commande {n} est payée. Voici ce que vous avez acheté."),
    },
    "payment_on_its_way": {
        "en": ("The payment of your order {n} is on its way", "We keep your items for you and write again"),
        "de": ("Die Zahlung Ihrer Bestellung {n} ist unterwegs", "Wir heben die Ware für Sie auf"),
        "fr": ("Le paiement de votre commande {n} est en cours", "Nous gardons vos articles"),
    },
    "payment_failed": {
        "en": ("The payment of your order {n} failed", "Nothing was charged."),
        "de": ("Die Zahlung Ihrer Bestellung {n} ist gescheitert", "Es wurde nichts abgebucht."),
        "fr": ("Le paiement de votre commande {n} a échoué", "Rien n’a été débité."),
    },
    "order_shipped": {
        "en": ("Your order {n} is on its way", "The tracking number is 1Z 999."),
        "de": ("Ihre Bestellung {n} ist unterwegs", "Die Sendungsnummer ist 1Z 999."),
        "fr": ("Votre commande {n} est en route", "Le numéro de suivi est 1Z 999."),
    },
    "refund_requested": {
        "en": ("Your refund request for order {n}", "You asked for €5.00 of order {n} back."),
        "de": ("Ihre Bitte um Erstattung zur Bestellung {n}", "Erstattung von 5,00 € aus der Bestellung {n}."),
        "fr": ("Votre demande de remboursement pour la commande {n}", "remboursement de 5,00 € de la commande {n}."),
    },
    "refund_rejected": {
        "en": ("Your refund request for order {n} was declined", "Why:\n> worn"),
        "de": ("Ihre Bitte um Erstattung zur Bestellung {n} wurde abgelehnt", "Warum:\n> worn"),
        "fr": ("Votre demande de remboursement pour la commande {n} a été refusée", "Pourquoi :\n> worn"),
    },
    "refund_succeeded": {
        "en": ("Your refund for order {n}", "We sent €5.00 of order {n} back to you."),
        "de": ("Ihre Erstattung zur Bestellung {n}", "Wir haben Ihnen 5,00 € der Bestellung {n} zurückgeschickt."),
        "fr": ("Votre remboursement pour la commande {n}", "Nous vous avons renvoyé 5,00 € de la commande {n}."),
    },
    "refund_failed": {
        "en": ("Your refund for order {n} did not go through", "your bank could not pay it out."),
        "de": ("Ihre Erstattung zur Bestellung {n} kam nicht an", "Ihre Bank konnte sie nicht auszahlen."),
        "fr": ("Votre remboursement pour la commande {n} n’a pas abouti", "votre banque n’a pas pu le verser."),
    },
    "enrolled": {
        "en": ("You are enrolled: Data Professional", "Your first project is open."),
        "de": ("Sie sind eingeschrieben: Data Professional", "Ihr erstes Projekt ist offen."),
        "fr": ("Votre inscription est confirmée : Data Professional", "Votre premier projet est ouvert."),
    },
    "withdrawn": {
        "en": ("You are no longer enrolled: Data Professional", "so your enrollment has ended."),
        "de": ("Ihre Einschreibung ist beendet: Data Professional", "Damit endet Ihre Einschreibung."),
        "fr": ("Votre inscription est terminée : Data Professional", "Votre inscription est donc terminée."),
    },
    "suspended": {
        "en": ("Your enrollment is paused: Data Professional", "Your progress is kept."),
        "de": ("Ihre Einschreibung ruht: Data Professional", "Ihr Fortschritt bleibt erhalten."),
        "fr": ("Votre inscription est suspendue : Data Professional", "Votre progression est conservée."),
    },
    "restored": {
        "en": ("Your enrollment goes on: Data Professional", "You can go on where you stopped."),
        "de": ("Ihre Einschreibung geht weiter: Data Professional", "Sie können da weitermachen"),
        "fr": ("Votre inscription reprend : Data Professional", "Vous pouvez reprendre"),
    },
    "password_reset": {
        "en": ("Set a new password", "Somebody, probably you, asked for a new password"),
        "de": ("Neues Passwort setzen", "Jemand, wahrscheinlich Sie, möchte"),
        "fr": ("Définir un nouveau mot de passe", "Quelqu’un, sans doute vous, a demandé"),
    },
}
"""The subject of each e-mail to a buyer, and words that its text has."""

STAFF = {"attention", "refund_waiting", "dispute_opened", "dispute_closed"}


def facts(language: str) -> dict[str, Any]:
    """Something for every kind of e-mail to tell of."""
    user = make_user()
    User.objects.update(language=language)
    order = make_order(("Mug", 2, 1250), currency="EUR", language=language, tracking_number="1Z 999")
    refund = make_refund(order, 500, decision_note="worn", description="chipped")
    case = AttentionCase.objects.create(payment=refund.payment, kind="late", detail="came late")
    dispute = Dispute.objects.create(
        payment=refund.payment,
        stripe_dispute_id="dp_1",
        stripe_charge_id="ch_1",
        amount=2500,
        currency="EUR",
        reason="fraudulent",
        status="needs_response",
        due_by=PAID_AT,
        told_at=PAID_AT,
        created_at=PAID_AT,
    )
    return {
        "order_id": order.pk,
        "refund_id": refund.pk,
        "payment_id": case.payment_id,
        "kind": case.kind,
        "dispute_id": dispute.pk,
        "user_id": user.pk,
        "had_succeeded": True,
        "track_name": "Data Professional",
        "reason": "refunded",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", *LANGUAGES])
@pytest.mark.parametrize("kind", sorted(SAID))
def test_each_mail_speaks_the_buyers_language(kind: str, language: str) -> None:
    mail = render(kind, facts(language))
    subject, words = (text.replace("{n}", "ORD-20260301-00001") for text in SAID[kind][language])
    plain, html = mail.text.replace("\xa0", " "), mail.html.replace("\xa0", " ")
    assert mail.subject.replace("\xa0", " ") == subject
    assert words in plain
    assert f'<html lang="{language}">' in html
    for line in words.split("\n> "):
        assert line in html


@pytest.mark.django_db
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(SAID))
def test_nothing_in_a_translated_mail_is_left_in_english(kind: str, language: str) -> None:
    ids = facts(language)
    told, english = render(kind, ids), []
    Order.objects.update(language="en")
    User.objects.update(language="en")
    for line in render(kind, ids).text.splitlines():
        same_everywhere = not line or line.startswith(("> ", "http")) or line in ("Proshop", "Total: €25.00")
        if not same_everywhere:
            english.append(line)
    assert len(english) >= 3
    lines = told.text.splitlines()
    assert [line for line in english if line in lines and line != "2 × Mug: €25.00"] == []


@pytest.mark.django_db
@pytest.mark.parametrize("kind", sorted(STAFF))
def test_staff_reads_english_whatever_the_buyer_speaks(kind: str) -> None:
    ids = facts("de") | {"stage": "lost" if kind == "dispute_closed" else "dispute"}
    mail = render(kind, ids)
    assert '<html lang="en">' in mail.html
    assert re.search(r"\b(order|Order) ORD-20260301-00001\b", mail.text)


def test_every_kind_is_looked_at() -> None:
    assert set(SAID) | STAFF == set(KINDS) == set(Mail.Kind)


# From the request to the mailbox


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("es,fr-CA;q=0.7,en;q=0.3", "fr"),
        ("en-GB", "en"),
        ("es", "en"),
        ("*", "en"),
        ("", "en"),
        ("de;q=0,fr;q=banana", "en"),
        ("x" * 10_000, "en"),
        ("\x7f, ,;;q=, ../../etc/passwd", "en"),
    ],
)
def test_order_keeps_the_language_of_its_checkout(
    shop: Shop, stripe_sandbox: Stripe, header: str, language: str
) -> None:
    shop.add(make_variant())
    answer = shop.post("/api/payment/checkout/", **{"Accept-Language": header})
    assert answer.status_code == 201, answer.content
    assert Order.objects.get().language == language


@pytest.mark.django_db(transaction=True)
def test_german_buyer_gets_german_mail_and_a_german_invoice(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant(price=1250), 2)
    bought = shop.post("/api/payment/checkout/", **{"Accept-Language": "de-DE,en;q=0.5"}).json()
    stripe_sandbox.pay(bought["session_id"])
    stripe_sandbox.digest()
    work()
    [message] = outbox.outbox
    document = Document.objects.get()
    assert message.subject == f"Ihre Bestellung {bought['order_number']}"
    assert "2 × Product MUG-1: 25,00\xa0$\n" in message.body
    assert "Summe: 25,00\xa0$\n" in message.body
    assert f"Die Rechnung {document.number} hängt an." in message.body
    assert (document.language, document.page["title"]) == ("de", "Rechnung")


@pytest.mark.django_db(transaction=True)
def test_account_keeps_the_language_it_was_made_in(shop: Shop) -> None:
    body = {"email": "ada@example.com", "password": "sunny-otter-42"}
    assert shop.post("/api/auth/register/", body, **{"Accept-Language": "fr"}).status_code == 201
    shop.post("/api/auth/password/reset/", {"email": "ada@example.com"}, **{"Accept-Language": "de"})
    deliver_due()
    send_due()
    assert [message.subject for message in outbox.outbox] == ["Définir un nouveau mot de passe"]


@pytest.mark.django_db
def test_order_without_a_language_is_written_to_in_english() -> None:
    order = make_order(("Mug", 1, 1000), language="")
    subscribers.order_shipped({"order_id": order.pk})
    send_due()
    assert outbox.outbox[0].subject == f"Your order {order.number} is on its way"


@pytest.mark.django_db
def test_language_of_one_mail_does_not_reach_the_next() -> None:
    german = make_order(("Mug", 1, 1000), language="de")
    english = make_order(("Mug", 1, 1000), language="en", number="ORD-20260301-00002")
    for order in (german, english):
        subscribers.order_shipped({"order_id": order.pk})
    send_due()
    assert [message.subject.split(" ORD")[0] for message in outbox.outbox] == ["Ihre Bestellung", "Your order"]
