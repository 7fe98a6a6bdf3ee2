from __future__ import annotations

import pytest

from apps.accounts.models import User
from apps.enrollment.models import Track
from tests.enrollment.courses import make_track
from tests.payment.test_refunds import make_staff
from tests.support.shop import Shop, make_user


@pytest.fixture
def track(db: None) -> Track:
    return make_track()


@pytest.fixture
def student(db: None) -> User:
    return make_user("student@example.com")


@pytest.fixture
def buyer(student: User) -> Shop:
    """The student's frontend."""
    return Shop(student)


@pytest.fixture
def staff(db: None) -> Shop:
    return Shop(make_staff())
