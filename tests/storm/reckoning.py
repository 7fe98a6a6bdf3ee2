"""After the storm: what the shop holds, beside what Stripe's stand-in and the goods at the start say.

`python -m tests.storm.reckoning FOLDER` prints JSON: counts, and every finding as `lost` or `doubled`. It reads the
stand-in's own file and the shop's tables; nothing of the shop's checks is used.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Stripe:
    """What the stand-in knows, by kind."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def all(self, kind: str) -> Iterator[Row]:
        for (body,) in self.db.execute("SELECT body FROM objects WHERE kind = ? ORDER BY seq", (kind,)):
            yield json.loads(body)

    def number(self, sql: str) -> int:
        return int(self.db.execute(sql).fetchone()[0])

    def accepted(self) -> set[str]:
        """Events to which the shop answered 200 at least once."""
        sql = "SELECT DISTINCT event FROM deliveries d JOIN attempts a ON a.delivery = d.id WHERE a.status = 200"
        return {event for (event,) in self.db.execute(sql)}


class Reckoning:
    def __init__(self, folder: Path) -> None:
        self.folder, self.stripe = folder, Stripe(folder / "stripe.sqlite3")
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.counts: dict[str, Any] = {}

    def result(self) -> Row:
        self.check_events()
        self.check_money()
        self.check_refunds()
        self.check_disputes()
        self.check_stock()
        self.check_deliveries()
        self.check_documents()
        self.check_mails()
        self.check_enrollments()
        shown = {"lost": self.lost[:50], "doubled": self.doubled[:50]}
        return {"counts": self.counts, "lost_count": len(self.lost), "doubled_count": len(self.doubled), **shown}

    def check_events(self) -> None:
        """Every event that was answered 200 is stored once and came to an end; every one that Stripe made is here."""
        from apps.payment.models import StripeWebhookEvent

        rows = StripeWebhookEvent.objects.values_list("stripe_id", "state", "reason")
        states = {stripe_id: (state, reason) for stripe_id, state, reason in rows.iterator()}
        echoes = set((self.folder / "acknowledged.txt").read_text(encoding="ascii").split())
        accepted = self.stripe.accepted() | echoes
        self.lost += [f"event {event}: answered 200 and not stored" for event in accepted - states.keys()]
        made = {event["id"] for event in self.stripe.all("event")}
        self.lost += [f"event {event}: never arrived" for event in made - states.keys()]
        for event, (state, reason) in states.items():
            if state not in ("done", "ignored"):
                self.lost.append(f"event {event}: {state} {reason}")
        self.counts["events_distinct"] = len(states)
        self.counts["events_of_stripe"] = len(made)
        self.counts["events_by_state"] = dict(Counter(state for state, _ in states.values()))
        accepted_by_courier = self.stripe.number("SELECT count(*) FROM attempts WHERE status = 200")
        lines = sum(1 for _ in (self.folder / "acknowledged.txt").open(encoding="ascii"))
        self.counts["deliveries_answered_200"] = accepted_by_courier + lines
        self.counts["deliveries_refused_or_cut"] = self.stripe.number(
            "SELECT count(*) FROM attempts WHERE status IS NULL OR status <> 200"
        )

    def check_money(self) -> None:
        """Every paid session and intent is one payment of its amount; each paid order has exactly one applied."""
        from apps.orders.models import Order
        from apps.payment.models import Payment

        payments = {p.reference: p for p in Payment.objects.select_related("order").iterator(2000)}
        paid: Counter[str] = Counter()
        for reference, amount, currency, what in self._money_at_stripe():
            paid[reference] += 1
            payment = payments.get(reference)
            if payment is None or not payment.is_settled:
                self.lost.append(f"{what}: paid at Stripe, {payment.status if payment else 'unknown'} here")
            elif (payment.amount_captured, payment.currency) != (amount, currency):
                self.lost.append(f"{what}: {amount} {currency} at Stripe, {payment.amount_captured} here")
            elif payment.applied and not payment.order.is_paid:
                self.lost.append(f"{what}: applied, and order {payment.order.number} is not paid")
            elif payment.applied and payment.order.total != amount:
                self.lost.append(f"{what}: order {payment.order.number} costs {payment.order.total}")
            elif not payment.applied and payment.amount_refunded != amount:
                self.lost.append(f"{what}: not applied and not given back")
        self.doubled += [f"payment {reference}: paid {n} times at Stripe" for reference, n in paid.items() if n > 1]
        settled = {p.reference for p in payments.values() if p.is_settled and p.amount}
        self.doubled += [
            f"payment {reference}: settled here, not paid at Stripe" for reference in settled - paid.keys()
        ]
        applied = Counter(p.order_id for p in payments.values() if p.applied)
        for order in Order.objects.iterator(2000):
            if order.is_paid and applied[order.pk] == 0:
                self.doubled.append(f"order {order.number}: paid by nothing")
            if applied[order.pk] > 1:
                self.doubled.append(f"order {order.number}: {applied[order.pk]} applied payments")
        self.counts["orders"] = Order.objects.count()
        self.counts["orders_paid"] = len(applied)
        self.counts["payments_not_applied"] = sum(p.is_settled and not p.applied for p in payments.values())
        self.counts["sessions_at_stripe"] = self.stripe.number(
            "SELECT count(*) FROM objects WHERE kind = 'checkout.session'"
        )

    def _money_at_stripe(self) -> Iterator[tuple[str, int, str, str]]:
        for intent in self.stripe.all("payment_intent"):
            reference = intent["metadata"].get("proshop_payment") or ""
            if intent["status"] == "succeeded":
                yield reference or intent["id"], intent["amount_received"], intent["currency"].upper(), intent["id"]

    def check_refunds(self) -> None:
        """What Stripe gave back is what is written here, refund by refund and payment by payment."""
        from django.db.models import Sum

        from apps.payment.models import Payment, Refund

        here = {r.stripe_refund_id: r for r in Refund.objects.exclude(stripe_refund_id=None).iterator(2000)}
        back: Counter[str] = Counter()
        references: Counter[str] = Counter()
        for refund in self.stripe.all("refund"):
            row = here.get(refund["id"])
            if row is None or (row.amount, row.stripe_status) != (refund["amount"], refund["status"]):
                self.lost.append(f"refund {refund['id']}: {refund['status']} at Stripe, {row and row.status} here")
            if refund["status"] == "succeeded":
                back[refund["payment_intent"]] += refund["amount"]
            if row is not None and row.reference:
                references[row.reference] += 1
        made = {refund["id"] for refund in self.stripe.all("refund")}
        self.doubled += [f"refund {one}: here and not at Stripe" for one in here.keys() - made]
        self.doubled += [f"refund {one}: made {n} times" for one, n in references.items() if n > 1]
        open_here = Refund.objects.filter(status="pending", stripe_refund_id=None).count()
        self.lost += [f"{open_here} refunds were never asked of Stripe"] if open_here else []
        for payment in Payment.objects.exclude(stripe_payment_intent_id=None).iterator(2000):
            if payment.amount_refunded != back[payment.stripe_payment_intent_id or ""]:
                wanted = back[payment.stripe_payment_intent_id or ""]
                self.lost.append(f"payment {payment.pk}: {wanted} given back at Stripe, {payment.amount_refunded} here")
        self.counts["refunds"] = len(made)
        total = Refund.objects.filter(status="succeeded").aggregate(n=Sum("amount"))["n"] or 0
        self.counts["refunded_minor_units"] = {"here": total, "at_stripe": sum(back.values())}

    def check_disputes(self) -> None:
        from apps.payment.models import Dispute

        here = {d.stripe_dispute_id: d for d in Dispute.objects.iterator(2000)}
        made = list(self.stripe.all("dispute"))
        for dispute in made:
            row = here.get(dispute["id"])
            if row is None or (row.status, row.amount) != (dispute["status"], dispute["amount"]):
                self.lost.append(f"dispute {dispute['id']}: {dispute['status']} at Stripe, {row and row.status} here")
        self.counts["disputes"] = len(made)

    def check_stock(self) -> None:
        """What was there, less what paid orders took, plus what came back, is what is there."""
        from apps.catalog.models import ProductVariant
        from apps.orders.models import Order, OrderItem
        from apps.payment.models import RefundItem

        start = {v["id"]: v["stock"] for v in json.loads((self.folder / "goods.json").read_text())["variants"]}
        paid = [s for s in Order.PaymentStatus.values if s in ("paid", "partially_refunded", "refunded")]
        sold: Counter[int] = Counter()
        items = OrderItem.objects.filter(order__payment_status__in=paid)
        for variant, quantity in items.values_list("variant_id", "quantity").iterator():
            sold[variant] += quantity
        back: Counter[int] = Counter()
        returned = RefundItem.objects.exclude(restocked_at=None).select_related("order_item")
        for row in returned.iterator(2000):
            back[row.order_item.variant_id] += row.quantity
        for variant in ProductVariant.objects.exclude(stock=None):
            wanted = (start[variant.pk] or 0) - sold[variant.pk] + back[variant.pk]
            if variant.stock != wanted:
                book = self.lost if variant.stock < wanted else self.doubled
                book.append(f"stock of {variant.sku}: {variant.stock}, and {wanted} by the orders")
        self.counts["units_sold"], self.counts["units_restocked"] = sum(sold.values()), sum(back.values())

    def check_deliveries(self) -> None:
        """Each was done once: the row that its transaction wrote beside it is there once."""
        from django.db import connection

        from apps.outbox.models import Delivery
        from tests.storm.failpoints import DONE_TABLE

        with connection.cursor() as cursor:
            cursor.execute(f"SELECT what, count(*) FROM {DONE_TABLE} GROUP BY what")  # noqa: S608 - a constant
            done = dict(cursor.fetchall())
        self.doubled += [f"{what}: done {n} times" for what, n in done.items() if n > 1]
        for delivery in Delivery.objects.iterator(2000):
            if delivery.state != "done" or f"delivery {delivery.pk}" not in done:
                self.lost.append(f"delivery {delivery}: {delivery.state} {delivery.last_error[-80:]}")
        self.counts["deliveries_of_the_outbox"] = Delivery.objects.count()

    def check_documents(self) -> None:
        """One invoice for each paid order, one credit note for each refund that succeeded."""
        from apps.invoices.models import Document
        from apps.payment.models import Payment, Refund

        invoiced = Counter(Document.objects.filter(kind="invoice").values_list("order_id", flat=True))
        applied = set(Payment.objects.filter(applied=True).values_list("order_id", flat=True))
        self.lost += [f"order {pk}: paid and without an invoice" for pk in applied - invoiced.keys()]
        self.doubled += [f"order {pk}: {n} invoices" for pk, n in invoiced.items() if n > 1 or pk not in applied]
        noted = Counter(Document.objects.filter(kind="credit_note").values_list("refund_id", flat=True))
        back = set(Refund.objects.filter(status="succeeded", payment__applied=True).values_list("pk", flat=True))
        self.lost += [f"refund {pk}: without a credit note" for pk in back - noted.keys()]
        self.doubled += [f"refund {pk}: {n} credit notes" for pk, n in noted.items() if n > 1]
        self.counts["invoices"], self.counts["credit_notes"] = len(invoiced), len(noted)

    def check_mails(self) -> None:
        """One confirmation per paid order, all sent. A copy has the same Message-ID, and its sender was killed."""
        from apps.notifications.models import Mail
        from apps.payment.models import Payment

        mails = defaultdict(list)
        for mail in Mail.objects.iterator(2000):
            mails[mail.kind].append(mail)
            if mail.state != "sent":
                self.lost.append(f"mail {mail}: {mail.state} {mail.last_error[-80:]}")
        applied = {str(pk) for pk in Payment.objects.filter(applied=True).values_list("order_id", flat=True)}
        told = Counter(mail.key for mail in mails["order_confirmation"])
        self.lost += [f"order {key}: paid and nobody was told" for key in applied - told.keys()]
        self.doubled += [f"order {key}: {n} confirmations" for key, n in told.items() if n > 1 or key not in applied]
        copies = Counter((self.folder / "mails.txt").read_text(encoding="ascii").split())
        known = {mail.message_id: mail for kind in mails.values() for mail in kind}
        self.lost += [f"mail {mail}: sent, and never came" for one, mail in known.items() if not copies[one]]
        twice = [known[one] for one, n in copies.items() if n > 1 and one in known]
        self.doubled += [f"mail {mail}: came again though it was tried once" for mail in twice if mail.attempts < 2]
        self.counts["mails"] = len(known)
        self.counts["mails_that_came_again_after_a_kill"] = len(twice)

    def check_enrollments(self) -> None:
        """Who paid for a course and has neither money back nor a dispute is enrolled, once, and was told once."""
        from apps.enrollment.models import Enrollment
        from apps.notifications.models import Mail
        from apps.orders.models import OrderItem
        from apps.payment.models import Dispute

        rows = {(e.user_id, e.track.variant_id): e for e in Enrollment.objects.select_related("track")}
        bought = OrderItem.objects.filter(sku__startswith="TRACK-", order__user__isnull=False).select_related("order")
        taken = set(Dispute.objects.filter(status="lost").values_list("payment__order_id", flat=True))
        people: Counter[tuple[int, int]] = Counter()
        for item in bought.iterator(2000):
            whole = item.order.is_paid and item.refunded_quantity < item.quantity and not item.order.disputed
            whole = whole and item.order_id not in taken
            if whole:
                people[(item.order.user_id or 0, item.variant_id)] += 1
        enrolled = {key for key, row in rows.items() if row.status == "enrolled"}
        self.lost += [f"person {key}: paid for the course, not enrolled" for key in people.keys() - enrolled]
        self.doubled += [f"person {key}: enrolled without having paid" for key in enrolled - people.keys()]
        told = {mail.key.partition("/")[0] for mail in Mail.objects.filter(kind="enrolled").iterator(2000)}
        began = [row for row in rows.values() if row.enrolled_at]
        self.lost += [f"enrollment {row.pk}: nobody was told" for row in began if str(row.pk) not in told]
        self.counts["enrollments"] = len(enrolled)


if __name__ == "__main__":
    import django

    django.setup()
    sys.stdout.write(json.dumps(Reckoning(Path(sys.argv[1])).result()) + "\n")
