"""Listed by the shop for the `sandbox` command alone. There are no models: the sandbox keeps its own file."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    name = "apps.sandbox"
    label = "sandbox"
