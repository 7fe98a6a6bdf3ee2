"""A developer's machine and `make demo`: SQLite, mail on the console, readable logs."""

from .base import *  # noqa: F403
from .base import ALLOWED_HOSTS, LOGGING

DEBUG = True
# The development server prints a line per request by itself.
LOGGING["loggers"]["django_structlog"] = {"level": "WARNING"}
ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
