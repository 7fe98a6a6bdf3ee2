"""People and their sign-ins for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm

from apps.accounts.forms import UserChangeForm, UserCreationForm
from apps.accounts.models import User
from apps.accounts.services import tell_change
from apps.common.admin import ReadOnlyAdmin

admin.site.unregister(Group)
admin.site.unregister(AuthToken)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Buyers and staff. A person with orders cannot be deleted: deactivate instead."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("email",)
    list_display = ("email", "name", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    search_fields = ("email__istartswith", "name__icontains")
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "name", "password1", "password2")}),)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only a superuser makes another one."""
        return self.readonly_fields if request.user.is_superuser else (*self.readonly_fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and bool(super().has_delete_permission(request, obj))

    @staticmethod
    def _may_touch(request: HttpRequest, obj: User | None) -> bool:
        """Whoever could set a superuser's password would be one."""
        return obj is None or not obj.is_superuser or bool(request.user.is_superuser)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and {"email", "name"} & set(form.changed_data):
            tell_change(obj)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(AuthToken)
class AuthTokenAdmin(ReadOnlyAdmin):
    """Who is signed in, and until when. Deleting a row ends that sign-in."""

    list_display = ("user", "created", "expiry")
    search_fields = ("user__email__istartswith",)
    list_select_related = ("user",)
    fields = ("user", "created", "expiry")

    def has_delete_permission(self, request, obj=None):  # type: ignore[no-untyped-def]
        return request.user.has_perm("knox.delete_authtoken")
