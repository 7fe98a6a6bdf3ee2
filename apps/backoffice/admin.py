"""Pages of other apps that need to know more than those apps may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.accounts.admin import GroupAdmin
from apps.audit.selectors import entries_of
from apps.backoffice import erasures, order_pages
from apps.backoffice.roles import ROLES
from apps.backoffice.second_factor.services import reset
from apps.backoffice.shelves import admin as shelves
from apps.common.admin import MajorUnits, ReadOnlyAdmin
from apps.common.errors import DomainError
from apps.payment.admin.cases import AttentionCaseAdmin
from apps.payment.admin.forms import NoteForm
from apps.payment.admin.pages import address_of, opens_page, posted, staff_of
from apps.payment.models import AttentionCase, BalanceEntry
from apps.payment.services.cases import take_case

__all__ = ["erasures", "order_pages", "shelves"]

for model in (Group, AttentionCase, TOTPDevice, StaticDevice):
    admin.site.unregister(model)


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


class TakeForm(NoteForm):
    """Whoever takes a case may say something, and need not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["note"].required = False


@admin.register(AttentionCase)
class CaseAdmin(AttentionCaseAdmin):
    """A case with its story: who took it, what was noted on the way, how it was solved. All of it is in the trail."""

    actions_detail = ("take_it", "add_note", *AttentionCaseAdmin.actions_detail)  # type: ignore[assignment]
    readonly_fields = (*AttentionCaseAdmin.readonly_fields, "story")  # type: ignore[assignment]
    fieldsets = (*AttentionCaseAdmin.fieldsets, ("Story", {"fields": ("story",)}))  # type: ignore[assignment]

    @admin.display(description="what staff did")
    def story(self, case: AttentionCase) -> SafeString | str:
        entries = entries_of([case])
        return (
            format_html_join(
                "",
                "<p>{} UTC, {}: {}</p>",
                (
                    (f"{entry.at:%Y-%m-%d %H:%M}", entry.actor_name or "nobody known", entry.detail or entry.action)
                    for entry in entries
                ),
            )
            or "Nothing yet. Take the case, so that nobody else does the same."
        )

    def useful_pages(self, row: Any) -> Iterable[str]:
        if row.solved_at is None:
            yield "take_it"
            yield "add_note"
        yield from super().useful_pages(row)

    @opens_page(title="Take", path="take", permission="solve")
    def take_it(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        case = self.row_or_404(request, object_id)
        form = TakeForm(posted(request))
        if request.method == "POST" and form.is_valid():
            try:
                take_case(case, by=staff_of(request))
            except DomainError as refusal:
                messages.warning(request, refusal.message)
            else:
                self.note(request, case, f"Taken. {form.cleaned_data['note']}".strip())
                messages.success(request, "You look after this case now.")
            return redirect(address_of(case))
        help_text = "Others see that you look after it." + (
            f" {case.taken_by} has it now." if case.taken_by and case.taken_by != request.user else ""
        )
        return self._step(request, case, form, title="Take the case", button="Take it", help=help_text)

    @opens_page(title="Note", path="note", permission="solve")
    def add_note(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        case = self.row_or_404(request, object_id)
        form = NoteForm(posted(request))
        if request.method == "POST" and form.is_valid():
            self.note(request, case, f"Noted: {form.cleaned_data['note']}")
            messages.success(request, "The note is kept with the case.")
            return redirect(address_of(case))
        help_text = "The case stays open. What is noted stays in the trail and cannot be changed."
        return self._step(request, case, form, title="Note something", button="Keep the note", help=help_text)

    def _step(
        self, request: HttpRequest, case: AttentionCase, form: forms.Form, *, title: str, button: str, help: str
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{title}: {self.what(case)}, order {case.payment.order.number}",
            "opts": self.opts,
            "original": case,
            "form": form,
            "button": button,
            "help": help,
        }
        return TemplateResponse(request, "backoffice/case_step.html", context)


@admin.register(BalanceEntry)
class BalanceEntryAdmin(MajorUnits, ReadOnlyAdmin):
    """What Stripe booked, in the currency that the account settles in."""

    empty_text = "The worker reads Stripe's balance once an hour; money that came shows up here with its fee."
    list_display = ("created", "kind", "payment", "booked", "charged_fee", "left", "currency", "payout_id")
    list_filter = (("payment", admin.EmptyFieldListFilter), "created")
    search_fields = (
        "stripe_id__exact",
        "source_id__exact",
        "payout_id__exact",
        "payment__order__number__startswith",
    )
    date_hierarchy = "created"
    list_select_related = ("payment",)
    exclude = ("amount", "fee", "net")
    money_fields = {"booked": "amount", "charged_fee": "fee", "left": "net"}


@admin.register(TOTPDevice)
class SecondFactorAdmin(ReadOnlyAdmin):
    """Who has set up a second factor. Deleting one lets its owner set up another at the next sign-in."""

    empty_text = "Nobody has set one up yet. Where it is asked for, everybody does at the next sign-in."
    list_display = ("user", "confirmed", "created_at", "last_used_at")
    search_fields = ("user__email__istartswith",)
    list_select_related = ("user",)
    fields = ("user", "confirmed", "created_at", "last_used_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("otp_totp.delete_totpdevice"))

    def delete_model(self, request: HttpRequest, obj: TOTPDevice) -> None:
        reset(obj.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TOTPDevice]) -> None:
        for device in queryset.select_related("user"):
            reset(device.user)


class SignInsAdmin(ReadOnlyAdmin):
    """The log of sign-ins; it goes after 90 days."""

    empty_text = "Nothing of the kind happened in the last 90 days, or rate limits are off and nothing was kept."
    list_display = ("attempt_time", "username", "ip_address", "path_info", "user_agent")
    list_filter = ("attempt_time",)
    search_fields = ("username__istartswith", "ip_address__exact")
    date_hierarchy = "attempt_time"
    fields = ("attempt_time", "username", "ip_address", "path_info", "user_agent")


admin.site.register(AccessLog, SignInsAdmin)
admin.site.register(AccessFailureLog, SignInsAdmin)


@admin.register(AccessAttempt)
class LockedOutAdmin(SignInsAdmin):
    """Wrong passwords since the last right one. Deleting a row lets the person try again at once."""

    empty_text = "Nobody is locked out."
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    fields = (*SignInsAdmin.fields, "failures_since_start")  # type: ignore[assignment]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("axes.delete_accessattempt"))
