"""Bodies of the calls about orders and payments."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.common.schema import PageOutput, errors

ERRORS: dict[int, Any] = errors(400, 401, 403, 404, 409, 413, 415, 429, 503)


class CheckoutInput(serializers.Serializer[Any]):
    order_number = serializers.RegexField(r"^ORD-\d{8}-\d{5,10}\Z", required=False, allow_null=True)
    email = serializers.EmailField(max_length=254, required=False, allow_null=True, allow_blank=True)
    save_payment_method = serializers.BooleanField(required=False, default=False)


class CheckoutOutput(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    checkout_url = serializers.CharField()
    total_amount = serializers.CharField()
    currency = serializers.CharField()
    items_count = serializers.IntegerField()
    order_number = serializers.CharField()
    order_token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class StatusOutput(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    stripe_status = serializers.CharField()
    order_number = serializers.CharField()
    order_status = serializers.CharField()
    payment_status = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()


class ConfigOutput(serializers.Serializer[Any]):
    publishable_key = serializers.CharField()
    payment_env = serializers.CharField()
    currency = serializers.CharField()


class MethodOutput(serializers.Serializer[Any]):
    type = serializers.CharField()
    brand = serializers.CharField()
    last4 = serializers.CharField()


class FailureOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class PaymentOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    order_number = serializers.CharField()
    status = serializers.CharField()
    amount = serializers.CharField()
    amount_refunded = serializers.CharField()
    currency = serializers.CharField()
    payment_method = MethodOutput(allow_null=True)
    receipt_url = serializers.CharField(allow_null=True)
    failure = FailureOutput(allow_null=True)
    stripe_session_id = serializers.CharField(allow_null=True)
    stripe_payment_intent_id = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)


class OrderItemOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = serializers.CharField()
    line_total = serializers.CharField()
    refunded_quantity = serializers.IntegerField()


class OrderOutput(serializers.Serializer[Any]):
    number = serializers.CharField()
    status = serializers.CharField()
    payment_status = serializers.CharField()
    currency = serializers.CharField()
    subtotal = serializers.CharField()
    discount = serializers.CharField()
    shipping = serializers.CharField()
    tax = serializers.CharField()
    total = serializers.CharField()
    email = serializers.CharField(allow_blank=True)
    shipping_address = serializers.DictField(allow_null=True)
    items = OrderItemOutput(many=True)
    payments = PaymentOutput(many=True)
    disputed = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class OrderPage(PageOutput):
    results = OrderOutput(many=True)


class PaymentPage(PageOutput):
    results = PaymentOutput(many=True)
