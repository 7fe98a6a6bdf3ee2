"""Each shipped role can do exactly what it says: every list, every form and every page that does something."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.backoffice.roles import ROLES, ship_roles
from apps.catalog.models import Category
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.payment.models import AttentionCase, Payment, Refund, StripeWebhookEvent
from tests.support.shop import Shop, Stripe, make_user, make_variant
from tests.support.staff import CONFIRMED, signed_in, text_of

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = {
    "catalog.category",
    "catalog.product",
    "catalog.productvariant",
    "enrollment.enrollment",
    "enrollment.track",
    "inventory.stockhold",
    "inventory.stockmovement",
    "orders.order",
    "payment.attentioncase",
    "payment.balanceentry",
    "payment.dispute",
    "payment.payment",
    "payment.paymentmethod",
    "payment.refund",
    "payment.stripecustomer",
    "payment.stripewebhookevent",
    "payment.stripewebhooksecret",
}
OWNERS = {
    "accounts.erasure",
    "accounts.user",
    "audit.auditentry",
    "auth.group",
    "axes.accessattempt",
    "axes.accessfailurelog",
    "axes.accesslog",
    "cart.cart",
    "common.idempotencykey",
    "common.limitcount",
    "invoices.document",
    "knox.authtoken",
    "notifications.mail",
    "otp_totp.totpdevice",
    "outbox.delivery",
}
CATALOGUE = {"catalog.category", "catalog.product", "catalog.productvariant", "enrollment.track"}
LISTS = {
    "viewer": SHOP,
    "support": SHOP | {"accounts.user", "cart.cart", "invoices.document", "notifications.mail"},
    "finance": SHOP | {"invoices.document"},
    "catalogue": CATALOGUE | {"inventory.stockhold", "inventory.stockmovement"},
    "owner": SHOP | OWNERS,
}
ADDS = {
    "viewer": set(),
    "support": set(),
    "finance": set(),
    "catalogue": CATALOGUE,
    "owner": {*CATALOGUE, "accounts.user", "auth.group"},
}
DOINGS = {
    "viewer": {"read the story"},
    "support": {
        "read the story",
        "read the papers",
        "cancel",
        "make a payment link",
        "ship",
        "deliver",
        "send mail again",
        "send mail again from the order",
        "solve",
        "take",
        "note",
        "cancel by API",
    },
    "finance": {
        *(
            "refund",
            "refund many",
            "approve",
            "reject",
            "assign",
            "capture",
            "release",
            "solve",
            "take",
            "note",
            "replay",
            "replay one",
            "ask about the endpoint",
        ),
        *("refund by API", "read the story", "read the papers", "refund from the order", "export books"),
    },
    "catalogue": {"move stock", "import and export the catalogue"},
    "owner": {
        *(
            "read the story",
            "cancel",
            "ship",
            "deliver",
            "send mail again",
            "solve",
            "take",
            "note",
            "cancel by API",
            "refund by API",
        ),
        *("refund", "refund many", "approve", "reject", "assign", "capture", "release", "replay"),
        *("read the papers", "make a payment link", "send mail again from the order", "refund from the order"),
        *("replay one", "ask about the endpoint", "move stock", "import and export the catalogue", "export books"),
    },
}


def person(role: str) -> Client:
    user = User.objects.create_user(f"{role}@example.com", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return signed_in(user)


def address(label: str) -> str:
    return f"/admin/{label.replace('.', '/')}/"


def registered() -> set[str]:
    return {model._meta.label_lower for model in admin.site._registry}


@pytest.mark.parametrize("role", ROLES)
def test_role_opens_exactly_its_lists(role: str) -> None:
    client = person(role)
    answers = {label: client.get(address(label)).status_code for label in registered()}
    assert {label for label, status in answers.items() if status == 200} == LISTS[role]
    assert {status for label, status in answers.items() if label not in LISTS[role]} <= {403}


@pytest.mark.parametrize("role", ROLES)
def test_role_adds_exactly_what_is_its_own(role: str) -> None:
    client = person(role)
    answers = {label: client.get(f"{address(label)}add/").status_code for label in registered()}
    assert {label for label, status in answers.items() if status == 200} == ADDS[role]
    assert {status for label, status in answers.items() if label not in ADDS[role]} == {403}


@pytest.mark.parametrize("role", ROLES)
def test_role_does_exactly_what_it_may(role: str, shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(variant := make_variant("MUG-1", stock=9))
    bought = shop.buy(stripe_sandbox)
    payment = Payment.objects.get()
    order = Order.objects.get()
    refund = Refund.objects.create(
        payment=payment, amount=1, currency="USD", status="requested", reason="other", source="buyer"
    )
    case = AttentionCase.objects.create(payment=payment, kind="late", detail="")
    mail = Mail.objects.latest("pk")
    event = StripeWebhookEvent.objects.latest("pk")
    client = person(role)
    refunds, payments, orders = "/admin/payment/refund/", "/admin/payment/payment/", "/admin/orders/order/"

    def listed(page: str, action: str, row: Any) -> int:
        client.post(page, {"action": action, "_selected_action": [row.pk]})
        menu = client.get(page).content.decode()
        return 200 if f'value="{action}"' in menu else 403

    def api(path: str, body: dict[str, Any]) -> int:
        return client.post(path, body, content_type="application/json").status_code

    answers = {
        "ship": client.get(f"{orders}{order.pk}/ship/").status_code,
        "deliver": client.get(f"{orders}{order.pk}/deliver/").status_code,
        "cancel": client.get(f"{orders}{order.pk}/cancel/").status_code,
        "read the story": client.get(f"{orders}{order.pk}/timeline/").status_code,
        "refund": client.get(f"{payments}{payment.pk}/refund/").status_code,
        "refund many": client.post(f"{payments}process-refunds/", {}).status_code,
        "capture": client.get(f"{payments}{payment.pk}/capture/").status_code,
        "release": client.get(f"{payments}{payment.pk}/release/").status_code,
        "approve": client.get(f"{refunds}{refund.pk}/approve/").status_code,
        "reject": client.get(f"{refunds}{refund.pk}/reject/").status_code,
        "assign": client.get(f"{refunds}{refund.pk}/assign/").status_code,
        "solve": client.get(f"/admin/payment/attentioncase/{case.pk}/solve/").status_code,
        "take": client.get(f"/admin/payment/attentioncase/{case.pk}/take/").status_code,
        "note": client.get(f"/admin/payment/attentioncase/{case.pk}/note/").status_code,
        "read the papers": client.get(f"{orders}{order.pk}/papers/").status_code,
        "send mail again from the order": client.post(f"{orders}{order.pk}/papers/", {"mail": mail.pk}).status_code,
        "refund from the order": client.get(f"{orders}{order.pk}/refund/").status_code,
        "make a payment link": client.get(f"{orders}{order.pk}/pay-link/").status_code,
        "move stock": client.get(f"/admin/catalog/productvariant/{variant.pk}/stock/").status_code,
        "import and export the catalogue": client.get("/admin/shelves/").status_code,
        "export books": client.get("/admin/exports/").status_code,
        "replay one": client.get(f"/admin/payment/stripewebhookevent/{event.pk}/replay/").status_code,
        "ask about the endpoint": client.post("/admin/endpoint/").status_code,
        "send mail again": listed("/admin/notifications/mail/", "send_again", mail),
        "replay": listed("/admin/payment/stripewebhookevent/", "replay_events", event),
        # A paid order is refused with 409 to whoever may cancel, and hidden from everybody else.
        "cancel by API": api(f"/api/orders/{bought['order_number']}/cancel/", {}),
        "refund by API": api("/api/payment/refunds/", {"payment_id": payment.pk, "amount": "99999"}),
    }
    refused = {doing for doing, status in answers.items() if status in (403, 404)}
    assert set(answers) - refused == DOINGS[role]


def test_only_owners_read_of_people_in_payloads_beside_finance(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG-1"))
    shop.buy(stripe_sandbox, email="ada.lovelace@example.com")
    event = StripeWebhookEvent.objects.get(type="checkout.session.completed")
    page = f"/admin/payment/stripewebhookevent/{event.pk}/change/"
    pages = {role: text_of(person(role).get(page)) for role in ("viewer", "finance", "owner")}
    shown = {role: "ada.lovelace@example.com" in text for role, text in pages.items()}
    assert shown == {"viewer": False, "finance": True, "owner": True}
    assert all('"payment_status": "paid"' in text for text in pages.values())
    assert all('"object": "checkout.session"' in text for text in pages.values())


def test_catalogue_changes_the_shelves(db: None) -> None:
    category = Category.objects.create(slug="cups", name="Cups")
    for role in ("viewer", "catalogue"):
        form = {"slug": "cups", "name": f"Named by {role}", "position": 0}
        person(role).post(f"/admin/catalog/category/{category.pk}/change/", form)
    category.refresh_from_db()
    assert category.name == "Named by catalogue"


def test_every_permission_that_a_role_names_exists() -> None:
    known = {f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.select_related("content_type")}
    named = {name for role in ROLES.values() for name in role.permissions if "*" not in name}
    assert named - known == set()


def test_migrating_again_changes_nothing_and_mends_what_was_bent() -> None:
    owner = Group.objects.get(name="owner")
    before = {group.name: set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.all()}
    assert before["owner"] == set(Permission.objects.values_list("pk", flat=True))
    call_command("migrate", verbosity=0)
    Group.objects.get(name="viewer").permissions.add(Permission.objects.get(codename="issue_refund"))
    owner.permissions.clear()
    Group.objects.get(name="support").delete()
    call_command("migrate", verbosity=0)
    after = {group.name: set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.all()}
    assert after == before


def test_groups_of_the_shops_own_stay_as_they_are() -> None:
    own = Group.objects.create(name="Night shift")
    own.permissions.add(Permission.objects.get(codename="fulfil_order"))
    ship_roles()
    assert list(own.permissions.values_list("codename", flat=True)) == ["fulfil_order"]


def test_making_the_roles_anew_takes_few_statements() -> None:
    with CaptureQueriesContext(connection) as found:
        ship_roles()
    assert [query["sql"].split()[0] for query in found if query["sql"][:6] in ("SELECT", "INSERT", "DELETE")] == [
        "SELECT"
    ] * 3


def test_shipped_roles_are_not_edited_and_own_groups_are(db: None) -> None:
    client = person("owner")
    shipped, own = Group.objects.get(name="viewer"), Group.objects.create(name="Night shift")
    page = client.get(f"/admin/auth/group/{shipped.pk}/change/").content.decode()
    assert 'name="_save"' not in page
    assert client.post(f"/admin/auth/group/{shipped.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post(f"/admin/auth/group/{shipped.pk}/delete/", CONFIRMED).status_code == 403
    client.post(
        "/admin/auth/group/",
        {"action": "delete_selected", "_selected_action": [shipped.pk], **CONFIRMED},
    )
    assert client.post(f"/admin/auth/group/{own.pk}/change/", {"name": "Late shift"}).status_code == 302
    assert set(Group.objects.values_list("name", flat=True)) == {*ROLES, "Late shift"}


def test_owner_makes_no_superuser_and_takes_none_over(db: None) -> None:
    client = person("owner")
    root = User.objects.create_superuser("root@example.com", "correct horse battery")
    clerk = make_user("clerk@example.com")
    form = {"email": clerk.email, "name": "", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    assert client.post(f"/admin/accounts/user/{clerk.pk}/change/", form).status_code == 302
    clerk.refresh_from_db()
    assert (clerk.is_staff, clerk.is_superuser) == (True, False)
    password = {"usable_password": "true", "password1": "a long enough one", "password2": "a long enough one"}
    assert client.post(f"/admin/accounts/user/{root.pk}/password/", password).status_code == 403
    assert client.post(f"/admin/accounts/user/{root.pk}/change/", form).status_code == 403
    assert client.post(f"/admin/accounts/user/{root.pk}/delete/", CONFIRMED).status_code == 403
    root.refresh_from_db()
    assert root.check_password("correct horse battery")
