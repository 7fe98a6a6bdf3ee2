"""What the storm's shop sells: run once on a new database by `python -m tests.storm.goods FILE`."""

from __future__ import annotations

import csv
import json
import secrets
import sys
from pathlib import Path

PLENTY, FEW = 200_000, 40
TRACKS = ("TRACK-DP", "TRACK-FSD")
STAFF = "staff@storm.test"


def rows() -> list[list[object]]:
    """Goods that last, goods that run out, downloads without stock, and the courses."""
    found: list[list[object]] = []
    for number in range(30):
        stock = FEW if number % 10 == 0 else PLENTY
        price = 500 + 137 * number
        for currency, amount in (("USD", price), ("EUR", price - 40)):
            name = f"Thing {number}"
            found.append([f"THING-{number}", name, "one", "Things", "physical", f"{amount / 100:.2f}", currency, stock])
    for number in range(6):
        for currency in ("USD", "EUR"):
            found.append([f"FILE-{number}", f"File {number}", "one", "Files", "digital", "7.30", currency, ""])
    found += [[sku, sku.title(), "one", "Courses", "digital", "499.00", "USD", ""] for sku in TRACKS]
    return found


def fill(target: Path) -> None:
    """Fill an empty database and write down what there is, with the password of the one who may refund."""
    from django.core.management import call_command
    from django.db import connection

    from apps.accounts.models import User
    from apps.catalog.models import ProductVariant
    from apps.enrollment.demo import make_tracks
    from tests.storm.failpoints import DONE_TABLE

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        key = "BIGSERIAL" if connection.vendor == "postgresql" else "INTEGER"
        cursor.execute(f"CREATE TABLE {DONE_TABLE} (id {key} PRIMARY KEY, what VARCHAR(60) NOT NULL)")
    goods = target.with_suffix(".csv")
    with goods.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "product", "variant", "category", "kind", "price", "currency", "stock"])
        writer.writerows(rows())
    call_command("import_products", str(goods), verbosity=0)
    make_tracks()
    password = secrets.token_urlsafe(16)
    User.objects.create_superuser(email=STAFF, password=password)
    found = ProductVariant.objects.order_by("pk").values("pk", "sku", "stock", "product__kind")
    variants = [{"id": v["pk"], "sku": v["sku"], "stock": v["stock"], "kind": v["product__kind"]} for v in found]
    target.write_text(json.dumps({"variants": variants, "password": password}), encoding="utf-8")


if __name__ == "__main__":
    import django

    django.setup()
    fill(Path(sys.argv[1]))
