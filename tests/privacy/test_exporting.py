"""All that is held of a person, handed to them: as JSON, with invoices and credit notes."""

from __future__ import annotations

import io
import json
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from knox.models import AuthToken

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.invoices.models import Document
from apps.invoices.services.printing import print_document
from apps.orders.models import Order
from tests.privacy.person import live
from tests.privacy.search import EMAIL, WORD, found_in_database
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants", "sign_ins_are_counted"),
]


def export(path: Path, address: str = EMAIL) -> dict[str, Any]:
    call_command("export_customer", address, "--to", str(path), stdout=io.StringIO())
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("data.json"))


def words(value: Any) -> set[str]:
    """Every text in which the word stands."""
    if isinstance(value, dict):
        return {text for each in value.values() for text in words(each)}
    if isinstance(value, list):
        return {text for each in value for text in words(each)}
    return {value} if isinstance(value, str) and WORD in value.lower() else set()


def test_everything_that_is_held_is_handed_out(stripe_sandbox: Stripe, track: Any, tmp_path: Path) -> None:
    live(stripe_sandbox, track)
    before = found_in_database()
    told = export(tmp_path / "ada.zip")
    assert found_in_database() == before
    fields = {re.sub(rf".*{WORD}\.?", "", text, flags=re.IGNORECASE | re.DOTALL).strip() for text in words(told)}
    assert {
        "third name",
        "recipient",
        "street",
        "floor",
        "town",
        "parcel",
        "card name",
        "guest card",
        "billing street",
        "complaint",
        "note of staff",
        "case",
        "browser",
        "reason",
        "person@example.com",
    } <= fields
    assert WORD in told["payment"]["disputes"][0]["evidence"].lower()
    mine = Order.objects.exclude(user__email="friend@example.com")
    assert [order["number"] for order in told["orders"]["orders"]] == list(
        mine.order_by("pk").values_list("number", flat=True)
    )
    assert told["orders"]["named_in_orders_of_others"] == [Order.objects.get(user__email="friend@example.com").number]
    assert (told["orders"]["orders"][0]["total"], told["orders"]["orders"][0]["currency"]) == ("20.00", "USD")
    assert [enrolled["track"] for enrolled in told["enrollment"]] == ["DP"]
    assert [(item["sku"], item["quantity"]) for item in told["cart"]] == [("BOOK", 1)]
    assert sorted(method["last4"] for method in told["payment"]["saved_methods"]) == ["4242", "4444"]
    assert told["account"]["account"]["email"] == EMAIL
    assert len(told["account"]["tokens"]) == 1
    assert told["account"]["sessions"] == 1
    assert {attempt["username"] for attempt in told["account"]["failed_sign-ins"]} == {EMAIL}
    with zipfile.ZipFile(tmp_path / "ada.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".pdf")]
        documents = Document.objects.exclude(order__user__email="friend@example.com")
        assert sorted(names) == sorted(f"invoices/{document.number}.pdf" for document in documents)
        first = documents.order_by("pk").first()
        assert first is not None
        assert archive.read(f"invoices/{first.number}.pdf") == print_document(first)


def test_no_secret_and_nothing_of_anybody_else_is_handed_out(
    stripe_sandbox: Stripe, track: Any, tmp_path: Path
) -> None:
    live(stripe_sandbox, track)
    text = json.dumps(export(tmp_path / "ada.zip"))
    person = User.objects.get(email=EMAIL)
    secrets = {person.password, *AuthToken.objects.values_list("digest", flat=True)}
    secrets |= {order.token for order in Order.objects.all()}
    secrets |= set(Session.objects.values_list("session_key", flat=True))
    assert len(secrets) > 8
    assert [secret for secret in secrets if secret in text] == []
    assert "_secret_" not in text
    for other in ("owner@example.com", "friend@example.com", "A friend"):
        assert other not in text, other


def test_file_is_for_its_owner_alone_and_never_overwrites(stripe_sandbox: Stripe, tmp_path: Path) -> None:
    user = make_user("ada@example.com")
    path = tmp_path / "ada.zip"
    export(path, "Ada@Example.com")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    with pytest.raises(CommandError, match="is there already"):
        export(path, "ada@example.com")
    assert path.read_bytes() == content
    with pytest.raises(CommandError, match="cannot be written"):
        export(tmp_path / "nowhere" / "ada.zip", "ada@example.com")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_type, entry.object_id) == ("exported", "accounts.user", str(user.pk))


def test_nobody_is_told_so_and_no_file_is_left(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Nothing is held"):
        export(tmp_path / "nobody.zip", "nobody@example.com")
    assert list(tmp_path.iterdir()) == []


def test_guest_is_found_by_the_address_alone(shop: Shop, stripe_sandbox: Stripe, tmp_path: Path) -> None:
    shop.add(make_variant("BOOK", kind="digital"))
    shop.buy(stripe_sandbox, email="Guest@Example.com")
    other = Shop()
    other.add(make_variant("PEN", kind="digital"))
    other.buy(stripe_sandbox, email="guest@example.com.au")
    told = export(tmp_path / "guest.zip", "guest@example.com")
    assert [order["email"] for order in told["orders"]["orders"]] == ["Guest@Example.com"]
    assert told["account"]["account"] is None
    assert len(told["payment"]["payments"]) == 1
    assert "guest@example.com.au" not in json.dumps(told)
