"""The page that says whether Stripe's events come: the endpoint as Stripe has it, and the secrets that verify."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse

from apps.payment.gateway import StripeRefused, StripeUnavailable
from apps.payment.models import StripeWebhookEvent
from apps.payment.services import check_runs
from apps.payment.services.endpoints import Report, check_and_keep, own_address, secrets_in_use

SEE, ASK = "payment.view_stripewebhookevent", "payment.change_stripewebhookevent"


def endpoint(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """What is known here; and what Stripe says, for whoever asks it."""
    may_ask = request.user.has_perm(ASK)
    if not request.user.has_perm(SEE) or (request.method == "POST" and not may_ask):
        raise PermissionDenied
    report = _ask(request) if request.method == "POST" else None
    newest = StripeWebhookEvent.objects.order_by("-received_at").values_list("received_at", flat=True).first()
    context = {
        "title": "Webhook endpoint",
        "url": own_address(),
        "report": report,
        "received": newest,
        "secrets": secrets_in_use(),
        "may_ask": may_ask,
    }
    return TemplateResponse(request, "backoffice/endpoint.html", {**site.each_context(request), **context})


def _ask(request: HttpRequest) -> Report | None:
    try:
        return check_and_keep()
    except check_runs.AlreadyRunning:
        messages.warning(request, "The shop is asking Stripe already. Try again in a minute.")
    except StripeUnavailable:
        messages.error(request, "Stripe could not be reached. Nothing was changed; try again.")
    except StripeRefused:
        messages.error(
            request, "Stripe does not let this key read webhook endpoints. Give it that right in Stripe's Dashboard."
        )
    return None
