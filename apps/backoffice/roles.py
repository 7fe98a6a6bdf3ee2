"""The roles that the shop ships, as groups. `migrate` makes them what they are here, again and again.

A shop that wants it otherwise makes groups of its own; these stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.models import Group, Permission


@dataclass(frozen=True, slots=True)
class Role:
    """What people of a role may do: `app.codename`, where `*` stands for anything."""

    meaning: str
    permissions: tuple[str, ...]


READ_SHOP = (
    "catalog.view_*",
    "inventory.view_*",
    "orders.view_*",
    "payment.view_*",
    "enrollment.view_*",
)

ROLES: dict[str, Role] = {
    "viewer": Role(
        "Reads orders, payments, the catalogue, stock and enrollments; changes nothing and exports nothing.",
        READ_SHOP,
    ),
    "support": Role(
        "Helps buyers: reads what a viewer does and people, carts, e-mails and invoices; ships, delivers and cancels, "
        "sends e-mails again, works on cases. Moves no money.",
        (
            *READ_SHOP,
            "accounts.view_user",
            "cart.view_*",
            "notifications.view_mail",
            "notifications.change_mail",
            "invoices.view_document",
            "orders.change_order",
            "orders.fulfil_order",
            "payment.change_attentioncase",
        ),
    ),
    "finance": Role(
        "Moves money: reads what a viewer does and invoices; gives refunds and decides on requests, takes reserved "
        "amounts, answers disputes, works on cases, replays events, exports the books.",
        (
            *READ_SHOP,
            "invoices.view_document",
            "payment.issue_refund",
            "payment.decide_refund",
            "payment.capture_payment",
            "payment.answer_dispute",
            "payment.change_attentioncase",
            "payment.change_stripewebhookevent",
            "backoffice.export_books",
        ),
    ),
    "catalogue": Role(
        "Fills the shelves: products, variants, prices, categories and tracks, by hand or from a file; corrects stock "
        "with a reason. Sees no buyer.",
        (
            "catalog.*",
            "inventory.view_*",
            "inventory.adjust_stock",
            "enrollment.*_track",
            "enrollment.*_project",
            "enrollment.*_step",
        ),
    ),
    "owner": Role("Everything, people and their rights and the audit trail included.", ("*",)),
}


def ship_roles(**_: Any) -> None:
    """Make the shipped groups have exactly their permissions. Running it again changes nothing."""
    known = {
        f"{app}.{codename}": pk
        for app, codename, pk in Permission.objects.values_list("content_type__app_label", "codename", "pk")
    }
    groups = {group.name: group for group in Group.objects.filter(name__in=ROLES)}
    missing = [Group(name=name) for name in ROLES if name not in groups]
    groups |= {group.name: group for group in Group.objects.bulk_create(missing)}
    link = Group.permissions.through
    wanted = {
        (groups[name].pk, pk)
        for name, role in ROLES.items()
        for permission, pk in known.items()
        if any(fnmatchcase(permission, pattern) for pattern in role.permissions)
    }
    of_roles = link.objects.filter(group__in=groups.values())
    present = {(group_id, permission_id): pk for pk, group_id, permission_id in of_roles.values_list()}
    link.objects.filter(pk__in=[pk for pair, pk in present.items() if pair not in wanted]).delete()
    link.objects.bulk_create(
        [link(group_id=group_id, permission_id=pk) for group_id, pk in sorted(wanted - set(present))],
        ignore_conflicts=True,
    )
