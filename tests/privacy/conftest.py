from __future__ import annotations

from typing import Any

import pytest

from apps.orders.models import Order
from tests.enrollment.courses import make_track
from tests.privacy.old_orders import make_old


@pytest.fixture
def sign_ins_are_counted(settings: Any) -> None:
    settings.AXES_ENABLED = True


@pytest.fixture
def track(transactional_db: None) -> Any:
    return make_track()


@pytest.fixture
def old(db: None) -> Order:
    return make_old()
