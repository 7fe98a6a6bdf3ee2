"""The composition root: here, and only here, the apps are wired to each other."""

from django.apps import AppConfig


class ProshopConfig(AppConfig):
    name = "proshop"
    verbose_name = "Proshop"

    def ready(self) -> None:
        from apps.common import logs

        from . import wiring

        logs.configure()
        wiring.connect()
