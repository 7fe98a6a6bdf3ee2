"""Addresses of the sandbox: Stripe's API, the buyer's pages, the control panel."""

from django.urls import path, re_path

from apps.sandbox import control, panel
from apps.sandbox.api import endpoint
from apps.sandbox.pages import assets, authenticate, pay, receipt

urlpatterns = [
    re_path(r"^v1/", endpoint.view),
    path("c/pay/<str:session_id>", pay.view),
    path("authenticate/<str:intent_id>", authenticate.view),
    path("receipts/<str:charge_id>", receipt.view),
    path("assets/<str:name>", assets.view),
    re_path(r"^(?:v3|basil|endive)/stripe\.js$", assets.script),
    path("v3/", assets.script),
    re_path(r"^_control/(?P<name>.*)$", control.view),
    path("", panel.view),
    path("panel/<str:action>", panel.act),
]
