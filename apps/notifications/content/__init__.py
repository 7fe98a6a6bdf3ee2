"""What each kind of e-mail says. Written when it is sent, so that no link that opens something is stored."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import override

from apps.notifications.content import learning, money_back, orders, people, staff
from apps.notifications.content.subjects import Ids, Kind
from apps.notifications.letter import Rendered, render_letter
from apps.notifications.models import Mail

K = Mail.Kind

KINDS: dict[str, Kind] = {
    K.ORDER_CONFIRMATION: Kind(orders.find, orders.confirmation),
    K.PAYMENT_ON_ITS_WAY: Kind(orders.find, orders.payment_on_its_way),
    K.PAYMENT_FAILED: Kind(orders.find, orders.payment_failed),
    K.ORDER_SHIPPED: Kind(orders.find, orders.shipped),
    K.REFUND_REQUESTED: Kind(money_back.find, money_back.requested),
    K.REFUND_REJECTED: Kind(money_back.find, money_back.rejected),
    K.REFUND_SUCCEEDED: Kind(money_back.find, money_back.succeeded),
    K.REFUND_FAILED: Kind(money_back.find, money_back.failed),
    K.ENROLLED: Kind(learning.find, learning.enrolled),
    K.WITHDRAWN: Kind(learning.find, learning.withdrawn),
    K.SUSPENDED: Kind(learning.find, learning.suspended),
    K.RESTORED: Kind(learning.find, learning.restored),
    K.PASSWORD_RESET: Kind(people.find, people.password_reset),
    K.ATTENTION: Kind(staff.find_case, staff.attention),
    K.REFUND_WAITING: Kind(staff.find_refund, staff.refund_waiting),
    K.DISPUTE_OPENED: Kind(staff.find_dispute, staff.dispute_opened),
    K.DISPUTE_CLOSED: Kind(staff.find_dispute, staff.dispute_closed),
}


def render(kind: str, ids: Ids) -> Rendered:
    """An e-mail as it goes out now."""
    about = KINDS[kind].find(ids)
    with override(about.language or settings.LANGUAGE_CODE):
        return render_letter(KINDS[kind].write(about.subject, ids))
