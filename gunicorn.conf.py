"""How gunicorn serves the shop; it reads this file when it is started beside it: `gunicorn proshop.wsgi`.

SIGTERM ends a server without failing a request: what is in hand is answered, kept-alive connections are told to
close, and new ones are nobody's until another server accepts on the same socket or the proxy looks elsewhere.
SIGHUP does the same worker by worker while the socket stays open: a deploy on one machine. See docs/scaling.md.
"""

import os
from pathlib import Path

bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or os.cpu_count() or 2)
# Twice STRIPE_CALLS_AT_ONCE: half of the threads may wait for Stripe while the others serve.
threads = int(os.environ.get("WEB_THREADS") or 4)
# A request ends long before: 5 s for a statement, 10 s for Stripe.
timeout = 30
graceful_timeout = 30
# Longer than a proxy keeps an idle connection (60 s with most), so that the proxy is the one to close it.
keepalive = 75
# The heartbeat must not wait for a disk that is busy.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - memory, not a shared folder of files
# Off, so that SIGHUP brings new code in.
preload_app = False
# Signals are all that is needed, and two servers of one person would share the socket's path.
control_socket_disable = True
