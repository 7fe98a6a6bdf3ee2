"""Settings of the test suite. Nothing of the developer's own `.env` reaches the tests."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

TEST_ENVIRONMENT = {
    "PROSHOP_ENV_FILE": "",
    "SECRET_KEY": "tests-only-0123456789abcdef0123456789abcdef0123456789abcdef",
    "DEBUG": "off",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "PAYMENT_ENV": "test",
    "STRIPE_PUBLIC_KEY": "pk_test_proshop",
    "STRIPE_SECRET_KEY": "sk_test_proshop",
    "STRIPE_WEBHOOK_SECRET": "whsec_tests_current,whsec_tests_previous",
    "STRIPE_API_BASE": "http://127.0.0.1:9",  # nobody listens there: a test names its own sandbox
    "STRIPE_CALLS_AT_ONCE": "64",
    "STOREFRONT": "on",
    "RATE_LIMITS": "off",
    "STAFF_SECOND_FACTOR": "off",
    "EMAIL_URL": "memory:",
    "LOG_LEVEL": "WARNING",
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", ""),
}
for name in [key for key in os.environ if key.startswith(("STRIPE_", "CELERY_", "CACHE_"))]:
    del os.environ[name]
os.environ.update(TEST_ENVIRONMENT)
folder = Path(tempfile.gettempdir()) / f"proshop-tests-{os.getpid()}"
folder.mkdir(mode=0o700, exist_ok=True)
atexit.register(shutil.rmtree, folder, ignore_errors=True)
if not os.environ["DATABASE_URL"]:
    # A file, not memory: threads with connections of their own must see the same database.
    os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'db.sqlite3'}"

from .base import *  # noqa: E402, F403
from .base import DATABASES, LOGGING  # noqa: E402

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(folder / "test.sqlite3")}
    # The suite loses nothing in a power cut.
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"

STATIC_ROOT = folder  # whitenoise wants it to exist
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING["handlers"]["console"]["formatter"] = "line"
