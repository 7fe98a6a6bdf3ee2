"""The WSGI entry: gunicorn serves the shop from here, and an unsafe set-up is refused before the first request."""

import os

from proshop import env

os.environ.setdefault("PROSHOP_ROLE", "web")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", env.settings_module())

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from django.conf import settings  # noqa: E402

from apps.payment.checks import refuse_unsafe_setup  # noqa: E402

# Management commands run the system checks by themselves; a WSGI server does not.
refuse_unsafe_setup()

if settings.CELERY_BROKER_URL:
    import proshop.waking  # noqa: F401 - loaded now, so that the first webhook does not wait for it
