"""The shop's processes and Stripe's stand-in: started, killed, and started again when they are gone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.storm.folder import Folder, wait_for_port

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET_KEY = "sk_test_storm"
WEBHOOK_SECRET = "whsec_storm"
METRICS_TOKEN = "storm-metrics"


def environment(folder: Folder, *, database: str, broker: str, mail: str, ports: dict[str, int]) -> dict[str, str]:
    """What the shop's processes are given, and nothing of the developer's own."""
    web = f"http://127.0.0.1:{ports['web']}"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.path),
        "PYTHONUNBUFFERED": "1",
        "PROSHOP_ENV_FILE": "",
        "DJANGO_SETTINGS_MODULE": "tests.storm.settings",
        "STORM_FOLDER": str(folder.path),
        "SECRET_KEY": "storm" * 12,
        "ALLOWED_HOSTS": "127.0.0.1",
        "STAFF_SECOND_FACTOR": "off",
        "DATABASE_URL": database,
        "CELERY_BROKER_URL": broker,
        "STRIPE_API_BASE": f"http://127.0.0.1:{ports['sandbox']}",
        "STRIPE_PUBLIC_KEY": "pk_test_storm",
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "METRICS_TOKEN": METRICS_TOKEN,
        "FRONTEND_URL": web,
        "PUBLIC_URL": web,
        "EMAIL_URL": mail,
        "RATE_LIMITS": "off",
        "OPEN_ORDERS": "100000",
        "LOG_LEVEL": "WARNING",
        "BIND": f"127.0.0.1:{ports['web']}",
        "WEB_CONCURRENCY": "3",
        "WEB_THREADS": "4",
    }


def commands(broker: str) -> dict[str, list[str]]:
    """What runs: with a broker Celery's worker and beat, without one `manage.py work`."""
    python = sys.executable
    # Preloaded, so that a killed worker is forked anew and not imported anew: hundreds are killed.
    crew = {"web": [python, "-m", "gunicorn", "--preload", "--log-level", "warning", "proshop.wsgi"]}
    if not broker:
        return crew | {"work": [python, "manage.py", "work"]}
    celery = [python, "-m", "celery", "-A", "proshop"]
    worker = ["worker", "--loglevel", "WARNING", "--concurrency", "2", "--without-gossip", "--without-mingle"]
    return crew | {"worker": [*celery, *worker], "beat": [*celery, "beat", "--loglevel", "WARNING", "--pidfile="]}


class Crew:
    """The processes by name. Whoever ends is started again within a second, as a service manager would do."""

    def __init__(self, folder: Folder, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        self.commands = commands(env["CELERY_BROKER_URL"])
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts = 0
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._watch = threading.Thread(target=self._keep_running, daemon=True)

    def start(self) -> None:
        for name in self.commands:
            self._start(name)
        self._watch.start()

    def stop(self) -> None:
        """End all politely; whoever still runs after a while is killed."""
        self._stop.set()
        self._watch.join()
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
            _kill_group(process)

    def kill_whole(self, name: str) -> None:
        """kill -9 for a process and all its children at once."""
        with self._turn:
            _kill_group(self.running[name])

    def kill_child(self, name: str, chance: random.Random) -> None:
        """kill -9 for one of a process's children, or for itself where it has none."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.running[name].pid)
            chance.choice(parent.children() or [parent]).kill()

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the shop's to its end."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.env, check=check, capture_output=True, text=True)

    def _start(self, name: str) -> None:
        with self.folder.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.commands[name], cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def _keep_running(self) -> None:
        while not self._stop.wait(0.5):
            with self._turn:
                for name, process in list(self.running.items()):
                    if process.poll() is not None:
                        _kill_group(process)  # children that outlived it
                        self.restarts += 1
                        self._start(name)


class Sandbox:
    """Stripe's stand-in, which is never killed: it is what the shop is compared with."""

    def __init__(self, folder: Folder, port: int, webhook_url: str) -> None:
        command = [sys.executable, "-m", "apps.sandbox", "--port", str(port), "--settle-seconds", "4"]
        command += ["--db", str(folder.path / "stripe.sqlite3"), "--webhook-url", webhook_url]
        env = {"PATH": os.environ["PATH"], "HOME": str(folder.path)}
        env |= {"STRIPE_SECRET_KEY": SECRET_KEY, "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET}
        with folder.log("sandbox").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
        self.address = f"http://127.0.0.1:{port}"
        wait_for_port(port)

    def stop(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        _kill_group(self.process)


def _kill_group(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_ready(address: str, seconds: float = 60.0) -> None:
    """Raises TimeoutError while the shop does not answer."""
    import requests

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if requests.get(f"{address}/health/live/", timeout=2).status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(f"The shop does not answer at {address}.")
