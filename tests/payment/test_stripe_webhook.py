"""`manage.py stripe_webhook` against a real sandbox: one endpoint as the shop needs it, and every drift by name."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.payment.gateway import secret_fingerprint
from apps.payment.models import CheckRun, StripeWebhookEvent, StripeWebhookSecret
from apps.payment.services.endpoints import check_endpoint, check_if_due, own_address
from apps.payment.webhooks.handlers import HANDLERS
from tests.support.sandbox import Sandbox
from tests.support.shop import Stripe, deliver

URL = "http://localhost:8000/api/payment/webhook/"
VERSION = "2026-10-28.endive"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def box(stripe_sandbox: Stripe) -> Sandbox:
    return stripe_sandbox.sandbox


@pytest.fixture
def settled_clock() -> Iterator[None]:
    """The shop's clock two minutes ahead: no event is on its way any more."""
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        yield


def run(*words: str) -> str:
    out = StringIO()
    call_command("stripe_webhook", *words, stdout=out)
    return out.getvalue()


def check() -> dict[str, Any]:
    """The report as JSON; the exit code has to agree with it."""
    out = StringIO()
    code = 0
    try:
        call_command("stripe_webhook", "check", "--json", stdout=out)
    except CommandError as error:
        code = error.returncode
    report: dict[str, Any] = json.loads(out.getvalue())
    assert code == (1 if report["drift"] else 0)
    return report


def drift() -> list[str]:
    return [each["code"] for each in check()["drift"]]


def endpoints(box: Sandbox) -> list[dict[str, Any]]:
    return list(box.get("/v1/webhook_endpoints", limit=100)["data"])


def undelivered(box: Sandbox) -> list[Any]:
    return list(box.get("/v1/events", delivery_success="false")["data"])


def make(box: Sandbox, **given: Any) -> dict[str, Any]:
    """An endpoint that somebody made by hand."""
    form = {"url": URL, "api_version": VERSION, "enabled_events[0]": "charge.failed", **given}
    return box.post("/v1/webhook_endpoints", **form)


