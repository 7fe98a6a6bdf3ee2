"""`.env.example` names and explains every variable that the shop reads."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The contract's Environment table.
VARIABLES = """
SECRET_KEY SECRET_KEY_FALLBACKS DEBUG ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS CORS_ALLOWED_ORIGINS DATABASE_URL
CELERY_BROKER_URL CACHE_URL PAYMENT_ENV STRIPE_PUBLIC_KEY STRIPE_PUBLISHABLE_KEY STRIPE_SECRET_KEY
STRIPE_WEBHOOK_SECRET STRIPE_API_BASE FRONTEND_URL CHECKOUT_SUCCESS_PATH CHECKOUT_CANCEL_PATH PUBLIC_URL
CHECKOUT_HOLD_MINUTES LATE_PAYMENT_POLICY RATE_LIMITS CHECKOUT_RATE OPEN_ORDERS CART_PRICE_LOCK_HOURS
DEFAULT_CURRENCY SHIPPING_COUNTRIES INVOICE_TAX_RATE RETENTION_YEARS TOKEN_TTL_DAYS NUM_PROXIES STOREFRONT
METRICS_TOKEN SELLER_NAME SELLER_ADDRESS SELLER_TAX_ID EMAIL_URL DEFAULT_FROM_EMAIL SENTRY_DSN LOG_LEVEL INVOICE_FONTS
""".split()


def example() -> str:
    return (ROOT / ".env.example").read_text(encoding="utf-8")


def test_every_variable_of_the_contract_is_there() -> None:
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", example()))

    assert [name for name in VARIABLES if name not in named] == []


def test_every_variable_that_the_settings_read_is_there() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "proshop").rglob("*.py"))
    read = set(re.findall(r"env\.(?:text|flag|integer|words|choice|origin|rate|broker)\(\s*\"([A-Z_]+)\"", source))
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", example()))

    assert len(read) > 20
    assert {name for name in read - named if not name.startswith("PROSHOP_")} == set()


def test_no_secret_has_a_value() -> None:
    values = dict(re.findall(r"^#?\s*([A-Z_]+)=(.*)$", example(), re.MULTILINE))
    secret = [name for name in values if name.endswith(("SECRET_KEY", "WEBHOOK_SECRET", "METRICS_TOKEN"))]

    assert {name: values[name] for name in secret if values[name].strip()} == {}
