"""Settings that every environment shares. Values that differ per shop come from the environment (`env.py`)."""

from datetime import timedelta
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from proshop import env

env.load()

BASE_DIR = env.BASE_DIR

# Django

SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. `make demo` writes a .env with a random one.")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
DEBUG = env.flag("DEBUG")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
CORS_ALLOWED_ORIGINS = env.words("CORS_ALLOWED_ORIGINS")
CORS_ALLOW_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "x-cart-token",
    "x-csrftoken",
    "x-order-token",
)
CORS_EXPOSE_HEADERS = ("X-Cart-Token", "Idempotent-Replayed", "Retry-After")
CORS_URLS_REGEX = r"^/api/"

STOREFRONT = env.flag("STOREFRONT")
STRIPE_API_BASE = env.origin("STRIPE_API_BASE")

INSTALLED_APPS = [
    "proshop.apps.ProshopConfig",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "apps.backoffice.apps.ShopAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "django_structlog",
    "apps.common",
    "apps.outbox",
    "apps.audit",
    "apps.accounts",
    "apps.catalog",
    "apps.inventory",
    "apps.cart",
    "apps.orders",
    "apps.payment",
    "apps.invoices",
    "apps.enrollment",
    "apps.notifications",
    "apps.backoffice",
]
if STOREFRONT:
    INSTALLED_APPS.append("apps.storefront")
if STRIPE_API_BASE:
    INSTALLED_APPS.append("apps.sandbox")

MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.common.middleware.JsonErrors",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.common.middleware.ContentSecurityPolicy",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "proshop.urls"
LOGIN_REDIRECT_URL = "admin:index"  # staff alone signs in with a form; where a wrong `next` ends, too
WSGI_APPLICATION = "proshop.wsgi.application"
APPEND_SLASH = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "apps" / "backoffice" / "overrides"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Database


def database(url: str) -> dict[str, Any]:
    """Connection settings that lose nothing on SQLite and never hang on PostgreSQL."""
    config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    options: dict[str, Any] = config.setdefault("OPTIONS", {})
    if config["ENGINE"].endswith("sqlite3"):
        # IMMEDIATE takes the write lock at BEGIN, so that two transactions wait for each other instead of
        # failing with "database is locked" in the middle. FULL: an acknowledged webhook survives a power cut.
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=20,
            init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        )
        return config
    options.setdefault("connect_timeout", 3)
    if env.text("PROSHOP_ROLE") == "web":
        options.setdefault("options", "-c statement_timeout=5000 -c lock_timeout=4000")
    config["DISABLE_SERVER_SIDE_CURSORS"] = True  # pgbouncer in transaction mode cannot keep them
    return config


DATABASES = {"default": database(env.text("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}"))}

CACHE_URL = env.text("CACHE_URL")
if CACHE_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}}
else:
    # Limits are counted in the database (apps/common/limits.py); nothing else needs a cache, and a cache in a
    # process's memory would differ between processes.
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

# People

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_ENGINE = "apps.accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "apps.common.views.csrf_failure"
TOKEN_TTL_DAYS = env.integer("TOKEN_TTL_DAYS", 30, least=1, most=3650)
REST_KNOX = {"TOKEN_TTL": timedelta(days=TOKEN_TTL_DAYS), "AUTH_HEADER_PREFIX": "Token"}
NUM_PROXIES = env.integer("NUM_PROXIES", 0, most=10)
RATE_LIMITS = env.flag("RATE_LIMITS", True)

# API

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.authentication.TokenAuthentication",
        "apps.accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.common.api.JsonBody"],
    "DEFAULT_PAGINATION_CLASS": "apps.common.api.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.common.api.handle_exception",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "NUM_PROXIES": NUM_PROXIES,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Proshop",
    "DESCRIPTION": "A shop backend on Stripe. Money is a decimal string in major units beside its currency.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Shop

