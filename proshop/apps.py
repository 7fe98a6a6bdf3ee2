"""The composition root: here, and only here, the apps are wired to each other."""

from django.apps import AppConfig


class ProshopConfig(AppConfig):
    name = "proshop"
    verbose_name = "Proshop"

    def ready(self) -> None:
        from django.conf import settings

        from apps.common import logs

        from . import sentry, wiring

        logs.configure()
        if settings.SENTRY_DSN:
            sentry.start(settings.SENTRY_DSN, settings.PAYMENT_ENV)
        wiring.connect()
