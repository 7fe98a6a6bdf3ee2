"""The Idempotency-Key's own rules, with work that a test can watch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from apps.common.errors import Conflict, DomainError, InvalidInput, SignInRequired, TooManyRequests, Unavailable
from apps.common.idempotency import LEASE, forget_expired, run_once
from apps.common.models import IdempotencyKey
from tests.support.shop import in_parallel

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """Work that counts its runs, and answers that show of which run they are."""

    def __init__(self) -> None:
        self.runs = 0
        self.raises: BaseException | None = None
        self.meanwhile: Callable[[], Any] = lambda: None

    def work(self) -> tuple[int, str]:
        self.runs += 1
        number = self.runs
        self.meanwhile()
        if self.raises:
            raise self.raises
        return 201, f"id-{number}"

    def ask(
        self, key: str | None = "k", body: Any = None, *, caller: str | None = "user:1", path: str = "/a/"
    ) -> Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        raw = APIRequestFactory().post(path, body or {}, format="json", headers=headers)
        request = Request(raw, parsers=[JSONParser()])
        return run_once(request, caller=caller, work=self.work, render=lambda object_id: {"id": object_id})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def expire_lease() -> None:
    IdempotencyKey.objects.update(lease_until=timezone.now() - timedelta(seconds=1), status=None)


def test_without_a_key_every_call_works(desk: Desk) -> None:
    first, second = desk.ask(None, caller=None), desk.ask(None)
    assert (first.data, second.data, desk.runs) == ({"id": "id-1"}, {"id": "id-2"}, 2)
    assert first.headers["Cache-Control"] == "no-store"
    assert IdempotencyKey.objects.count() == 0


def test_with_a_key_the_work_is_done_once(desk: Desk) -> None:
    first, second = desk.ask(), desk.ask()
    assert (first.status_code, first.data) == (second.status_code, second.data) == (201, {"id": "id-1"})
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Cache-Control"] == "no-store"
    assert desk.runs == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b"])
def test_odd_keys_do_no_work(desk: Desk, key: str) -> None:
    with pytest.raises(InvalidInput):
        desk.ask(key)
    assert desk.runs == 0


def test_longest_key_is_taken(desk: Desk) -> None:
    assert desk.ask("x" * 255).status_code == 201


def test_key_without_a_caller_does_no_work(desk: Desk) -> None:
    with pytest.raises(DomainError) as refused:
        desk.ask(caller=None)
    assert (refused.value.status, refused.value.code, desk.runs) == (400, "idempotency_needs_caller", 0)


def test_order_of_fields_makes_no_other_request(desk: Desk) -> None:
    desk.ask(body={"a": 1, "b": {"c": 2, "d": 3}})
    assert desk.ask(body={"b": {"d": 3, "c": 2}, "a": 1}).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(("body", "path"), [({"a": 2}, "/a/"), ({"a": "1"}, "/a/"), ({}, "/a/"), ({"a": 1}, "/b/")])
def test_other_body_or_path_is_422(desk: Desk, body: Any, path: str) -> None:
    desk.ask(body={"a": 1})
    with pytest.raises(DomainError) as refused:
        desk.ask(body=body, path=path)
    assert (refused.value.status, refused.value.code, desk.runs) == (422, "idempotency_key_reused", 1)


def test_callers_have_keys_of_their_own(desk: Desk) -> None:
    desk.ask()
    assert desk.ask(caller="user:2").data == {"id": "id-2"}


@pytest.mark.parametrize("status", [400, 402, 404, 409, 422])
def test_refusal_is_kept_without_its_data(desk: Desk, status: int) -> None:
    desk.raises = DomainError("No.", status=status, code="no", secret="kept nowhere")
    with pytest.raises(DomainError):
        desk.ask()
    desk.raises = None
    again = desk.ask()
    assert (again.status_code, again.data) == (status, {"error": "No.", "code": "no"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "nowhere" not in str(IdempotencyKey.objects.values())
    assert desk.runs == 1


@pytest.mark.parametrize(
    "error",
    [
        SignInRequired(),
        DomainError(status=403),
        DomainError(status=415),
        TooManyRequests(retry_after=1),
        Unavailable(),
        exceptions.PermissionDenied(),
        RuntimeError(),
        KeyboardInterrupt(),
    ],
)
def test_what_may_pass_by_itself_leaves_the_key_free(desk: Desk, error: BaseException) -> None:
    desk.raises = error
    with pytest.raises(type(error)):
        desk.ask()
    assert IdempotencyKey.objects.count() == 0
    desk.raises = None
    assert desk.ask().data == {"id": "id-2"}


def test_call_during_the_first_run_is_409_and_does_no_harm(desk: Desk) -> None:
    codes: list[str] = []

    def ask_again() -> None:
        desk.meanwhile = lambda: None
        try:
            desk.ask()
        except Conflict as refused:
            codes.append(refused.code)

    desk.meanwhile = ask_again
    assert desk.ask().data == {"id": "id-1"}
    assert (codes, desk.runs) == (["idempotency_key_in_use"], 1)
    assert desk.ask().headers["Idempotent-Replayed"] == "true"


def test_run_that_died_is_taken_over_after_its_lease(desk: Desk) -> None:
    desk.ask()
    IdempotencyKey.objects.update(lease_until=timezone.now() + LEASE, status=None)
    with pytest.raises(Conflict):
        desk.ask()
    expire_lease()
    again = desk.ask()
    assert (again.data, desk.runs) == ({"id": "id-2"}, 2)
    assert "Idempotent-Replayed" not in again.headers


def test_slow_run_that_was_taken_over_does_not_overwrite_the_answer(desk: Desk) -> None:
    def taken_over() -> None:
        desk.meanwhile = lambda: None
        expire_lease()
        assert desk.ask().data == {"id": "id-2"}

    desk.meanwhile = taken_over
    assert desk.ask().data == {"id": "id-1"}
    assert desk.ask().data == {"id": "id-2"}


def test_slow_run_that_fails_does_not_free_a_key_that_was_taken_over(desk: Desk) -> None:
    def taken_over() -> None:
        desk.meanwhile = lambda: None
        expire_lease()
        desk.ask()
        desk.raises = RuntimeError()

    desk.meanwhile = taken_over
    with pytest.raises(RuntimeError):
        desk.ask()
    assert desk.ask().data == {"id": "id-2"}


def test_key_is_another_one_after_a_day(desk: Desk) -> None:
    desk.ask()
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    assert desk.ask(body={"other": 1}).data == {"id": "id-2"}


def test_only_keys_older_than_a_day_are_removed(desk: Desk) -> None:
    desk.ask("old")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    desk.ask("young")
    assert forget_expired() == 1
    assert IdempotencyKey.objects.get().key == "young"


@pytest.mark.race
@pytest.mark.parametrize("dead", [False, True])
def test_of_many_at_once_one_works(desk: Desk, dead: bool) -> None:
    if dead:
        desk.ask()
        expire_lease()
    before = desk.runs
    done = threading.Event()
    desk.meanwhile = lambda: done.wait(20)
    results: list[Any] = []

    def ask() -> None:
        try:
            results.append(desk.ask())
        except Conflict as refused:
            results.append(refused)
        if len(results) == 7:  # all but the one at work
            done.set()

    assert in_parallel([ask] * 8, threads=8) == [None] * 8
    answers = [result for result in results if isinstance(result, Response)]
    assert [answer.status_code for answer in answers] == [201]
    assert [r.code for r in results if isinstance(r, Conflict)] == ["idempotency_key_in_use"] * 7
    assert desk.runs == before + 1
