"""The demo shop in the browser."""

from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    """Page shells; what they show comes from the public API, as in any other frontend."""

    name = "apps.storefront"
    label = "storefront"
    verbose_name = "Demo shop"
