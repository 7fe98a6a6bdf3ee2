"""Every address of the shop, mounted in one place."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.payment.urls import order, payment, webhooks
from proshop import health
from proshop.metrics import metrics

urlpatterns = [
    path("admin/", admin.site.urls),
    path("health/live/", health.live, name="live"),
    path("health/ready/", health.ready, name="ready"),
    path("metrics", metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/auth/", include("apps.accounts.urls")),
    path("api/", include("apps.catalog.urls")),
    path("api/cart/", include("apps.cart.urls")),
    *webhooks,
    path("api/payment/", include(payment)),
    path("api/orders/", include(order)),
    path("api/orders/", include("apps.invoices.urls")),
    path("api/enrollment/", include("apps.enrollment.urls")),
]

if settings.STOREFRONT:
    urlpatterns.append(path("", include("apps.storefront.urls")))

handler404 = "apps.common.views.not_found"
handler500 = "apps.common.views.fault"
