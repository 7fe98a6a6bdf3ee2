"""The shop's own settings, middleware and logging, in front of bare views; BENCH_BARE leaves the middleware out."""

import os

from proshop.settings.production import *  # noqa: F403
from proshop.settings.production import MIDDLEWARE

ROOT_URLCONF = "benchmarks.ceiling.urls"
MIDDLEWARE = [] if os.environ.get("BENCH_BARE") else MIDDLEWARE
