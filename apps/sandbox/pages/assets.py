"""Style sheets and scripts, from the `assets` folder beside this package."""

from __future__ import annotations

from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse

FOLDER = Path(__file__).resolve().parent.parent / "assets"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {file.name: (file.read_bytes(), TYPES[file.suffix]) for file in FOLDER.iterdir() if file.suffix in TYPES}


def script(request: HttpRequest) -> HttpResponse:
    """Stripe.js at its usual places, for pages of any origin."""
    response = view(request, "stripe.js")
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def view(request: HttpRequest, name: str) -> HttpResponse:
    if name not in FILES:
        raise Http404
    content, kind = FILES[name]
    return HttpResponse(content, content_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})
