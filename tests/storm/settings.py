"""Production's settings, and processes that die where they are told to."""

import os

from proshop.settings.production import *  # noqa: F403
from proshop.settings.production import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.storm.apps.StormConfig"]
STORM_FOLDER = os.environ["STORM_FOLDER"]
STORM_LEASE_SECONDS = float(os.environ.get("STORM_LEASE_SECONDS") or 0)
