from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        from djstripe.models import Session

        from shop import handlers  # noqa: F401 - registers itself

        # The sandbox does not have the others; with less to read dj-stripe is a little faster than with Stripe.
        Session.expand_fields = ["line_items"]
