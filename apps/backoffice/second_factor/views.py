"""The page between the password and the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.accounts.second_factor import is_verified
from apps.accounts.sign_ins import note_refused, note_sign_in
from apps.audit.services import record
from apps.backoffice.second_factor import services


class CodeForm(forms.Form):
    """Six digits of the app, or a recovery code with or without its dash."""

    code = forms.CharField(
        max_length=20,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True, "spellcheck": "false"}
        ),
    )

    def clean_code(self) -> str:
        return "".join(str(self.cleaned_data["code"]).split())


def second_factor(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """Ask for a code, or set up the app that makes them; for those who are in, new recovery codes and another app."""
    user = request.user
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        return redirect(f"{reverse('admin:login')}?next={reverse('admin:index')}")
    if "sign_out" in request.POST:
        logout(request)
        return redirect("admin:login")
    shown = is_verified(user)
    if shown and "codes" in request.POST:
        codes = services.new_recovery_codes(user)
        record(user, "recovery codes renewed", user)
        return _draw(site, request, "second_factor_codes.html", codes=codes)
    known = services.device_of(user)
    if known is None or (shown and "anew" in request.POST):
        return _set_up(site, request, user)
    if shown:
        return _draw(site, request, "second_factor_shown.html", device=known)
    return _ask(site, request, user)


def _ask(site: AdminSite, request: HttpRequest, user: User) -> HttpResponseBase:
    form = CodeForm(request.POST if "code" in request.POST else None)
    if form.is_valid():
        wait = services.seconds_to_wait(user)
        if not wait and services.check(request, user, form.cleaned_data["code"]):
            note_sign_in(request, user)
            return redirect(_next(request))
        note_refused(request, user)
        wait = services.seconds_to_wait(user)
        form.add_error("code", f"This is not right, or was used before. Wait {wait} s before the next try.")
    return _draw(site, request, "second_factor.html", form=form)


def _set_up(site: AdminSite, request: HttpRequest, user: User) -> HttpResponseBase:
    device = services.begin(user)
    form = CodeForm(request.POST if "code" in request.POST else None)
    if form.is_valid():
        codes = services.confirm(request, user, device, form.cleaned_data["code"])
        if codes:
            note_sign_in(request, user)
            messages.success(request, "The second factor is set up.")
            return _draw(site, request, "second_factor_codes.html", codes=codes)
        note_refused(request, user)
        form.add_error("code", "This is not what the app shows for this secret. Is the clock of the phone right?")
    return _draw(
        site,
        request,
        "second_factor_set_up.html",
        form=form,
        picture=services.picture_of(device),
        secret=services.secret_of(device),
        anew="anew" in request.POST,
    )


def _draw(site: AdminSite, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    shared = {**site.each_context(request), "title": "Second factor", "next": _next(request)}
    answer = TemplateResponse(request, f"backoffice/{template}", {**shared, **context})
    answer["Cache-Control"] = "no-store"
    return answer


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next", request.GET.get("next", ""))
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else reverse("admin:index")
