"""The shop as it is served, with what happens after an event is stored named by BENCH_WAKE.

`nothing`: workers do the rest, as in a shop with a broker, and no worker runs. `settle`: the request itself works on
the event, and leaves the deliveries of a paid order to `manage.py work`.
"""

import os

from proshop.wsgi import application

# isort: split
from apps.payment.webhooks import inbox

WAKES = {"nothing": lambda stripe_id: None, "settle": inbox.try_at_once}

inbox.on_wake(WAKES[os.environ["BENCH_WAKE"]])

__all__ = ["application"]
