"""E-mails about an account."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.accounts.models import User
from apps.accounts.services import password_reset_link
from apps.notifications.content.subjects import About, Ids
from apps.notifications.letter import Button, Letter


def find(ids: Ids) -> About:
    user = User.objects.get(pk=ids["user_id"])
    return About(user, user.language)


def password_reset(user: User, ids: Ids) -> Letter:
    return Letter(
        subject=_("Set a new password"),
        title=_("Set a new password"),
        paragraphs=[
            _("Somebody, probably you, asked for a new password for this address."),
            _("If it was not you, there is nothing to do."),
        ],
        button=Button(pgettext("mail", "Set a new password"), password_reset_link(user)),
    )
