"""Every address of the shop, mounted in one place."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]

if settings.STOREFRONT:
    urlpatterns.append(path("", include("apps.storefront.urls")))

handler404 = "apps.common.views.not_found"
handler500 = "apps.common.views.fault"
