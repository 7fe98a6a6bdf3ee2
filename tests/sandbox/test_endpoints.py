"""Webhook endpoints made through the API."""

from __future__ import annotations

from tests.sandbox.conftest import ENDIVE, refusal


def test_webhook_endpoints(box, receiver):
    endpoints = box.stripe.v1.webhook_endpoints
    first = endpoints.list().data[0]
    assert (first.url, first.api_version, first.enabled_events, "secret" in first) == (
        receiver.url,
        ENDIVE,
        ["*"],
        False,
    )

    made = endpoints.create(
        {"url": "http://127.0.0.1:9/hook", "enabled_events": ["price.created"], "api_version": ENDIVE}
    )
    assert made.secret.startswith("whsec_")
    assert "secret" not in endpoints.retrieve(made.id)
    box.stripe.v1.products.create({"name": "Tea"})
    assert box.stripe.v1.events.list().data[0].type == "product.created"
    assert endpoints.update(made.id, {"disabled": True}).status == "disabled"
    assert endpoints.delete(made.id).deleted is True
    assert refusal(endpoints.create, {"url": "https://example.com/hook", "enabled_events": ["*"]}) == (
        "url_invalid",
        "url",
    )
