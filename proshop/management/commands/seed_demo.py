"""Fill an empty shop with something to look at and people to sign in as."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.catalog.models import Product
from apps.enrollment.demo import make_tracks
from apps.inventory.imports import ImportRefused, import_products

PEOPLE = (("buyer", "demo@example.com"), ("staff", "admin@example.com"))


class Command(BaseCommand):
    help = (
        "Fill the shop with demo products and courses. Running it again changes nothing. "
        "With DEBUG on and PAYMENT_ENV=test it also makes sign-ins, whose random passwords are printed once."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(apps.get_app_config("catalog").path) / "demo"
        try:
            done = import_products(folder / "products.csv", keep_stock=True)
        except ImportRefused as refused:
            raise CommandError(f"The demo products were not imported. {refused}") from None
        self._describe(json.loads((folder / "descriptions.json").read_text(encoding="utf-8")))
        self.stdout.write(f"{done.created} variants created, {done.updated} updated, {done.unchanged} as they were.")
        self.stdout.write(f"{make_tracks()} tracks created.")
        if settings.DEBUG and settings.PAYMENT_ENV == "test":
            for role, email in PEOPLE:
                self._make_person(role, email)

    def _describe(self, descriptions: dict[str, dict[str, str]]) -> None:
        """Give new products their words and pictures; what staff wrote since stays."""
        for product in Product.objects.filter(name__in=descriptions, description="", image_url=""):
            told = descriptions[product.name]
            product.slug, product.description, product.image_url = told["slug"], told["description"], told["picture"]
            product.save(update_fields=["slug", "description", "image_url"])

    def _make_person(self, role: str, email: str) -> None:
        if User.objects.filter(email=email).exists():
            self.stdout.write(f"The {role}'s sign-in exists already.")
            return
        password = secrets.token_urlsafe(12)
        make = User.objects.create_superuser if role == "staff" else User.objects.create_user
        make(email, password)
        self.stdout.write(f"sign-in {role}: {email} / {password}")
