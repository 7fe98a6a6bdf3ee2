from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class BackofficeConfig(AppConfig):
    name = "apps.backoffice"
    verbose_name = "Back office"


class ShopAdminConfig(admin_apps.AdminConfig):
    """Django's admin on the shop's own site."""

    default = False
    default_site = "apps.backoffice.site.ShopAdminSite"
