from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class BackofficeConfig(AppConfig):
    name = "apps.backoffice"
    verbose_name = "Back office"

    def ready(self) -> None:
        from apps.backoffice.roles import ship_roles

        # Permissions are made for one app after the other; this one comes last.
        post_migrate.connect(ship_roles, sender=self)


class ShopAdminConfig(admin_apps.AdminConfig):
    """Django's admin on the shop's own site."""

    default = False
    default_site = "apps.backoffice.site.ShopAdminSite"
