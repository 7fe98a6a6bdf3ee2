"""Django settings of the sandbox's own process. The shop's settings are never loaded there."""

import secrets

SECRET_KEY = secrets.token_urlsafe(48)  # signs nothing that outlives the process
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["apps.sandbox"]
MIDDLEWARE = ["apps.sandbox.middleware.Guard"]
ROOT_URLCONF = "apps.sandbox.urls"
DATABASES: dict[str, dict[str, str]] = {}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": []},
    }
]
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_000_000
LOGGING_CONFIG = None
