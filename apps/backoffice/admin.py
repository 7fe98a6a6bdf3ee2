"""Pages of other apps that need to know more than those apps may."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from apps.accounts.admin import GroupAdmin
from apps.backoffice.roles import ROLES

admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Shipped roles are read, not edited: the next migration would make them what they were."""

    list_display = ("name", "meaning")

    @admin.display(description="meaning")
    def meaning(self, group: Group) -> str:
        role = ROLES.get(group.name)
        return role.meaning if role else "A group of this shop's own."

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_own(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_own(obj) and bool(super().has_delete_permission(request, obj))


def _is_own(group: Group | None) -> bool:
    return group is None or group.name not in ROLES
