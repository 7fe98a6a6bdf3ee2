"""Bodies of the cart's calls."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.cart.services import MAX_QUANTITY
from apps.common.schema import errors

ERRORS: dict[int, Any] = errors(400, 401, 403, 404, 413, 415, 503)


class AddInput(serializers.Serializer[Any]):
    variant_id = serializers.IntegerField(min_value=1, max_value=2**62)
    quantity = serializers.IntegerField(min_value=1, max_value=MAX_QUANTITY, default=1)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_null=True)


class QuantityInput(serializers.Serializer[Any]):
    quantity = serializers.IntegerField(min_value=1, max_value=MAX_QUANTITY)


class LineOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    variant_id = serializers.IntegerField()
    sku = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField(help_text="physical, which needs an address to go to, or digital.")
    image_url = serializers.CharField(allow_blank=True)
    quantity = serializers.IntegerField()
    price_at_add = serializers.CharField()
    current_price = serializers.CharField(allow_null=True)
    line_total = serializers.CharField()
    available = serializers.IntegerField(allow_null=True)


class CartOutput(serializers.Serializer[Any]):
    token = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    items = LineOutput(many=True)
    items_count = serializers.IntegerField()
    subtotal = serializers.CharField()
    total = serializers.CharField()
