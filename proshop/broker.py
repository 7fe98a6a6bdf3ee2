"""Connections to the broker that give up in time."""

from __future__ import annotations

from kombu import Connection

BOUNDED: dict[str, dict[str, float]] = {
    "amqp": {"read_timeout": 1, "write_timeout": 1},
    "redis": {"socket_connect_timeout": 1, "socket_timeout": 1},
}


def bounded_connection(url: str) -> Connection:
    """A connection, not opened yet, on which nothing waits for more than a second; the client tries a few times."""
    scheme = url.partition(":")[0]
    bounds = next((bounds for name, bounds in BOUNDED.items() if scheme.startswith(name)), {})
    return Connection(url, connect_timeout=1, heartbeat=0, transport_options=bounds)
