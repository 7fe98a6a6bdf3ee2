"""What is measured beside the shop is installed at first use, below var/, where it disturbs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from benchmarks.measure import say

FOLDER = Path(settings.BASE_DIR) / "var"


class Unavailable(Exception):
    """Its packages could not be installed here."""


def run(command: list[str]) -> None:
    """Raises Unavailable."""
    if subprocess.run(command, check=False, capture_output=True).returncode:
        raise Unavailable(" ".join(command))


def environment_of(name: str, lock: Path) -> str:
    """The interpreter of a virtual environment that holds what a lock names. Raises Unavailable."""
    venv = FOLDER / name
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = venv / "installed.txt"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        say(f"Installing {name} in an environment of its own …")
        run([sys.executable, "-m", "venv", "--clear", str(venv)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(lock)])
        stamp.write_text(lock.read_text())
    return str(python)


def packages_of(python: str) -> str:
    """The folder with an environment's packages, for the PYTHONPATH of another."""
    command = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
