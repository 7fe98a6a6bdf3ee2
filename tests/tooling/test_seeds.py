"""Whatever `docs/seeds.md` names as ours exists, and what it calls planned does not yet."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import get_commands
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator

from apps.payment.webhooks.handlers import HANDLERS

ROOT = Path(__file__).resolve().parents[2]
METHODS = "GET|POST|PATCH|PUT|DELETE"
SET_UPS = ["A", "B", "C", "D", "E"]


def page() -> str:
    return (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8")


def rows() -> list[tuple[str, str, str, str]]:
    """Set-up, theirs, ours and what differs of every row."""
    found = []
    set_up = ""
    for line in page().splitlines():
        if line.startswith("## "):
            set_up = line[3]
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and cells != ["theirs", "ours", "what differs"] and set(cells[0]) != {"-"}:
            assert len(cells) == 3, f"not three columns: {line}"
            found.append((set_up, *cells))
    return found


def named(*, planned: bool) -> list[str]:
    """Every name in the middle columns, of rows that are planned or of those that are not."""
    return sorted(
        {
            name
            for _, _, ours, differs in rows()
            if differs.startswith("*not yet*") is planned
            for name in re.findall(r"`([^`]+)`", ours)
        }
    )


@cache
def schema() -> dict[str, Any]:
    paths: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return {re.sub(r"\{\w+\}", "{}", path): operations for path, operations in paths.items()}


@cache
def models() -> dict[str, Any]:
    return {model.__name__: model for model in apps.get_models() if model.__module__.startswith("apps.")}


def has_endpoint(method: str, path: str) -> bool:
    """In the schema with this method, or, for pages and webhooks that no schema describes, at an address."""
    if path.startswith("/api/") and "/webhook" not in path:
        return method.lower() in schema().get(re.sub(r"\{\w+\}", "{}", path), {})
    try:
        found = resolve(path)
    except Resolver404:
        return False
    return bool(found.url_name) or "/webhook" in path  # the admin takes every address below its own; named ones exist


def has_model(name: str, field: str) -> bool:
    model = models().get(name)
    return model is not None and (not field or field in {each.name for each in model._meta.get_fields()})


def has_function(path: str) -> bool:
    module, _, function = path.rpartition(".")
    try:
        return callable(getattr(import_module(module), function, None))
    except ModuleNotFoundError:
        return False


def exists(name: str) -> bool:
    """Whether a name of the page stands for something. Fails the test when it is of no known kind."""
    if found := re.fullmatch(rf"({METHODS}) (/\S*)", name):
        return has_endpoint(*found.groups())
    if found := re.fullmatch(r"manage\.py (\w+)", name):
        return found[1] in get_commands()
    if found := re.fullmatch(r"([A-Z]\w*[a-z]\w*)(?:\.(\w+))?", name):
        return has_model(found[1], found[2] or "")
    if re.fullmatch(r"[A-Z][A-Z_]+", name):
        return f"\n{name}=" in (ROOT / ".env.example").read_text(encoding="utf-8")
    if name.startswith("apps."):
        return has_function(name)
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name), f"{name} is no endpoint, event, model, command or setting"
    return name in HANDLERS


def test_every_set_up_has_its_endpoints_events_and_models() -> None:
    ours = {set_up: " ".join(row[2] for row in rows() if row[0] == set_up) for set_up in SET_UPS}
    assert sorted({row[0] for row in rows()}) == SET_UPS
    for set_up, text in ours.items():
        assert re.search(rf"`(?:{METHODS}) /api/", text), f"{set_up} has no endpoint"
        assert "`payment_intent.succeeded`" in text or "`charge.dispute.created`" in text, f"{set_up} has no event"
        assert re.search(r"`[A-Z]\w*[a-z]\w*", text), f"{set_up} has no model"


@pytest.mark.parametrize("name", named(planned=False))
def test_what_is_ours_exists(name: str) -> None:
    assert exists(name)


@pytest.mark.parametrize("name", named(planned=True))
def test_what_is_planned_is_not_there_yet(name: str) -> None:
    assert not exists(name), "it exists by now: take the mark off its row"


def test_every_row_says_what_takes_its_place() -> None:
    assert [row for row in rows() if not re.search(r"`[^`]+`", row[2])] == []


@pytest.mark.parametrize(
    "name",
    [
        "GET /api/payment/nothing/",
        "PUT /api/payment/config/",
        "POST /api/payments/hook/",
        "GET /admin/payment/nothing/",
        "manage.py nothing",
        "Nothing",
        "Payment.nothing",
        "NOTHING_AT_ALL",
        "apps.payment.gateway.nothing",
        "apps.nothing.at_all",
        "nothing.happened",
    ],
)
def test_what_does_not_exist_is_found_out(name: str) -> None:
    assert not exists(name)
