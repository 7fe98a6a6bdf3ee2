"""A shop that takes money: HTTPS only, secure cookies, JSON logs, static files with hashed names."""

from .base import *  # noqa: F403
from .base import FRONTEND_URL, LOGGING, PUBLIC_URL

DEBUG = False
HTTPS = PUBLIC_URL.startswith("https://") or FRONTEND_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS
# A proxy in front ends TLS and sets this header; health checks come from inside without it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
LOGGING["handlers"]["console"]["formatter"] = "json"
