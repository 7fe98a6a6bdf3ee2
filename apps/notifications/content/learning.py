"""E-mails to a learner about a track. What is told comes with the event: the track's title is in `ids`."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.notifications.content.subjects import About, Ids, see_order
from apps.notifications.letter import Button, Letter
from apps.orders.models import Order


def find(ids: Ids) -> About:
    order = Order.objects.get(pk=ids["order_id"])
    return About(order, order.language)


def enrolled(order: Order, ids: Ids) -> Letter:
    words = {"track": ids["track_name"], "number": order.number}
    return Letter(
        subject=_("You are enrolled: %(track)s") % words,
        title=_("Welcome to %(track)s") % words,
        paragraphs=[_("You are enrolled with order %(number)s. Your first project is open.") % words],
        button=Button(pgettext("mail", "Start learning"), f"{settings.FRONTEND_URL}/courses/"),
    )


def withdrawn(order: Order, ids: Ids) -> Letter:
    words = {"track": ids["track_name"], "number": order.number}
    if ids["reason"] == "dispute_lost":
        why = _("Your bank took the money of order %(number)s back, so your enrollment has ended.")
    else:
        why = _("The money of order %(number)s went back to you, so your enrollment has ended.")
    return Letter(
        subject=_("You are no longer enrolled: %(track)s") % words,
        title=_("You are no longer enrolled in %(track)s") % words,
        paragraphs=[why % words],
        button=see_order(order),
    )


def suspended(order: Order, ids: Ids) -> Letter:
    words = {"track": ids["track_name"], "number": order.number}
    return Letter(
        subject=_("Your enrollment is paused: %(track)s") % words,
        title=_("Your enrollment in %(track)s is paused") % words,
        paragraphs=[
            _("Your bank disputes the payment of order %(number)s. Until that is decided, your enrollment is paused.")
            % words,
            _("Your progress is kept."),
        ],
        button=see_order(order),
    )


def restored(order: Order, ids: Ids) -> Letter:
    words = {"track": ids["track_name"], "number": order.number}
    return Letter(
        subject=_("Your enrollment goes on: %(track)s") % words,
        title=_("Your enrollment in %(track)s goes on") % words,
        paragraphs=[_("You can go on where you stopped. Your progress was kept.")],
        button=Button(pgettext("mail", "Go on learning"), f"{settings.FRONTEND_URL}/courses/"),
    )
