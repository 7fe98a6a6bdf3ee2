from django.apps import AppConfig


class PaymentConfig(AppConfig):
    name = "apps.payment"
    label = "payment"

    def ready(self) -> None:
        from apps.payment import checks  # noqa: F401  registers the system checks
