"""`python -m apps.sandbox`: starts the sandbox and serves until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading

from apps.sandbox import config as configuration


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        config = configuration.load(
            port=options.port, webhook_url=options.webhook_url, db=options.db, settle_seconds=options.settle_seconds
        )
    except configuration.ConfigError as error:
        return _complain(str(error))
    os.environ["DJANGO_SETTINGS_MODULE"] = "apps.sandbox.settings"
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("django.request").setLevel(logging.ERROR)  # a declined card is no news
    return serve(config)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="sandbox", description="A local stand-in for Stripe, for development and tests."
    )
    add_arguments(result)
    return result


def add_arguments(target: argparse.ArgumentParser) -> None:
    """Shared with `manage.py sandbox`."""
    target.add_argument("--port", type=int, default=12111, help="0 picks a free port (default: 12111)")
    target.add_argument("--webhook-url", default="", help="where events are delivered, e.g. the shop's webhook")
    target.add_argument("--db", default="sandbox.sqlite3", help="the sandbox's own file (default: sandbox.sqlite3)")
    target.add_argument("--settle-seconds", type=float, default=8.0, help="how long a bank debit takes (default: 8)")


def serve(config: configuration.Config) -> int:
    """Serve until SIGINT or SIGTERM. The exit status."""
    import django
    from django.core.handlers.wsgi import WSGIHandler

    from apps.sandbox import runtime
    from apps.sandbox.server import Server

    django.setup()
    try:
        server = Server(config.port, WSGIHandler())
    except OSError as error:
        return _complain(f"Port {config.port} cannot be used: {error.strerror}.")
    sandbox = runtime.Sandbox(config)
    sandbox.port = server.server_port
    runtime.set_running(sandbox)
    sandbox.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    sys.stdout.write(f"Sandbox listening on {sandbox.base_url}\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.2)
    sandbox.stop()
    server.server_close()
    return 0


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