def test_ensure_makes_the_endpoint_and_shows_its_secret_once(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    said = run("ensure")

    (made,) = endpoints(box)
    assert (made["url"], made["api_version"], made["status"]) == (URL, VERSION, "enabled")
    assert made["enabled_events"] == sorted(HANDLERS)
    (secret,) = re.findall(r"^STRIPE_WEBHOOK_SECRET=(whsec_\w+)$", said, re.MULTILINE)
    assert secret not in caplog.text
    assert StripeWebhookSecret.objects.count() == 0

    again = run("ensure")
    assert again.startswith(f"Unchanged: {made['id']}")
    assert "whsec_" not in again
    assert endpoints(box) == [made]


def test_what_the_new_endpoint_sends_is_verified_by_the_printed_secret(
    box: Sandbox, settings: Any, live_server: Any
) -> None:
    url = f"{live_server.url}/api/payment/webhook/"
    (secret,) = re.findall(r"^STRIPE_WEBHOOK_SECRET=(whsec_\w+)$", run("ensure", "--url", url), re.MULTILINE)
    settings.STRIPE_WEBHOOK_SECRETS = [secret, *settings.STRIPE_WEBHOOK_SECRETS]
    box.post("/v1/payment_intents", amount="500", currency="usd", payment_method="pm_card_visa", confirm="true")
    sent = {event["id"] for event in box.events() if event["type"] in HANDLERS}

    deadline = time.monotonic() + 20
    while undelivered(box) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert undelivered(box) == []
    assert set(StripeWebhookEvent.objects.values_list("stripe_id", flat=True)) == sent
    assert StripeWebhookSecret.objects.get().fingerprint == secret_fingerprint(secret)


def test_ensure_needs_no_secret_beforehand(box: Sandbox, settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []
    said = run("ensure")
    assert "STRIPE_WEBHOOK_SECRET=whsec_" in said
    assert "A secret is set already" not in said


def test_ensure_refuses_an_otherwise_unsafe_set_up(box: Sandbox, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "pk_test_x"
    with pytest.raises(CommandError, match="STRIPE_SECRET_KEY is no secret key"):
        run("ensure")
    assert endpoints(box) == []


@pytest.mark.parametrize("address", [URL, URL.rstrip("/"), URL.replace("localhost", "127.0.0.1")])
def test_ensure_updates_the_endpoint_that_is_there(box: Sandbox, address: str) -> None:
    made = make(box, url=address)
    box.post(f"/v1/webhook_endpoints/{made['id']}", disabled="true")

    said = run("ensure")
    assert said.startswith(f"Updated: {made['id']}")
    assert "whsec_" not in said
    (now,) = endpoints(box)
    assert (now["id"], now["status"], now["enabled_events"]) == (made["id"], "enabled", sorted(HANDLERS))


def test_what_ensure_did_is_in_the_trail_without_the_secret(box: Sandbox) -> None:
    said = run("ensure")
    [endpoint] = endpoints(box)
    created = AuditEntry.objects.get()
    assert (created.actor, created.source, created.action) == (None, "command", "created")
    assert (created.object_type, created.object_id) == ("payment.webhookendpoint", endpoint["id"])
    assert (created.object_name, created.before) == (URL, {})
    assert created.after == {"enabled": True, "api_version": VERSION, "types": sorted(HANDLERS)}
    assert created.detail.startswith("stripe_webhook ensure, by ")
    secret = re.search(r"whsec_\w+", said)
    assert secret is not None
    assert not any(secret[0] in str(value) for value in vars(created).values())
    run("ensure")
    assert AuditEntry.objects.count() == 1, "nothing was changed"
    box.post(f"/v1/webhook_endpoints/{endpoint['id']}", disabled="true")
    run("ensure")
    updated = AuditEntry.objects.latest("pk")
    assert (updated.action, updated.before, updated.after) == ("updated", {"enabled": False}, {"enabled": True})


def test_secret_is_shown_where_there_are_no_tables_yet(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_table(*_: Any, **__: Any) -> None:
        raise OperationalError("no such table: audit_auditentry")

    monkeypatch.setattr("apps.payment.management.commands.stripe_webhook.record_command", no_such_table)
    err, out = StringIO(), StringIO()
    call_command("stripe_webhook", "ensure", stdout=out, stderr=err)
    assert re.search(r"^STRIPE_WEBHOOK_SECRET=whsec_\w+$", out.getvalue(), re.MULTILINE)
    assert err.getvalue() == "The audit trail does not have it: the database is not ready.\n"


def test_another_version_stays_beside_the_new_endpoint_and_is_named(box: Sandbox) -> None:
    old = make(box, api_version="2024-06-20")

    said = run("ensure")
    new = next(each for each in endpoints(box) if each["id"] != old["id"])
    assert said.startswith(f"Created: {new['id']}")
    assert f"{old['id']} (2024-06-20, enabled) has the same address. Remove it" in said
    assert "write the new one before it" in said
    assert len(endpoints(box)) == 2

    again = run("ensure")
    assert again.startswith(f"Unchanged: {new['id']}")
    assert f"{old['id']} (2024-06-20, enabled)" in again
    assert drift() == ["endpoint_surplus"]


def test_endpoints_at_other_addresses_are_left_alone(box: Sandbox) -> None:
    other = make(box, url="http://localhost:9000/hook")
    run("ensure")
    assert len(endpoints(box)) == 2
    assert box.get(f"/v1/webhook_endpoints/{other['id']}") == {k: v for k, v in other.items() if k != "secret"}
    assert drift() == []


def test_ensure_takes_an_address_of_its_own(box: Sandbox) -> None:
    run("ensure", "--url", "http://localhost:8000/api/stripe/webhook/")
    assert [each["url"] for each in endpoints(box)] == ["http://localhost:8000/api/stripe/webhook/"]


@pytest.mark.parametrize("address", ["ftp://shop.example/", "shop.example", "https://"])
def test_what_is_no_address_is_refused(box: Sandbox, address: str) -> None:
    with pytest.raises(CommandError, match="no http:// or https:// address"):
        run("ensure", "--url", address)
    assert endpoints(box) == []


def test_live_keys_take_https_only(settings: Any) -> None:
    settings.PAYMENT_ENV = "live"
    settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLIC_KEY = "rk_live_x", "pk_live_x"
    settings.FRONTEND_URL, settings.RATE_LIMITS, settings.STRIPE_API_BASE = "https://shop.example", True, ""
    with pytest.raises(CommandError, match="is not https://"):
        run("ensure", "--url", "http://shop.example/api/payment/webhook/")


def test_stripes_own_words_reach_the_operator(box: Sandbox) -> None:
    with pytest.raises(CommandError, match="this machine only") as refused:
        run("ensure", "--url", "https://shop.example/api/payment/webhook/")
    assert refused.value.returncode == 2


def test_an_answer_that_was_lost_makes_no_second_endpoint(box: Sandbox) -> None:
    box.faults("reset_after", path="/v1/webhook_endpoints", method="POST")
    assert "STRIPE_WEBHOOK_SECRET=whsec_" in run("ensure")
    assert len(endpoints(box)) == 1


def test_list_shows_a_table(box: Sandbox) -> None:
    old = make(box, api_version="2024-06-20")
    run("ensure")
    lines = run("list").splitlines()
    assert lines[0].split() == ["id", "state", "mode", "API", "version", "types", "address"]
    assert len(lines) == 3
    assert lines[-1].split() == [old["id"], "enabled", "test", "2024-06-20", "1", URL]


def test_a_shop_that_was_just_set_up_has_no_drift(box: Sandbox) -> None:
    run("ensure")
    report = check()
    assert report["drift"] == []
    assert report["endpoint"]["url"] == URL
    assert "secret" not in report["endpoint"]
    assert report["undelivered"] == {"count": 0, "oldest": None, "missing": 0}
    assert "Everything is as the shop needs it." in run("check")


def test_each_drift_of_the_endpoint_has_its_name(box: Sandbox) -> None:
    assert drift() == ["endpoint_missing"]
    made = make(box, api_version="2024-06-20", **{"enabled_events[1]": "product.created"})
    assert drift() == ["api_version", "types_missing", "types_superfluous"]
    box.post(f"/v1/webhook_endpoints/{made['id']}", disabled="true")
    assert drift()[0] == "endpoint_disabled"
    run("ensure")
    assert drift() == []


def test_all_types_are_superfluous_and_none_is_missing(box: Sandbox) -> None:
    make(box, **{"enabled_events[0]": "*"})
    assert drift() == ["types_superfluous"]


def test_an_endpoint_of_the_other_mode_is_told(box: Sandbox, settings: Any) -> None:
    run("ensure")
    settings.PAYMENT_ENV = "live"
    settings.STRIPE_SECRET_KEY = "sk_test_proshop"
    assert [each.code for each in check_endpoint(own_address()).drift] == ["mode_mismatch"]


@pytest.mark.usefixtures("settled_clock")
def test_events_that_did_not_arrive_are_counted_until_they_are_here(box: Sandbox) -> None:
    run("ensure")
    box.control("drop", types=["*"])
    box.post("/v1/payment_intents", amount="500", currency="usd", payment_method="pm_card_visa", confirm="true")
    box.control("advance", seconds=10)  # the charge is booked a second later, with an event of its own
    sent = [event for event in box.events() if event["type"] in HANDLERS]
    assert len(sent) >= 2

    report = check()
    assert [each["code"] for each in report["drift"]] == ["last_event_missing", "events_missing"]
    assert (report["undelivered"]["count"], report["undelivered"]["missing"]) == (len(sent), len(sent))
    assert report["undelivered"]["oldest"] is not None
    assert (report["last_received_at"], report["last_received_seconds_ago"]) == (None, None)
    with pytest.raises(CommandError, match=r"^Not as the shop needs it: last_event_missing, events_missing\.$"):
        run("check")

    for event in sent:
        deliver(event)
    report = check()
    assert report["drift"] == []
    assert (report["undelivered"]["count"], report["undelivered"]["missing"]) == (len(sent), 0)
    assert report["last_received_at"] is not None
    assert 0 <= report["last_received_seconds_ago"] < 60
    told = rf"^Not delivered within 30 days: {len(sent)}, the oldest \d minutes ago, 0 of them not here in another way$"
    assert re.search(told, run("check"), re.MULTILINE)
    assert StripeWebhookEvent.objects.count() == len(sent)


def test_check_shows_which_secret_verified(box: Sandbox, settings: Any) -> None:
    run("ensure")
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", "whsec_old"]
    now = timezone.now()
    for secret in ("whsec_old", "whsec_gone"):
        StripeWebhookSecret.objects.create(
            fingerprint=secret_fingerprint(secret), first_seen_at=now, last_verified_at=now
        )
    uses = [(use["fingerprint"], use["configured"], bool(use["last_verified_at"])) for use in check()["secrets"]]
    assert uses == [
        (secret_fingerprint("whsec_new"), True, False),
        (secret_fingerprint("whsec_old"), True, True),
        (secret_fingerprint("whsec_gone"), False, True),
    ]
    said = run("check")
    assert "whsec_" not in said
    assert re.search(rf"^{secret_fingerprint('whsec_new')} +yes +never +never$", said, re.MULTILINE)


def test_check_of_a_stripe_that_is_away_is_no_drift(settings: Any) -> None:
    with pytest.raises(CommandError) as away:
        run("check")
    assert away.value.returncode == 2


def test_work_keeps_what_it_found_of_the_endpoint_once_an_hour(box: Sandbox) -> None:
    run("ensure")
    assert check_if_due() == 0
    assert check_if_due() == 0
    good = CheckRun.objects.get()
    assert (good.kind, good.ok, good.summary["drift"]) == ("endpoint", True, [])
    box.post(f"/v1/webhook_endpoints/{endpoints(box)[0]['id']}", disabled="true")
    CheckRun.objects.update(started_at=timezone.now() - timedelta(hours=1))
    assert check_if_due() == 1
    found = CheckRun.objects.latest("pk")
    assert (found.ok, [each["code"] for each in found.summary["drift"]]) == (False, ["endpoint_disabled"])


def test_run_that_could_not_ask_stripe_says_so(box: Sandbox, settings: Any) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert check_if_due() == 0
    run = CheckRun.objects.get()
    assert (run.ok, run.summary) == (False, {"cut_off": "Stripe could not be reached."})
    assert run.finished_at is not None
