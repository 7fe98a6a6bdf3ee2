"""`manage.py sandbox`: starts the sandbox in a process of its own, without the shop's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.sandbox.__main__ import add_arguments

ROOT = Path(__file__).resolve().parents[4]


class Command(BaseCommand):
    help = "Run the local stand-in for Stripe. Stop it with Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "apps.sandbox.settings", "PYTHONPATH": path}
        command = [sys.executable, "-m", "apps.sandbox"]
        for name in ("port", "webhook_url", "db", "settle_seconds"):
            command += [f"--{name.replace('_', '-')}", str(options[name])]
        sys.stdout.flush()
        if os.name == "posix":  # the same process goes on, so that signals reach the sandbox directly
            os.execve(sys.executable, command, environment)  # noqa: S606 - our own module
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own module
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:  # the child got Ctrl-C too and ends by itself
            sys.exit(process.wait())
