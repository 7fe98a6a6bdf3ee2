"""People who are forgotten, for those who may have it done: what was asked for, and a page that asks for more.

The page looks first and changes nothing. An address is sent in a form alone: what stands in an address bar is logged.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextareaWidget

from apps.accounts.models import Erasure
from apps.accounts.privacy.erasing import StillOpen, ask_for, cautions_of, plan_erasure
from apps.accounts.privacy.holders import rows_of
from apps.audit.selectors import entries_of
from apps.common.admin import ReadOnlyAdmin
from apps.common.errors import DomainError
from apps.payment.admin.pages import address_of, posted, staff_of


class WhoForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "off"}),
        help_text="Orders that a guest placed with it count. Make sure that whoever asks has this address.",
    )


class WhyForm(forms.Form):
    """What was looked at is typed once more, so that nobody is forgotten by a slip."""

    email = forms.EmailField(widget=forms.HiddenInput)
    again = forms.EmailField(
        label="The same address again", widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "off"})
    )
    reason = forms.CharField(
        label="Why",
        max_length=300,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Such as the number of the request. Name nobody: it stays in the trail.",
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        texts = {name: str(given.get(name, "")).strip().lower() for name in ("email", "again", "reason")}
        if texts["again"] and texts["again"] != texts["email"]:
            self.add_error("again", "This is another address.")
        if texts["email"] and texts["email"] in texts["reason"]:
            self.add_error("reason", "The address must not stand here: it would outlive its person.")
        return given


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Who they were is gone; what stands in their place, when it was asked for and what it waits for."""

    list_display = ("pseudonym", "started_at", "finished_at", "waits_for")
    list_filter = ("started_at", ("finished_at", admin.EmptyFieldListFilter))
    search_fields = ("pseudonym__exact",)
    fields = ("pseudonym", "state", "asked_for", "started_at", "finished_at", "waits_for", "attempts", "due_at")
    readonly_fields = ("state", "asked_for", "waits_for")
    actions_list = ("forget",)
    empty_text = "Nobody was forgotten yet. Forget a person, at the top of this page, shows first what is held of them."

    @admin.display(description="state")
    def state(self, erasure: Erasure) -> str:
        if erasure.finished_at:
            return "forgotten"
        return "waits" if erasure.reason else "the worker is at it, or will be in a moment"

    @admin.display(description="waits for")
    def waits_for(self, erasure: Erasure) -> str:
        return erasure.reason or "-"

    @admin.display(description="asked for")
    def asked_for(self, erasure: Erasure) -> SafeString:
        asked = entries_of([erasure]).filter(action="erased")
        return format_html_join(
            "", "<p>{}: {}</p>", ((each.actor_name or each.get_source_display(), each.reason or "-") for each in asked)
        )

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.add_erasure"))

    @action(description="Forget a person", permissions=["forget"])  # type: ignore[untyped-decorator]
    def forget(self, request: HttpRequest) -> HttpResponseBase:
        return redirect("admin:accounts_erasure_ask")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.ask)
        return [path("ask/", view, name="accounts_erasure_ask"), *super().get_urls()]

    def ask(self, request: HttpRequest) -> HttpResponseBase:
        """Who it is, what is held of them and what becomes of it; then why, and it is done."""
        if not self.has_forget_permission(request):
            raise PermissionDenied
        if "again" in request.POST:
            return self._confirmed(request, WhyForm(request.POST))
        who = WhoForm(posted(request))
        if request.method == "POST" and who.is_valid():
            address = who.cleaned_data["email"]
            return self._look(request, who, WhyForm(initial={"email": address}), address)
        return self._draw(request, who=who)

    def _confirmed(self, request: HttpRequest, why: WhyForm) -> HttpResponseBase:
        address = str(why.data.get("email", ""))
        who = WhoForm({"email": address})
        if not who.is_valid():
            return self._draw(request, who=who)
        if not why.is_valid():
            return self._look(request, who, why, address)
        try:
            erasure = ask_for(address, by=staff_of(request), reason=why.cleaned_data["reason"])
        except DomainError as refusal:
            who.add_error(None, f"{refusal.message} Nothing was changed.")
            return self._draw(request, who=who, obstacles=getattr(refusal, "obstacles", ()))
        messages.success(request, f"{erasure.pseudonym} stands for this person from now on. The worker does the rest.")
        return redirect(address_of(erasure))

    def _look(self, request: HttpRequest, who: WhoForm, why: WhyForm, address: str) -> TemplateResponse:
        try:
            subject = plan_erasure(address)
        except StillOpen as refusal:
            who.add_error(None, f"{refusal.message} Nothing was changed.")
            return self._draw(request, who=who, obstacles=refusal.obstacles)
        except DomainError as refusal:
            who.add_error(None, f"{refusal.message} Nothing was changed.")
            return self._draw(request, who=who)
        held = [(rows.what, rows.fate, count) for rows in rows_of(subject) if (count := rows.query.count())]
        return self._draw(request, why=why, address=address, held=held, cautions=cautions_of(subject))

    def _draw(self, request: HttpRequest, **shown: Any) -> TemplateResponse:
        context = {**self.admin_site.each_context(request), "title": "Forget a person", "opts": self.opts, **shown}
        return TemplateResponse(request, "backoffice/erasure.html", context)
