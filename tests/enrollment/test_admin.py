"""Tracks and enrollments as staff see them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.enrollment.models import Enrollment, EnrollmentLog, Project, Step, StepProgress, Track
from tests.enrollment.courses import books, buy_track, give_back, make_track
from tests.support.shop import Shop, Stripe, make_user, make_variant, work
from tests.support.staff import CONFIRMED

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

TRACKS, ENROLLMENTS = "/admin/enrollment/track/", "/admin/enrollment/enrollment/"


@pytest.fixture
def owner(db: None) -> Client:
    client = Client()
    user = User.objects.create_superuser("owner@example.com", "correct horse battery")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def form(track: Track | None, projects: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """What the track's page posts: its projects, each with its steps under `steps`."""
    posted: dict[str, Any] = {"name": track.name if track else "", **fields}

    def rows(prefix: str, found: list[dict[str, Any]], parent: dict[str, Any]) -> None:
        posted[f"{prefix}-TOTAL_FORMS"] = len(found)
        posted[f"{prefix}-INITIAL_FORMS"] = sum("id" in row for row in found)
        for number, row in enumerate(found):
            for name, value in {**parent, **row}.items():
                if name == "steps":
                    rows(f"{prefix}-{number}-steps", value, {"project": row.get("id", "")})
                else:
                    posted[f"{prefix}-{number}-{name}"] = value

    rows("projects", projects, {"track": track.pk if track else ""})
    return posted


def as_posted(track: Track) -> list[dict[str, Any]]:
    """A track's projects and steps as its page has them before anything is typed."""
    return [
        {
            "id": project.pk,
            "position": project.position,
            "title": project.title,
            "steps": [{"id": s.pk, "position": s.position, "title": s.title} for s in project.steps.all()],
        }
        for project in track.projects.all()
    ]


def plan(track: Track) -> list[tuple[str, list[str]]]:
    return [(project.title, [step.title for step in project.steps.all()]) for project in track.projects.all()]


def save(owner: Client, path: str, posted: dict[str, Any]) -> None:
    answer = owner.post(path, posted)
    assert answer.status_code == 302, answer.content.decode()[:3000]
    work()


def test_track_is_made_with_projects_and_steps_on_one_page(
    owner: Client, buyer: Shop, student: User, stripe_sandbox: Stripe
) -> None:
    variant = make_variant("TRACK-NEW", stock=None, kind="digital")
    projects = [
        {"position": 1, "title": "Second", "steps": [{"position": 0, "title": "C"}]},
        {"position": 0, "title": "First", "steps": [{"position": 1, "title": "B"}, {"position": 0, "title": "A"}]},
    ]
    save(owner, f"{TRACKS}add/", form(None, projects, code="NEW", name="New", variant=variant.pk))
    track = Track.objects.get()
    assert (track.code, track.name, track.variant) == ("NEW", "New", variant)
    assert plan(track) == [("First", ["A", "B"]), ("Second", ["C"])]
    assert ProductVariant.objects.get(pk=variant.pk).product.needs_account is True
    assert Shop().add(variant).status_code == 201
    buy_track(buyer, stripe_sandbox, track)
    found = books(student, track)
    assert found is not None
    assert found.states == "oo l"


def test_page_shows_projects_with_their_steps(owner: Client, track: Track) -> None:
    page = owner.get(f"{TRACKS}{track.pk}/change/").content.decode()
    for title in ("Learn", "Build", "Show", "Read", "Try", "Plan", "Code", "Test", "Talk"):
        assert f'value="{title}"' in page
    assert 'name="projects-0-steps-0-title"' in page
    assert 'name="code"' not in page, "it is part of addresses"
    assert 'name="variant"' not in page, "another would enrol other people"


@pytest.mark.parametrize("code", ["dp", "D P", "", "-X", "Ä", "X" * 21])
def test_code_that_cannot_be_is_refused(owner: Client, code: str) -> None:
    variant = make_variant("TRACK-NEW", stock=None, kind="digital")
    answer = owner.post(f"{TRACKS}add/", form(None, [], code=code, name="New", variant=variant.pk))
    assert answer.status_code == 200
    assert Track.objects.count() == 0


