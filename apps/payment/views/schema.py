"""Bodies of the calls about orders and payments."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers

from apps.common.schema import PageOutput, errors
from apps.payment.models import Refund

ORDER_NUMBER = r"^ORD-\d{8}-\d{5,10}\Z"
MAX_ID = 2**63 - 1

ERRORS: dict[int, Any] = errors(400, 401, 403, 404, 409, 413, 415, 429, 503)


class CheckoutInput(serializers.Serializer[Any]):
    order_number = serializers.RegexField(ORDER_NUMBER, required=False, allow_null=True)
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


class AddressInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=150)
    line1 = serializers.CharField(max_length=200)
    line2 = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    city = serializers.CharField(max_length=100)
    state = serializers.CharField(max_length=100, required=False, default="", allow_blank=True)
    postal_code = serializers.CharField(max_length=20, required=False, default="", allow_blank=True)
    country = serializers.RegexField(r"^[A-Z]{2}\Z", help_text="Two capital letters; one that the shop ships to.")

    def validate_country(self, country: str) -> str:
        if country not in settings.SHIPPING_COUNTRIES:
            raise serializers.ValidationError(f"The shop ships to {', '.join(settings.SHIPPING_COUNTRIES)}.")
        return country


class OrderInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254, required=False, allow_null=True, allow_blank=True)
    shipping_address = AddressInput(required=False, allow_null=True)


class IntentInput(serializers.Serializer[Any]):
    order_number = serializers.RegexField(ORDER_NUMBER)
    payment_method = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MAX_ID, help_text="A saved method of the caller."
    )
    save_payment_method = serializers.BooleanField(required=False, default=False)


class IntentOutput(serializers.Serializer[Any]):
    payment_id = serializers.IntegerField()
    client_secret = serializers.CharField()
    payment_intent_id = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.CharField()
    stripe_status = serializers.CharField()


class RefundLineInput(serializers.Serializer[Any]):
    order_item_id = serializers.IntegerField(min_value=1, max_value=MAX_ID)
    quantity = serializers.IntegerField(min_value=1, max_value=999)
    restock = serializers.BooleanField(required=False, default=False, help_text="Goods return to stock; staff decides.")


class AmountText(serializers.CharField):
    """A decimal string. A JSON number may have been a float on its way, so it is refused."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError('Give the amount as a string, such as "12.50".')
        return str(super().to_internal_value(data))


class RefundInput(serializers.Serializer[Any]):
    payment_id = serializers.IntegerField(min_value=1, max_value=MAX_ID)
    amount = AmountText(
        max_length=20,
        required=False,
        allow_null=True,
        help_text="In major units; without it and items all that is left.",
    )
    items = RefundLineInput(many=True, required=False, allow_null=True)
    reason = serializers.ChoiceField(
        choices=[choice.value for choice in Refund.Reason],
        required=False,
        default=Refund.Reason.REQUESTED_BY_CUSTOMER.value,
    )
    description = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class RefundItemOutput(serializers.Serializer[Any]):
    order_item_id = serializers.IntegerField()
    quantity = serializers.IntegerField()
    restock = serializers.BooleanField()


class RefundOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    payment_id = serializers.IntegerField()
    order_number = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.CharField()
    reason = serializers.CharField()
    description = serializers.CharField()
    items = RefundItemOutput(many=True)
    created_at = serializers.DateTimeField()


class RefundPage(PageOutput):
    results = RefundOutput(many=True)


class SavedMethodOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    type = serializers.CharField()
    brand = serializers.CharField(allow_blank=True)
    last4 = serializers.CharField(allow_blank=True)
    exp_month = serializers.IntegerField(allow_null=True)
    exp_year = serializers.IntegerField(allow_null=True)
    is_default = serializers.BooleanField()


class MethodInput(serializers.Serializer[Any]):
    setup_intent = serializers.RegexField(r"^seti_[A-Za-z0-9_]{1,200}\Z", required=False)
    payment_method = serializers.RegexField(r"^(pm|card|src)_[A-Za-z0-9_]{1,200}\Z", required=False)

    def validate(self, wish: Any) -> Any:
        if ("setup_intent" in wish) == ("payment_method" in wish):
            raise serializers.ValidationError("Give a setup_intent or a payment_method.")
        return wish


class SetupOutput(serializers.Serializer[Any]):
    client_secret = serializers.CharField()
    setup_intent_id = serializers.CharField()


class ConfigOutput(serializers.Serializer[Any]):
    publishable_key = serializers.CharField()
    payment_env = serializers.CharField()
    currency = serializers.CharField()
    stripe_js_url = serializers.CharField(help_text="Stripe's script, or the sandbox's where the shop talks to one.")
    shipping_countries = serializers.ListField(child=serializers.CharField(), help_text="Two capital letters each.")


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


class PaymentStateOutput(PaymentOutput):
    stripe_status = serializers.CharField(allow_blank=True)
    order_status = serializers.CharField()
    payment_status = serializers.CharField()


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
    tracking_number = serializers.CharField(allow_blank=True, help_text="Once shipped, where there is one.")
    items = OrderItemOutput(many=True)
    payments = PaymentOutput(many=True)
    disputed = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class PlacedOrderOutput(OrderOutput):
    order_token = serializers.CharField()


class OrderPage(PageOutput):
    results = OrderOutput(many=True)


class PaymentPage(PageOutput):
    results = PaymentOutput(many=True)
