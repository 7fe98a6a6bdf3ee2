"""Give money back from the command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit.models import AuditEntry
from apps.audit.services import account
from apps.common.errors import DomainError, InvalidInput, NotFound
from apps.common.money import InvalidAmount, Money, to_minor
from apps.payment.models import Payment, Refund
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.refunds import EqualRefund, RefundPlan, RefundWish, intend_refund, left_of, plan_refund

REFUSED, USAGE, EQUAL = 1, 2, 3
"""Exit codes; 0 means that the refund is done or on its way."""

TWICE_IS_A_SLIP = timedelta(hours=24)


class Command(BaseCommand):
    help = (
        "Give a payment's money back through Stripe: all that is left of it, or an amount. Exit code 0: done or on its "
        "way; 1: refused; 2: wrong usage; 3: an equal refund was made within 24 hours (--again makes another)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--payment-id", type=int, metavar="N", help="The payment by the shop's number.")
        which.add_argument("--payment-intent-id", metavar="pi_…", help="The payment by Stripe's id of its intent.")
        parser.add_argument("--amount", metavar="12.50", help="In major units; all that is left when not given.")
        parser.add_argument(
            "--reason",
            choices=Refund.Reason.values,
            default=Refund.Reason.REQUESTED_BY_CUSTOMER,
            help="Why (requested_by_customer). Stripe blocks card and e-mail of what is called fraudulent.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would be done; nothing changes.")
        parser.add_argument("--again", action="store_true", help="Also when an equal refund was made within 24 hours.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            payment = _find(options["payment_id"], options["payment_intent_id"])
            wish = RefundWish(amount=_amount(options["amount"], payment), reason=options["reason"])
            within = None if options["again"] else TWICE_IS_A_SLIP
            if options["dry_run"]:
                self._show(payment, plan_refund(payment=payment, wish=wish, unless_equal_within=within))
                return
            refund = intend_refund(
                payment=payment,
                wish=wish,
                source=Refund.Source.COMMAND,
                unless_equal_within=within,
                where=AuditEntry.Source.COMMAND,
                detail=f"stripe_refund, by {account()} of the machine",
            )
            refund = carry_out(refund)
        except EqualRefund as refusal:
            raise CommandError(
                f"{refusal.code}: {refusal.message} It is refund {refusal.data['refund_id']}; --again makes another.",
                returncode=EQUAL,
            ) from None
        except DomainError as refusal:
            _refuse(refusal)
        self._tell(refund, payment)

    def _show(self, payment: Payment, plan: RefundPlan) -> None:
        def money(amount: int) -> str:
            return str(Money(amount, payment.currency))

        rows = [
            ("payment", f"{payment.pk} ({payment.stripe_payment_intent_id or payment.stripe_charge_id})"),
            ("order", payment.order.number),
            ("captured", money(plan.captured)),
            ("refunded so far", money(plan.committed)),
            *([("lost in disputes", money(plan.lost))] if plan.lost else []),
            ("left", money(plan.left)),
            ("this refund", money(plan.amount)),
            ("left afterwards", money(plan.left - plan.amount)),
        ]
        for name, value in rows:
            self.stdout.write(f"{name:<18}{value}")
        self.stdout.write("Nothing was changed.")

    def _tell(self, refund: Refund, payment: Payment) -> None:
        what = f"{refund.money} of payment {payment.pk}, order {payment.order.number}, refund {refund.pk}"
        if refund.status in (Refund.Status.FAILED, Refund.Status.CANCELLED):
            raise CommandError(f"Stripe answered {refund.stripe_status}: {what}. {refund.failure_code}".rstrip())
        if refund.status == Refund.Status.SUCCEEDED:
            left = Money(left_of(payment), payment.currency)
            self.stdout.write(f"Stripe answered succeeded: {what}, {refund.stripe_refund_id}. {left} are left.")
        elif refund.stripe_refund_id:
            self.stdout.write(
                f"Stripe answered {refund.stripe_status}: {what}, {refund.stripe_refund_id}. It tells the shop what "
                "becomes of it."
            )
        else:
            self.stdout.write(f"Stripe did not answer; pending: {what}. `manage.py work` goes on with it.")


def _find(payment_id: int | None, intent_id: str | None) -> Payment:
    payments = Payment.objects.select_related("order")
    wanted = {"pk": payment_id} if payment_id is not None else {"stripe_payment_intent_id": intent_id}
    payment = payments.filter(**wanted).first()
    if payment is None:
        raise NotFound("There is no such payment.", code="payment_not_found")
    return payment


def _amount(text: str | None, payment: Payment) -> int | None:
    if text is None:
        return None
    try:
        amount = to_minor(text, payment.currency)
    except InvalidAmount as reason:
        raise CommandError(f"--amount: {reason}", returncode=USAGE) from None
    if amount <= 0:
        raise CommandError("--amount: More than nothing.", returncode=USAGE)
    return amount


def _refuse(refusal: DomainError) -> NoReturn:
    if isinstance(refusal, InvalidInput):
        reasons = " ".join(f"--{name}: {' '.join(told)}" for name, told in refusal.data["fields"].items())
        raise CommandError(reasons, returncode=USAGE) from None
    left = f" Left: {refusal.data['remaining']} {refusal.data['currency']}." if "remaining" in refusal.data else ""
    raise CommandError(f"{refusal.code}: {refusal.message}{left}", returncode=REFUSED) from None
