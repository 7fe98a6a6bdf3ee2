"""What the shop shows: products that can be bought in one currency."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet, Subquery

from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.common import money
from apps.common.errors import InvalidInput

LONGEST_SEARCH = 200
MOST_WORDS = 10

ORDERINGS = {
    "name": ("name", "pk"),
    "-name": ("-name", "-pk"),
    "price": ("lowest", "pk"),
    "-price": ("-lowest", "pk"),
    "newest": ("-created_at", "-pk"),
}


def low_on_stock() -> QuerySet[ProductVariant]:
    """Variants on sale whose stock is counted and of which LOW_STOCK or fewer are left to sell."""
    on_sale = ProductVariant.objects.filter(active=True, product__active=True, stock__isnull=False)
    return on_sale.filter(stock__lte=F("held") + settings.LOW_STOCK)


def products(*, search: str = "", category: str = "", ordering: str = "", currency: str = "") -> QuerySet[Product]:
    """Active products with at least one active variant that has a price in the currency.

    Their buyable variants come as `offered`, each with its price as `price_in`. Raises InvalidInput.
    """
    currency = _currency(currency)
    if ordering and ordering not in ORDERINGS:
        raise InvalidInput(fields={"ordering": [f"One of {', '.join(ORDERINGS)}."]})
    words = _words(search)
    if "\x00" in category:
        raise InvalidInput(fields={"category": ["NUL is in no slug."]})
    priced = Price.objects.filter(currency=currency)
    offered = ProductVariant.objects.filter(active=True).filter(Exists(priced.filter(variant=OuterRef("pk"))))
    found = (
        Product.objects.filter(active=True)
        .filter(Exists(offered.filter(product=OuterRef("pk"))))
        .select_related("category")
        .prefetch_related(
            Prefetch("variants", offered.order_by("position", "pk"), to_attr="offered"),
            Prefetch("offered__prices", priced, to_attr="price_in"),
        )
    )
    if category:
        found = found.filter(category__slug=category)
    for word in words:
        by_sku = ProductVariant.objects.filter(product=OuterRef("pk"), active=True, sku__istartswith=word)
        found = found.filter(Q(name__icontains=word) | Q(description__icontains=word) | Exists(by_sku))
    if ordering.endswith("price"):
        lowest = priced.filter(variant__product=OuterRef("pk"), variant__active=True).order_by("amount")
        found = found.annotate(lowest=Subquery(lowest.values("amount")[:1]))
    return found.order_by(*ORDERINGS[ordering or "name"])


def categories() -> QuerySet[Category]:
    """The shelves that have something on them."""
    stocked = Product.objects.filter(category=OuterRef("pk"), active=True)
    return Category.objects.filter(Exists(stocked))


def render_product(product: Product) -> dict[str, Any]:
    """A product that `products` found, as the API shows it."""
    offered: list[Any] = product.offered  # type: ignore[attr-defined]
    return {
        "id": product.pk,
        "slug": product.slug,
        "name": product.name,
        "description": product.description,
        "image_url": product.image_url,
        "category": product.category.slug,
        "category_name": product.category.name,
        "kind": product.kind,
        "needs_account": product.needs_account,
        "variants": [
            {
                "id": variant.pk,
                "sku": variant.sku,
                "name": variant.name,
                "price": money.to_major(variant.price_in[0].amount, variant.price_in[0].currency),
                "currency": variant.price_in[0].currency,
                "available": variant.available,
            }
            for variant in offered
        ],
    }


def _currency(asked: str) -> str:
    currency = (asked or settings.DEFAULT_CURRENCY).upper()
    if currency not in money.CURRENCIES:
        raise InvalidInput(fields={"currency": ["This currency is not supported."]})
    return currency


def _words(search: str) -> list[str]:
    if "\x00" in search:
        raise InvalidInput(fields={"search": ["NUL cannot be searched for."]})
    if len(search) > LONGEST_SEARCH:
        raise InvalidInput(fields={"search": [f"At most {LONGEST_SEARCH} characters."]})
    words = search.split()
    if len(words) > MOST_WORDS:
        raise InvalidInput(fields={"search": [f"At most {MOST_WORDS} words."]})
    return words
