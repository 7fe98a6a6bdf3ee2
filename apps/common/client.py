"""Who is at the other end of the connection, as far as an address tells."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def address(request: HttpRequest) -> str:
    """The client's IP address.

    X-Forwarded-For is believed only as far as our own proxies wrote it: with NUM_PROXIES = n it is the n-th
    address from the right. Whatever a client put in front of it changes nothing.
    """
    remote = str(request.META.get("REMOTE_ADDR") or "")
    if settings.NUM_PROXIES:
        chain = [part.strip() for part in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",") if part.strip()]
        if chain:
            return chain[-min(settings.NUM_PROXIES, len(chain))]
    return remote


def network(request: HttpRequest) -> str:
    """What limits count as one anonymous client: an IPv4 address, or an IPv6 /64."""
    raw = address(request)
    try:
        ip = ipaddress.ip_address(raw)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