FRONTEND_URL = env.origin("FRONTEND_URL", "http://localhost:8000")
PUBLIC_URL = env.origin("PUBLIC_URL", "http://localhost:8000")
CHECKOUT_SUCCESS_PATH = env.text("CHECKOUT_SUCCESS_PATH", "/checkout/success?session_id={CHECKOUT_SESSION_ID}")
CHECKOUT_CANCEL_PATH = env.text("CHECKOUT_CANCEL_PATH", "/checkout/cancel?order={number}")
# Stripe's sessions live 30 minutes at least and 24 hours at most, and end a minute before the hold does.
CHECKOUT_HOLD_MINUTES = env.integer("CHECKOUT_HOLD_MINUTES", 31, least=31, most=1439)
CART_PRICE_LOCK_HOURS = env.integer("CART_PRICE_LOCK_HOURS", 72)
DEFAULT_CURRENCY = env.text("DEFAULT_CURRENCY", "USD").upper()
SHIPPING_COUNTRIES = env.words("SHIPPING_COUNTRIES", "US,CA,GB,DE,FR")
CHECKOUT_RATE = env.text("CHECKOUT_RATE", "30/hour")
OPEN_ORDERS = env.integer("OPEN_ORDERS", 10, least=1)
CAPTURE_METHOD = env.choice("CAPTURE_METHOD", "automatic", ("automatic", "manual"))
LATE_PAYMENT_POLICY = env.choice("LATE_PAYMENT_POLICY", "restock_or_refund", ("restock_or_refund", "staff"))
INVOICE_TAX_RATE = env.rate("INVOICE_TAX_RATE")
INVOICE_FONTS = env.words("INVOICE_FONTS")
# A counted variant with no more than this left to sell is shown to staff.
LOW_STOCK = env.integer("LOW_STOCK", 5)
RETENTION_YEARS = env.integer("RETENTION_YEARS", 7, least=1)
SELLER_NAME = env.text("SELLER_NAME", "Proshop")
SELLER_ADDRESS = env.text("SELLER_ADDRESS")
OTP_TOTP_ISSUER = SELLER_NAME
SELLER_TAX_ID = env.text("SELLER_TAX_ID")
METRICS_TOKEN = env.text("METRICS_TOKEN")

# Stripe

PAYMENT_ENV = env.choice("PAYMENT_ENV", "test", ("test", "live"))
STRIPE_PUBLIC_KEY = env.stripe_value(("STRIPE_PUBLIC_KEY", "STRIPE_PUBLISHABLE_KEY"), PAYMENT_ENV)
STRIPE_SECRET_KEY = env.stripe_value(("STRIPE_SECRET_KEY",), PAYMENT_ENV)
# Several while one is being rolled.
STRIPE_WEBHOOK_SECRETS = [
    secret.strip() for secret in env.stripe_value(("STRIPE_WEBHOOK_SECRET",), PAYMENT_ENV).split(",") if secret.strip()
]
STRIPE_API_VERSION = "2026-10-28.endive"
# Stripe.js has a release per major version of the API, and the sandbox its own at the same path.
STRIPE_JS_URL = f"{STRIPE_API_BASE or 'https://js.stripe.com'}/{STRIPE_API_VERSION.partition('.')[2]}/stripe.js"
# What a page with Stripe.js may load, call and frame: https://docs.stripe.com/security/guide#content-security-policy
STRIPE_JS_POLICY = (
    {"script-src": [SELF, STRIPE_API_BASE], "connect-src": [SELF, STRIPE_API_BASE]}
    if STRIPE_API_BASE
    else {
        "script-src": [SELF, "https://js.stripe.com", "https://*.js.stripe.com"],
        "connect-src": [SELF, "https://api.stripe.com"],
        "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
    }
)
# Half of the threads that README.md gives a gunicorn process.
STRIPE_CALLS_AT_ONCE = env.integer("STRIPE_CALLS_AT_ONCE", 2, least=1)

# Work behind the request

CELERY_BROKER_URL = env.broker("CELERY_BROKER_URL")
CELERY_QUEUE_PREFIX = env.text("CELERY_QUEUE_PREFIX", "proshop")

# Mail, files, words

EMAIL_URL = env.text("EMAIL_URL", "console:")
globals().update(env.email(EMAIL_URL))
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "shop@localhost")

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
LANGUAGE_CODE = "en"
# Those that e-mails and invoices are written in; each has a catalogue in apps/notifications and apps/invoices.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "proshop.formats"
USE_I18N = True

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "https:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.5  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "username"  # as the admin's form calls the e-mail address
AXES_ENABLED = RATE_LIMITS
AXES_VERBOSE = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "apps.common.client.address"
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_ENABLE_ADMIN = False  # apps/backoffice shows the log of sign-ins

# Whoever may sign in to the admin needs a code besides the password, there and for what staff can do over the API.
STAFF_SECOND_FACTOR = env.flag("STAFF_SECOND_FACTOR", not DEBUG)

UNFOLD = {
    "SITE_TITLE": "Proshop",
    "SITE_HEADER": "Proshop",
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda request: static("backoffice/desk.css")],
    "SCRIPTS": [lambda request: static("backoffice/keyboard.js")],
}

# Logs

LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "apps.common.logs.console_formatter"},
        "json": {"()": "apps.common.logs.json_formatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # The library's INFO lines carry parameters of requests.
        "stripe": {"level": "WARNING"},
        "axes": {"level": "ERROR"},
        # Several lines per look, and most looks find nothing to do.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        # They tell of every glyph that they look at.
        "fontTools": {"level": "WARNING"},
        "fpdf": {"level": "ERROR"},
    },
}
SENTRY_DSN = env.text("SENTRY_DSN")
