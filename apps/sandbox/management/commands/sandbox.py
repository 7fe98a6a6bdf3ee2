"""`manage.py sandbox`: starts the sandbox in a process of its own, without the shop's settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.sandbox.__main__ import add_arguments


class Command(BaseCommand):
    help = "Run the local stand-in for Stripe. Stop it with Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "apps.sandbox.settings"}
        command = [sys.executable, "-m", "apps.sandbox"]
        for name in ("port", "webhook_url", "db", "settle_seconds"):
            command += [f"--{name.replace('_', '-')}", str(options[name])]
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own module

        def forward(number: int, frame: FrameType | None) -> None:
            process.send_signal(number)

        signal.signal(signal.SIGTERM, forward)
        # Ctrl-C reaches the whole foreground group; the child ends by itself and we wait for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN if sys.stdin.isatty() else forward)
        sys.exit(process.wait())
