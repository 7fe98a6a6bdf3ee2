"""The catalogue over HTTP. Reading it is never limited."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog.schema import CategoryOutput, ProductOutput, ProductPage
from apps.catalog.selectors import ORDERINGS, categories, products, render_product
from apps.common.api import Pages
from apps.common.errors import InvalidInput, NotFound
from apps.common.schema import errors

ERRORS = errors(400, 401, 404, 503)
CURRENCY = OpenApiParameter("currency", str, description="ISO 4217; the shop's default when left out.")


class CataloguePages(Pages):
    """A page that is no number is a mistake; one beyond the last is not there."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        for name in ("page", "page_size"):
            asked = request.query_params.get(name)
            if asked is not None and not re.fullmatch("[1-9][0-9]{0,8}", asked):
                raise InvalidInput(fields={name: ["A whole number from 1 to 999999999."]})
        return super().paginate_queryset(queryset, request, view)


class ProductListView(APIView):
    """Products that can be bought in one currency."""

    @extend_schema(
        operation_id="products_list",
        parameters=[
            CURRENCY,
            OpenApiParameter("search", str, description="Words of name or description, or how a sku begins."),
            OpenApiParameter("category", str, description="A category's slug."),
            OpenApiParameter("ordering", str, enum=list(ORDERINGS)),
            OpenApiParameter("page", int),
            OpenApiParameter("page_size", int, description="20 when left out, 100 at most."),
        ],
        responses={200: ProductPage, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("search", "category", "ordering", "currency")}
        pages = CataloguePages()
        page = pages.paginate_queryset(products(**asked), request, view=self) or []
        return pages.get_paginated_response([render_product(product) for product in page])


class ProductView(APIView):
    """One product."""

    @extend_schema(parameters=[CURRENCY], responses={200: ProductOutput, **ERRORS})
    def get(self, request: Request, slug: str) -> Response:
        found = products(currency=request.query_params.get("currency", "")).filter(slug=slug).first()
        if found is None:
            raise NotFound("There is no such product.", code="product_not_found")
        return Response(render_product(found))


class CategoryListView(APIView):
    """The shelves of the shop."""

    @extend_schema(responses={200: CategoryOutput(many=True), **ERRORS})
    def get(self, request: Request) -> Response:
        return Response([{"slug": category.slug, "name": category.name} for category in categories()])
