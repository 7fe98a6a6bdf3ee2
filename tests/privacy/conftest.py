from __future__ import annotations

from typing import Any

import pytest

from tests.enrollment.courses import make_track


@pytest.fixture
def sign_ins_are_counted(settings: Any) -> None:
    settings.AXES_ENABLED = True


@pytest.fixture
def track(transactional_db: None) -> Any:
    return make_track()