def test_step_that_is_added_reaches_who_is_enrolled(
    owner: Client, buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    away = make_user("away@example.com")
    order = buy_track(Shop(away), stripe_sandbox, track)
    give_back(staff, order)
    buy_track(buyer, stripe_sandbox, track)
    for progress in StepProgress.objects.filter(enrollment__user=student, state="open"):
        buyer.post(f"/api/enrollment/steps/{progress.step_id}/complete/")

    projects = as_posted(track)
    projects[0]["steps"].append({"position": 9, "title": "Review"})
    projects[2]["steps"].append({"position": 9, "title": "Record"})
    projects.append({"position": 9, "title": "Rest", "steps": [{"position": 0, "title": "Sleep"}]})
    save(owner, f"{TRACKS}{track.pk}/change/", form(track, projects, name="Renamed"))
    track.refresh_from_db()
    assert (track.name, track.revision) == ("Renamed", 2)
    assert plan(track)[0] == ("Learn", ["Read", "Try", "Review"])

    def states(user: User) -> str:
        found = books(user, track)
        assert found is not None
        return found.states

    assert states(student) == "cco ooo ll l", "what was open stays open"
    assert states(away) == "oo- lll l- -", "who left is left alone"
    buy_track(Shop(away), stripe_sandbox, track)
    assert states(away) == "ooo lll ll l", "and is brought up to date on coming back"


def test_step_that_goes_may_be_the_last_that_was_missing(
    owner: Client, buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    buy_track(buyer, stripe_sandbox, track)
    buyer.post(f"/api/enrollment/steps/{Step.objects.get(title='Read').pk}/complete/")
    projects = as_posted(track)
    projects[0]["steps"][1]["DELETE"] = "on"
    projects[1]["DELETE"] = "on"
    save(owner, f"{TRACKS}{track.pk}/change/", form(track, projects))
    assert plan(track) == [("Learn", ["Read"]), ("Show", ["Talk"])]
    found = books(student, track)
    assert found is not None
    assert found.states == "c o"
    numbers = [each["number"] for each in buyer.get("/api/enrollment/me/").json()["projects"]]
    assert numbers == [1, 2]


def test_project_without_steps_is_passed_at_once(
    owner: Client, buyer: Shop, track: Track, stripe_sandbox: Stripe
) -> None:
    Step.objects.filter(project__title="Build").delete()
    buy_track(buyer, stripe_sandbox, track)
    for step in Step.objects.filter(project__title="Learn"):
        answer = buyer.post(f"/api/enrollment/steps/{step.pk}/complete/").json()
    assert [(each["title"], each["unlocked"]) for each in answer["projects"]] == [
        ("Learn", True),
        ("Build", True),
        ("Show", True),
    ]


def test_track_with_people_in_it_cannot_be_deleted(
    owner: Client, buyer: Shop, track: Track, stripe_sandbox: Stripe
) -> None:
    other = make_track("FSD")
    buy_track(buyer, stripe_sandbox, track)
    (kept,) = owner.get(f"{TRACKS}{track.pk}/delete/").context["protected"]
    assert "enrolled" in kept
    owner.post(f"{TRACKS}{track.pk}/delete/", CONFIRMED)
    owner.post(f"{TRACKS}{other.pk}/delete/", CONFIRMED)
    assert [each.code for each in Track.objects.all()] == ["DP"]
    assert Project.objects.count() == 3
    work()


def test_enrollments_are_read_with_progress_and_log(
    owner: Client, buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    order = buy_track(buyer, stripe_sandbox, track)
    buyer.post(f"/api/enrollment/steps/{Step.objects.get(title='Read').pk}/complete/")
    give_back(staff, order)
    listed = owner.get(f"{ENROLLMENTS}?q=student").content.decode()
    assert "1 of 6" in listed
    assert "withdrawn" in listed
    enrollment = Enrollment.objects.get()
    path = f"{ENROLLMENTS}{enrollment.pk}/change/"
    page = owner.get(path).content.decode()
    for text in (order.number, "refunded", "Read", "Talk", "completed", "locked", "student@example.com"):
        assert text in page
    assert owner.post(path, {"status": "enrolled"}).status_code == 403
    assert owner.post(f"{ENROLLMENTS}{enrollment.pk}/delete/", CONFIRMED).status_code == 403
    assert owner.get(f"{ENROLLMENTS}add/").status_code == 403
    assert (Enrollment.objects.get().status, EnrollmentLog.objects.count()) == ("withdrawn", 2)


def test_lists_take_as_many_statements_for_five_as_for_one(
    owner: Client, buyer: Shop, track: Track, stripe_sandbox: Stripe, django_assert_max_num_queries: Any
) -> None:
    buy_track(buyer, stripe_sandbox, track)
    for name in "abcd":
        buy_track(Shop(make_user(f"{name}@example.com")), stripe_sandbox, track)
    for path in (TRACKS, ENROLLMENTS):
        with django_assert_max_num_queries(9):
            assert owner.get(path).status_code == 200
    with django_assert_max_num_queries(14):
        owner.get(f"{ENROLLMENTS}{Enrollment.objects.all()[0].pk}/change/")
