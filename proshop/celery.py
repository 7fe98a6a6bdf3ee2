"""Workers on a broker: Celery's tasks and beat run the loop of `manage.py work`, a job at a time.

A message says no more than that it is worth looking: what is due stands in the database. One that is lost costs a
second, one too many a look.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from celery import Celery, signals
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError as BrokerFailure

from proshop import env

os.environ.setdefault("DJANGO_SETTINGS_MODULE", env.settings_module())

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connection

from apps.common import stopping

logger = logging.getLogger(__name__)

EVENTS_QUEUE = f"{settings.CELERY_QUEUE_PREFIX}.events"
"""Wake-ups for the inbox. They have a queue of their own, so that its length tells whether one is on its way."""
WORK_QUEUE = f"{settings.CELERY_QUEUE_PREFIX}.work"
EXCHANGE = Exchange(settings.CELERY_QUEUE_PREFIX, "direct")

TURN_SECONDS = 5.0
"""How long one task goes on while there is more to do, so that SIGTERM waits no longer than that."""

app = Celery("proshop", broker=settings.CELERY_BROKER_URL or None)
app.conf.update(
    task_queues=[Queue(name, EXCHANGE, routing_key=name) for name in (EVENTS_QUEUE, WORK_QUEUE)],
    task_default_queue=WORK_QUEUE,
    task_create_missing_queues=False,
    task_default_delivery_mode="transient",  # the truth is in the database, so the broker's disk need not keep it
    task_ignore_result=True,
    task_time_limit=600,  # a child that hangs is replaced; the lease of what it had in hand ends before that
    worker_prefetch_multiplier=1,
    broker_connection_timeout=2,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a broker that is away for a day is waited for
    beat_scheduler="celery.beat:Scheduler",  # the schedule is static; no file keeps when it last ran
    timezone="UTC",
    CELERY_DB_REUSE_MAX=1_000_000,  # the task itself closes connections that are old or broken
)


def queue_of(job: str) -> str:
    return EVENTS_QUEUE if job == "events" else WORK_QUEUE


@app.task(name="proshop.do")
def do(job: str) -> None:
    """Do what is due for one job, for a few seconds at most; then let the one that it feeds have a look."""
    from proshop import work

    if job not in work.seconds_between_looks():
        logger.warning("unknown_job", extra={"job": job})  # of another version, during a deploy
        return
    done, more = 0, True
    until = time.monotonic() + TURN_SECONDS
    try:
        close_old_connections()
        while more and time.monotonic() < until:
            some = work.run_job(job)
            done, more = done + some, bool(some)
    except DatabaseFailure:
        logger.exception("database_unavailable")
        connection.close()
        return
    if more:
        _send(job)
    if done and job in work.FEEDS:
        _send(work.FEEDS[job])


def _send(job: str) -> None:
    try:
        do.apply_async((job,), queue=queue_of(job), expires=60, retry=False)
    except BrokerFailure:
        logger.warning("broker_unavailable", extra={"job": job})  # beat has it looked after once the broker is back


@app.on_after_finalize.connect
def _set_schedule(sender: Celery, **kwargs: Any) -> None:
    import django

    django.setup()
    from proshop.work import seconds_between_looks

    sender.conf.beat_schedule = {
        job: {
            "task": do.name,
            "schedule": seconds,
            "args": (job,),
            # With no worker there, looks that are overdue are not heaped up.
            "options": {"queue": queue_of(job), "expires": max(5.0, 2 * seconds)},
        }
        for job, seconds in seconds_between_looks().items()
    }


@signals.celeryd_init.connect
@signals.beat_init.connect
def _refuse_unsafe_setup(**kwargs: Any) -> None:
    from apps.payment.checks import refuse_unsafe_setup

    if not settings.CELERY_BROKER_URL:
        sys.exit("CELERY_BROKER_URL is empty: without a broker, `manage.py work` does the work.")
    try:
        refuse_unsafe_setup()
    except ImproperlyConfigured as reasons:
        sys.exit(str(reasons))  # Celery logs what a receiver raises, and goes on


@signals.setup_logging.connect
def _keep_logging(**kwargs: Any) -> None:
    """Django's logging is set up already; with a receiver here, Celery leaves it alone."""


@signals.worker_shutting_down.connect
def _finish_what_is_in_hand(**kwargs: Any) -> None:
    """Seen by a pool in this very process (solo, threads); forked children come to the end of their turn."""
    stopping.ask()
