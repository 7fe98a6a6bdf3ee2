"""Make the tables and the rows that a JSON file names: `python prepare.py FILE`. Run by benchmarks/djstripe.py."""

import json
import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

from django.core.management import call_command
from djstripe.enums import APIKeyType
from djstripe.models import Account, APIKey, WebhookEndpoint
from djstripe.settings import djstripe_settings
from shop.models import Line, Order, Payment, Variant

with open(sys.argv[1]) as file:
    told = json.load(file)
call_command("migrate", run_syncdb=True, verbosity=0)
# What `djstripe_sync_models` asks Stripe for once.
account = Account.objects.create(id="acct_bench", livemode=False, stripe_data={"id": "acct_bench", "object": "account"})
key = djstripe_settings.STRIPE_SECRET_KEY
APIKey.objects.create(secret=key, type=APIKeyType.secret, livemode=False, djstripe_owner_account=account)
WebhookEndpoint.objects.create(
    djstripe_owner_account=account,
    id="we_bench",
    djstripe_uuid=told["endpoint"],
    secret=told["secret"],
    livemode=False,
    enabled_events=["*"],
    status="enabled",
    url="http://127.0.0.1/",
    api_version="",
)
Variant.objects.bulk_create(Variant(pk=number, stock=1_000_000) for number in range(1, told["variants"] + 1))
Order.objects.bulk_create(Order(pk=o["id"], total=o["total"], currency=o["currency"]) for o in told["orders"])
Line.objects.bulk_create(
    Line(order_id=o["id"], variant_id=variant, quantity=quantity)
    for o in told["orders"]
    for variant, quantity in o["lines"]
)
Payment.objects.bulk_create(Payment(order_id=o["id"], reference=o["reference"]) for o in told["orders"])
