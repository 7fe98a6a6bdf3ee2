"""The sandbox under test, as in `tests/sandbox`, and Stripe's official examples where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.conftest import ROOT, box, new_session, receiver, running_box

__all__ = ["box", "new_session", "receiver", "running_box"]

EXAMPLES = ROOT.parent / "shared" / "stripe" / "fixtures3.json"


@pytest.fixture(params=["types", "examples"])
def fixtures(request: pytest.FixtureRequest) -> Path | None:
    """None checks against the library's types alone, a path against Stripe's `fixtures3.json` as well."""
    if request.param == "types":
        return None
    if not EXAMPLES.exists():
        pytest.skip("Stripe's official example objects are not at hand")
    return EXAMPLES
