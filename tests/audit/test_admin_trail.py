"""Every form, list and page of the admin leaves its traces, whichever app it comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.audit.trail import KeepsTrail
from apps.catalog.models import Category, Price, ProductVariant
from apps.notifications.models import Mail
from apps.notifications.services import queue_mail
from apps.orders.models import Order
from tests.support.shop import Shop, Stripe, make_user, make_variant
from tests.support.staff import CONFIRMED

pytestmark = pytest.mark.django_db(transaction=True)

VARIANTS = "/admin/catalog/productvariant/"


@pytest.fixture
def client() -> Client:
    client = Client()
    owner = User.objects.create_superuser("owner@example.com", "correct horse battery")
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client


def only_entry() -> AuditEntry:
    return AuditEntry.objects.get()


def variant_form(variant: ProductVariant, price: str = "12.50", **fields: Any) -> dict[str, Any]:
    row = Price.objects.get(variant=variant)
    return {
        "product": variant.product_id,
        "sku": variant.sku,
        "name": variant.name,
        "position": variant.position,
        "active": "on",
        "prices-TOTAL_FORMS": 1,
        "prices-INITIAL_FORMS": 1,
        "prices-0-id": row.pk,
        "prices-0-variant": variant.pk,
        "prices-0-currency": row.currency,
        "prices-0-price": price,
        **fields,
    }


def test_change_is_kept_with_actor_time_values_and_reason(client: Client) -> None:
    variant = make_variant("MUG-1")
    answer = client.post(
        f"{VARIANTS}{variant.pk}/change/", variant_form(variant, name="Green", trail_reason="A typo in the name.")
    )
    assert answer.status_code == 302
    entry = only_entry()
    assert (entry.actor_name, entry.source, entry.action) == ("owner@example.com", "admin", "changed")
    assert (entry.object_type, entry.object_id) == ("catalog.productvariant", str(variant.pk))
    assert (entry.before, entry.after) == ({"name": ""}, {"name": "Green"})
    assert entry.reason == "A typo in the name."
    assert entry.at is not None


def test_row_of_a_table_on_the_page_is_kept_with_its_page(client: Client) -> None:
    variant = make_variant("MUG-1", price=1250)
    price = Price.objects.get()
    client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, price="13.75"))
    entry = only_entry()
    assert entry.object_type == "catalog.productvariant"
    assert entry.before == {f"price {price.pk}": {"amount": 1250}}
    assert entry.after == {f"price {price.pk}": {"amount": 1375}}


def test_row_that_is_taken_off_a_page_is_kept_whole(client: Client) -> None:
    variant = make_variant("MUG-1", price=1250)
    price = Price.objects.get()
    client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, **{"prices-0-DELETE": "on"}))
    entry = only_entry()
    assert entry.before == {
        f"price {price.pk}": {"id": price.pk, "variant_id": variant.pk, "currency": "USD", "amount": 1250}
    }
    assert entry.after == {f"price {price.pk}": {}}
    assert Price.objects.count() == 0


def test_form_that_changes_nothing_or_is_refused_leaves_no_entry(client: Client) -> None:
    variant = make_variant("MUG-1")
    assert client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant)).status_code == 302
    assert client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, price="x")).status_code == 200
    assert client.get(f"{VARIANTS}{variant.pk}/change/").status_code == 200
    assert AuditEntry.objects.count() == 0


def test_entry_and_change_stand_or_fall_together(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = make_variant("MUG-1")

    def fail(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("the trail cannot be written")

    monkeypatch.setattr("apps.audit.trail.record", fail)
    with pytest.raises(RuntimeError):
        client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, name="Green"))
    variant.refresh_from_db()
    assert variant.name == ""


def test_what_is_added_and_deleted_is_kept_whole(client: Client) -> None:
    answer = client.post("/admin/auth/group/add/", {"name": "Helpers", "permissions": [permission("view_order").pk]})
    assert answer.status_code == 302
    group = Group.objects.get(name="Helpers")
    added = only_entry()
    assert (added.action, added.object_type, added.before) == ("added", "auth.group", {})
    assert added.after == {"id": group.pk, "name": "Helpers", "permissions": [str(permission("view_order"))]}
    client.post(f"/admin/auth/group/{group.pk}/delete/", CONFIRMED)
    deleted = AuditEntry.objects.first()
    assert deleted is not None
    assert (deleted.action, deleted.object_id, deleted.after) == ("deleted", str(group.pk), {})
    assert deleted.before["name"] == "Helpers"


def permission(codename: str) -> Permission:
    return Permission.objects.select_related("content_type").get(codename=codename)


def test_rows_deleted_from_a_list_are_kept_one_by_one(client: Client) -> None:
    groups = [Group.objects.create(name=name) for name in ("First", "Second")]
    client.post(
        "/admin/auth/group/",
        {
            "action": "delete_selected",
            "_selected_action": [group.pk for group in groups],
            "post": "yes",
            "trail_reason": "Not needed.",
        },
    )
    assert Group.objects.filter(name__in=("First", "Second")).count() == 0
    entries = AuditEntry.objects.order_by("object_name").values_list("action", "object_name")
    assert list(entries) == [("deleted", "First"), ("deleted", "Second")]


def test_values_edited_in_a_list_are_kept_row_by_row(client: Client) -> None:
    rows = [Category.objects.create(slug=slug, name=slug.title(), position=0) for slug in ("cups", "mugs")]
    form: dict[str, Any] = {"form-TOTAL_FORMS": 2, "form-INITIAL_FORMS": 2, "_save": "Save"}
    for number, row in enumerate(rows):
        form |= {f"form-{number}-id": row.pk, f"form-{number}-position": number * 3}
    assert client.post("/admin/catalog/category/", form).status_code == 302
    entry = only_entry()
    assert (entry.object_id, entry.before, entry.after) == (str(rows[1].pk), {"position": 0}, {"position": 3})


def test_rights_given_to_a_person_are_named(client: Client) -> None:
    person = make_user("clerk@example.com")
    group = Group.objects.create(name="Helpers")
    form = {
        "email": person.email,
        "name": "",
        "is_active": "on",
        "is_staff": "on",
        "groups": [group.pk],
        "trail_reason": "New in support.",
    }
    assert client.post(f"/admin/accounts/user/{person.pk}/change/", form).status_code == 302
    entry = only_entry()
    assert entry.before == {"is_staff": False, "groups": []}
    assert entry.after == {"is_staff": True, "groups": ["Helpers"]}


@pytest.mark.parametrize("whose", ["another", "own"])
def test_new_password_is_told_and_not_shown(client: Client, whose: str) -> None:
    if whose == "another":
        address = f"/admin/accounts/user/{make_user().pk}/password/"
        form = {"usable_password": "true", "password1": "a long enough one", "password2": "a long enough one"}
    else:
        address = "/admin/password_change/"
        form = {"old_password": "correct horse battery", "new_password1": "long enough", "new_password2": "long enough"}
    assert client.post(address, form).status_code == 302
    entry = only_entry()
    assert entry.object_type == "accounts.user"
    assert (entry.before, entry.after) == ({"password": "(not shown)"}, {"password": "(not shown)"})


def test_action_of_a_list_is_kept_with_what_it_changed(client: Client) -> None:
    queue_mail(kind=Mail.Kind.PASSWORD_RESET, key="1", recipient="ada@example.com", ids={})
    queue_mail(kind=Mail.Kind.PASSWORD_RESET, key="2", recipient="bob@example.com", ids={})
    failed, due = Mail.objects.order_by("pk")
    Mail.objects.filter(pk=failed.pk).update(state=Mail.State.FAILED, attempts=9)
    client.post("/admin/notifications/mail/", {"action": "send_again", "_selected_action": [failed.pk, due.pk]})
    entry = only_entry()
    assert (entry.action, entry.object_id) == ("send_again", str(failed.pk))
    assert entry.before["state"] == "failed"
    assert entry.after["state"] == "due"


def test_row_that_cannot_be_is_refused(client: Client) -> None:
    answer = client.post("/admin/notifications/mail/", {"action": "send_again", "_selected_action": ["x"]})
    assert answer.status_code == 400
    assert AuditEntry.objects.count() == 0


def test_page_that_asks_a_service_is_kept_with_what_the_service_did(
    client: Client, shop: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(make_variant("MUG-1"))
    bought = shop.buy(stripe_sandbox)
    order = Order.objects.get(number=bought["order_number"])
    answer = client.post(
        f"/admin/orders/order/{order.pk}/ship/", {"tracking_number": "TR-1", "_form_submitted": "True"}
    )
    assert answer.status_code == 200
    order.refresh_from_db()
    assert order.status == "shipped"
    entry = only_entry()
    assert (entry.action, entry.object_type, entry.object_name) == ("ship", "orders.order", order.number)
    assert (entry.before["status"], entry.after["status"]) == ("confirmed", "shipped")
    assert (entry.before["tracking_number"], entry.after["tracking_number"]) == ("", "TR-1")
    again = client.post(f"/admin/orders/order/{order.pk}/ship/", {"tracking_number": "TR-2", "_form_submitted": "True"})
    assert again.status_code == 200
    assert AuditEntry.objects.count() == 1


def test_what_a_page_did_before_it_failed_is_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    queue_mail(kind=Mail.Kind.PASSWORD_RESET, key="1", recipient="ada@example.com", ids={})
    mail = Mail.objects.get()

    def do_half(rows: Any) -> int:
        rows.update(state=Mail.State.FAILED)
        raise RuntimeError("half way")

    monkeypatch.setattr("apps.notifications.admin.send_again", do_half)
    with pytest.raises(RuntimeError):
        client.post("/admin/notifications/mail/", {"action": "send_again", "_selected_action": [mail.pk]})
    assert only_entry().after == {"state": "failed"}


def test_secrets_are_in_no_entry(client: Client) -> None:
    person = make_user("clerk@example.com")
    old = person.password
    client.post(f"/admin/accounts/user/{person.pk}/delete/", CONFIRMED)
    assert User.objects.filter(pk=person.pk).count() == 0
    text = json.dumps([only_entry().before, only_entry().after])
    assert "(not shown)" in text
    assert old not in text


def test_every_page_that_is_registered_keeps_the_trail() -> None:
    assert [type(page) for page in admin.site._registry.values() if not isinstance(page, KeepsTrail)] == []


def test_form_asks_for_a_reason_only_where_something_can_be_changed(client: Client) -> None:
    variant = make_variant("MUG-1")
    assert 'name="trail_reason"' in client.get(f"{VARIANTS}{variant.pk}/change/").content.decode()
    client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, name="Green"))
    page = client.get(f"/admin/audit/auditentry/{only_entry().pk}/change/").content.decode()
    assert 'name="trail_reason"' not in page
    assert "Green" in page


def test_reading_the_trail_takes_as_many_statements_for_many_entries_as_for_one(client: Client) -> None:
    variant = make_variant("MUG-1")

    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            assert client.get("/admin/audit/auditentry/").status_code == 200
        return len(found)

    client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, name="0"))
    statements()
    one = statements()
    for number in range(1, 12):
        client.post(f"{VARIANTS}{variant.pk}/change/", variant_form(variant, name=str(number)))
    assert AuditEntry.objects.count() == 12
    assert statements() == one
