"""The shop compared with Stripe, in both directions, and what differs mended.

`running.py` is the order in which it is done: sessions and intents (`attempts.py`), those that no order knows
(`lost.py`), what was begun here and not finished (`unfinished.py`), refunds and disputes (`money_back.py`), events that
never came (`events.py`). Everything is mended by the services that the webhook uses too, so a run may be cut off
anywhere and repeated any number of times. `report.py` is what it tells.
"""

from apps.payment.services.reconcile.report import Difference, Report, Step
from apps.payment.services.reconcile.running import (
    default_since,
    reconcile,
    reconcile_if_due,
)

__all__ = [
    "Difference",
    "Report",
    "Step",
    "default_since",
    "reconcile",
    "reconcile_if_due",
]
