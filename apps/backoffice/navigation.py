"""The sidebar: what staff uses daily first, the shop's machinery last."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse

PAGES = (
    # Title, address, the right that opens it, icon.
    ("Dashboard", "admin:index", "", "space_dashboard"),
    ("Exports", "admin:exports", "backoffice.export_books", "download"),
    ("Import and export", "admin:shelves", "inventory.adjust_stock", "swap_vert"),
    ("Checks", "admin:checks", "payment.view_checkrun", "fact_check"),
    ("Webhook endpoint", "admin:endpoint", "payment.view_stripewebhookevent", "webhook"),
)
GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Selling",
        (
            ("orders.order", "receipt_long"),
            ("payment.payment", "payments"),
            ("payment.refund", "undo"),
            ("payment.dispute", "gavel"),
            ("payment.attentioncase", "flag"),
            ("invoices.document", "description"),
            ("payment.balanceentry", "account_balance"),
            ("enrollment.enrollment", "school"),
        ),
    ),
    (
        "Shelves",
        (
            ("catalog.product", "inventory_2"),
            ("catalog.productvariant", "sell"),
            ("catalog.category", "category"),
            ("enrollment.track", "route"),
        ),
    ),
    (
        "People",
        (
            ("accounts.user", "person"),
            ("accounts.erasure", "person_off"),
            ("auth.group", "shield_person"),
            ("otp_totp.totpdevice", "phonelink_lock"),
            ("audit.auditentry", "history"),
            ("axes.accesslog", "login"),
            ("axes.accessfailurelog", "gpp_bad"),
            ("axes.accessattempt", "lock"),
        ),
    ),
)
REST = "Machinery"
TITLES = {
    "otp_totp.totpdevice": "Second factors",
    "axes.accesslog": "Sign-ins",
    "axes.accessfailurelog": "Refused sign-ins",
    "axes.accessattempt": "Wrong passwords",
    "payment.attentioncase": "Cases",
    "payment.stripewebhookevent": "Stripe's events",
    "payment.balanceentry": "Stripe's balance",
    "invoices.document": "Invoices",
}
"""Where the table's own name says too little."""


def sidebar(site: AdminSite, request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links to what this person may open. What no group names stands in the last one."""
    lists = {
        (label := model["model"]._meta.label_lower): (TITLES.get(label, str(model["name"])), model["admin_url"])
        for app in site.get_app_list(request)
        for model in app["models"]
        if model["admin_url"]
    }
    groups: list[dict[str, Any]] = [
        {"title": "", "items": [_page(*page) for page in PAGES if not page[2] or request.user.has_perm(page[2])]}
    ]
    for title, models in GROUPS:
        links = [(*lists.pop(label), icon) for label, icon in models if label in lists]
        groups.append({"title": title, "items": [_link(request, *link) for link in links]})
    rest = sorted(lists.values())
    groups.append({"title": REST, "collapsible": True, "items": [_link(request, *link, "settings") for link in rest]})
    return [group for group in groups if group["items"]]


def _page(title: str, name: str, permission: str, icon: str) -> dict[str, Any]:
    return {"title": title, "link": reverse(name), "icon": icon}


def _link(request: HttpRequest, title: str, address: str, icon: str) -> dict[str, Any]:
    active = request.path.startswith(address)
    return {"title": title[:1].upper() + title[1:], "link": address, "icon": icon, "active": active}
