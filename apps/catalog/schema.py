"""Bodies of the catalogue's calls."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.common.schema import PageOutput


class VariantOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    sku = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    price = serializers.CharField()
    currency = serializers.CharField()
    available = serializers.IntegerField(allow_null=True)


class ProductOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    image_url = serializers.CharField(allow_blank=True)
    category = serializers.CharField()
    category_name = serializers.CharField()
    kind = serializers.ChoiceField(["physical", "digital"])
    needs_account = serializers.BooleanField(help_text="A guest has to sign in before the checkout.")
    variants = VariantOutput(many=True)


class ProductPage(PageOutput):
    results = ProductOutput(many=True)


class CategoryOutput(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
