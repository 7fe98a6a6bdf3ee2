"""The short form of `tests.hostile.api`, and that it would see what it looks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.common.errors import DomainError
from tests.hostile import api
from tests.hostile.callers import CALLERS
from tests.hostile.runs import Run
from tests.support.sandbox import Sandbox
from tests.support.shop import Stripe

CALLS = 42


def attack(folder: Path, sandbox: Sandbox, seed: int, **options: Any) -> Run:
    run = Run(folder, seed=seed)
    api.attack(run, sandbox, seed=seed, **options)
    return run


@pytest.mark.django_db(transaction=True)
def test_every_call_answers_as_its_schema_says_whoever_asks(stripe_sandbox: Stripe, tmp_path: Path) -> None:
    run = attack(tmp_path, stripe_sandbox.sandbox, 1, count=CALLS * len(CALLERS), unit=1)
    assert run.findings == []
    assert len([name for name in run.counts if name.startswith("call ")]) == CALLS
    assert [sum(run.counts[f"as {name}"].values()) for name in CALLERS] == [CALLS] * 3
    assert {"200", "201", "400", "401", "404"} <= set(run.counts["answers"])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql_too(stripe_sandbox: Stripe, tmp_path: Path) -> None:
    assert attack(tmp_path, stripe_sandbox.sandbox, 2, count=CALLS * len(CALLERS), unit=1).findings == []


@pytest.mark.django_db(transaction=True)
def test_control_faults_and_answers_that_the_schema_does_not_name_are_found(
    stripe_sandbox: Stripe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("a fault")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise DomainError("A teapot.", status=418)

    monkeypatch.setattr("apps.catalog.views.products", fail)
    monkeypatch.setattr("apps.catalog.views.categories", refuse)
    run = attack(tmp_path, stripe_sandbox.sandbox, 1, count=CALLS, unit=1)
    found = {(each["call"], each["status"]) for each in run.findings if "call" in each}
    assert ("GET /api/products/", 500) in found
    assert ("GET /api/categories/", 418) in found
    assert [each["log"] for each in run.findings if "log" in each] != []
