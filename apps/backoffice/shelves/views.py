"""The page on which the catalogue is taken away as a file, and comes back changed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from apps.backoffice.exports.views import FormatForm, send
from apps.backoffice.shelves.files import MOST_BYTES, catalogue_rows, text_of
from apps.backoffice.shelves.importing import apply, check
from apps.inventory.imports import COLUMNS, ImportRefused
from apps.payment.admin.pages import staff_of

RIGHTS = (
    "catalog.add_category",
    "catalog.add_product",
    "catalog.change_product",
    "catalog.add_productvariant",
    "catalog.change_productvariant",
    "catalog.add_price",
    "catalog.change_price",
    "inventory.adjust_stock",
)
"""What an import does, and an export prepares."""

SHOWN = 500


class FileForm(forms.Form):
    """A file, and whether its stock counts too."""

    file = forms.FileField(
        label="CSV or XLSX file",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx,text/csv"}),
        error_messages={"required": "Choose a file.", "empty": "This file is empty."},
    )
    stock = forms.BooleanField(
        required=False,
        label="Set the stock as well",
        widget=UnfoldBooleanWidget,
        help_text="Without it, variants that exist keep their stock: it may have been sold since the file was made.",
    )


class ApplyForm(forms.Form):
    """The text of a file that was checked, and why it is imported."""

    text = forms.CharField(max_length=MOST_BYTES, strip=False, widget=forms.HiddenInput)
    name = forms.CharField(max_length=120, widget=forms.HiddenInput)
    stock = forms.BooleanField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=200,
        label="Why",
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Say why; it is kept in the audit trail."},
    )


def shelves(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """Export; or upload, look at every change, and only then apply."""
    if not request.user.has_perms(RIGHTS):
        raise PermissionDenied
    if "export" in request.POST:
        choice = FormatForm(request.POST)
        if choice.is_valid():
            kind = choice.cleaned_data["format"]
            return send(request, "catalogue", kind, "Catalogue", COLUMNS, catalogue_rows())
    try:
        if "apply" in request.POST:
            return _apply(site, request)
        return _look(site, request)
    except ImportRefused as refused:
        return _draw(site, request, FileForm(), refused.errors)


def _look(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """The page to begin with, or what a file that was chosen would do. Raises ImportRefused."""
    form = FileForm(request.POST, request.FILES) if "check" in request.POST else FileForm()
    if not (form.is_bound and form.is_valid()):
        return _draw(site, request, form)
    upload = form.cleaned_data["file"]
    given = {"text": text_of(upload), "name": upload.name[:120], "stock": form.cleaned_data["stock"]}
    return _draw_checked(site, request, given)


def _apply(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    form = ApplyForm(request.POST)
    if not form.is_valid():
        if set(form.errors) == {"reason"}:
            return _draw_checked(site, request, form.cleaned_data, form)
        messages.error(request, "This page is out of date; nothing was imported. Choose the file again.")
        return redirect("admin:shelves")
    given = form.cleaned_data
    done = apply(
        given["text"],
        keep_stock=not given["stock"],
        by=staff_of(request),
        name=given["name"],
        reason=given["reason"],
    )
    messages.success(
        request, f"Imported: {done.created} created, {done.updated} updated, {done.unchanged} as they were."
    )
    return redirect("admin:shelves")


def _draw_checked(
    site: AdminSite, request: HttpRequest, given: dict[str, Any], form: ApplyForm | None = None
) -> HttpResponseBase:
    """What the file would do."""
    checked = check(given["text"], keep_stock=not given["stock"])
    context = {
        "title": "Check the import",
        "form": form or ApplyForm(initial={"reason": ""}),
        "given": given,
        "done": checked.done,
        "changes": checked.changes[:SHOWN],
        "more": max(0, len(checked.changes) - SHOWN),
    }
    return TemplateResponse(request, "backoffice/shelves_check.html", {**site.each_context(request), **context})


def _draw(site: AdminSite, request: HttpRequest, form: FileForm, errors: list[str] | None = None) -> HttpResponseBase:
    context = {
        "title": "Import and export",
        "form": form,
        "choice": FormatForm(),
        "errors": errors,
        "columns": COLUMNS,
    }
    return TemplateResponse(request, "backoffice/shelves.html", {**site.each_context(request), **context})
