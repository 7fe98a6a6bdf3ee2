"""What `make demo` finds on the shelves."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import call_command

from apps.accounts.models import User
from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.enrollment.models import Project, Step, Track
from apps.inventory import services
from apps.payment.invariants import verify

pytestmark = pytest.mark.django_db


def everything() -> list[Any]:
    models: Any = (Category, Product, ProductVariant, Price, User, Track, Project, Step)
    return [list(model.objects.order_by("pk").values()) for model in models]


def test_shop_is_filled_once(capsys: Any, settings: Any) -> None:
    settings.DEBUG = True
    call_command("seed_demo")
    assert "0 updated, 0 as they were." in capsys.readouterr().out
    assert (Product.objects.count(), Category.objects.count()) == (23, 6)
    assert Price.objects.get(variant__sku="TRACK-DP", currency="USD").amount == 49900
    assert Price.objects.get(variant__sku="TRACK-FSD", currency="USD").amount == 59900
    assert list(Track.objects.values_list("code", "name", "variant__sku", "variant__product__needs_account")) == [
        ("DP", "Data Professional", "TRACK-DP", True),
        ("FSD", "Full-Stack Developer", "TRACK-FSD", True),
    ]
    lengths = [
        (track.code, [project.steps.count() for project in track.projects.all()]) for track in Track.objects.all()
    ]
    assert lengths == [("DP", [3, 4, 3]), ("FSD", [3, 4, 4])]
    assert Product.objects.filter(name="Compile Time Mug").values_list("slug", "image_url").get() == (
        "compile-time-mug",
        "/static/storefront/pictures/mug.svg",
    )
    assert not Product.objects.filter(description="").exists()
    assert not Product.objects.filter(image_url="").exists()

    cap = ProductVariant.objects.get(sku="CAP-1")
    services.adjust(variant_id=cap.pk, quantity=-1, reason="shown in the window")
    Product.objects.filter(pk=cap.product_id).update(description="Our own words.")
    Track.objects.filter(code="DP").update(name="Our own course")
    before = everything()
    call_command("seed_demo")
    assert capsys.readouterr().out.splitlines() == [
        f"0 variants created, 0 updated, {ProductVariant.objects.count()} as they were.",
        "0 tracks created.",
        "The buyer's sign-in exists already.",
        "The staff's sign-in exists already.",
    ]
    assert everything() == before
    assert verify() == []


def test_sign_ins_are_printed_once_and_work(capsys: Any, settings: Any) -> None:
    settings.DEBUG = True
    call_command("seed_demo")
    people = dict(re.findall(r"^sign-in (?:buyer|staff): (\S+) / (\S+)$", capsys.readouterr().out, re.MULTILINE))
    assert list(people) == ["demo@example.com", "admin@example.com"]
    buyer, staff = (User.objects.get(email=email) for email in people)
    assert [user.check_password(people[user.email]) for user in (buyer, staff)] == [True, True]
    assert (buyer.is_staff, staff.is_staff, staff.is_superuser) == (False, True, True)


@pytest.mark.parametrize(("debug", "payment_env"), [(False, "test"), (True, "live")])
def test_no_sign_ins_are_made_outside_development(capsys: Any, settings: Any, debug: bool, payment_env: str) -> None:
    settings.DEBUG, settings.PAYMENT_ENV = debug, payment_env
    call_command("seed_demo")
    assert "sign-in" not in capsys.readouterr().out
    assert User.objects.count() == 0
