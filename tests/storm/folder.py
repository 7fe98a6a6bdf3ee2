"""Where a storm keeps everything, so that another run goes on from there."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any


class Folder:
    """The files of one storm: databases, logs, what was done (`journal.jsonl`) and how far it came (`state.json`)."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711)  # PostgreSQL's own user has to get through
        for name in ("logs", "armed", "hit", "calls"):
            (self.path / name).mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self._journal = (self.path / "journal.jsonl").open("a", encoding="utf-8")
        self._acknowledged = (self.path / "acknowledged.txt").open("a", encoding="ascii")

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def note(self, what: str, **facts: Any) -> None:
        """Write one line of what was done or seen."""
        line = json.dumps({"at": round(time.time(), 2), "what": what, **facts})
        with self._lock:
            self._journal.write(line + "\n")
            self._journal.flush()

    def acknowledged(self, event_id: str) -> None:
        """The shop answered 200 to this event, so it must never be lost."""
        with self._lock:
            self._acknowledged.write(event_id + "\n")
            self._acknowledged.flush()

    def state(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.path / "state.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}

    def keep_state(self, state: dict[str, Any]) -> None:
        new = self.path / "state.new"
        new.write_text(json.dumps(state, indent=1), encoding="utf-8")
        os.replace(new, self.path / "state.json")

    # Failpoints: a token is a file, and whoever removes it dies.

    def arm(self, point: str) -> None:
        (self.path / "armed" / point).touch()

    def disarm(self) -> None:
        for token in (self.path / "armed").iterdir():
            token.unlink(missing_ok=True)

    def armed(self) -> set[str]:
        return {token.name for token in (self.path / "armed").iterdir()}

    def hits(self) -> dict[str, int]:
        """How often a process died at each point."""
        return {file.name: file.stat().st_size for file in (self.path / "hit").iterdir()}

    def calls_seen(self) -> set[str]:
        """The kinds of calls of Stripe's API that the shop has made."""
        return {file.name for file in (self.path / "calls").iterdir()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 60.0) -> None:
    """Raises TimeoutError when nobody listens there in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"Nothing listens on port {port}.")
