"""`dev.py demo` as a process of its own, over a stand-in for `manage.py`: how it starts, ends and fails."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")

ROOT = Path(__file__).resolve().parents[2]
MANAGE = """
import http.server, os, sys, time

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

command, arguments = sys.argv[1], sys.argv[2:]
if command == "seed_demo":
    print("sign-in staff: admin@example.com / random-words" if not os.path.exists("seeded") else "All there.")
    open("seeded", "w").close()
elif command == "sandbox":
    http.server.HTTPServer(("127.0.0.1", int(arguments[1])), Answer).serve_forever()
elif command == "runserver":
    print("serving")
    http.server.HTTPServer(("127.0.0.1", int(arguments[-1].split(":")[1])), Answer).serve_forever()
elif command == "work":
    time.sleep(float(os.environ.get("WORK_SECONDS", "60")))
    sys.exit("work broke down")
"""


def free_ports() -> list[str]:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in (one, other)]


class Project:
    """A folder with dev.py, an environment in which everything is installed, and a uv that has nothing to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = free_ports()
        self.running: list[subprocess.Popen[str]] = []
        shutil.copy(ROOT / "dev.py", folder)
        (folder / "manage.py").write_text(MANAGE)
        (folder / "requirements").mkdir()
        lock = folder / "requirements" / "base.txt"
        lock.write_text("")
        venv.create(folder / ".venv", with_pip=False)
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()
        (folder / ".venv" / ".requirements.sha256").write_text(f"base {digest}")
        (folder / "bin").mkdir()
        (folder / "bin" / "uv").write_text("#!/bin/sh\n")
        (folder / "bin" / "uv").chmod(0o755)

    def demo(self, **environment: str) -> "subprocess.Popen[str]":
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "dev.py", "demo", "--port", self.ports[0], "--sandbox-port", self.ports[1]],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def read_welcome(self, process: "subprocess.Popen[str]") -> str:
        """What the demo says until it is ready."""
        lines: list[str] = []
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("Ctrl-C"):
                return "".join(lines)
        raise AssertionError("".join(lines) + (process.stderr.read() if process.stderr else ""))

    def ports_are_free(self) -> bool:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            with socket.socket() as one, socket.socket() as other:
                answers = [
                    probe.connect_ex(("127.0.0.1", int(port)))
                    for probe, port in zip((one, other), self.ports, strict=True)
                ]
            if 0 not in answers:
                return True
        return False


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_everything_cleanly(project: Project, how: signal.Signals) -> None:
    process = project.demo()
    welcome = project.read_welcome(process)

    process.send_signal(how)
    out, err = process.communicate(timeout=30)

    assert f"Shop       http://localhost:{project.ports[0]}/" in welcome
    assert "staff: admin@example.com / random-words" in welcome
    # What a process still had to say may stand before it.
    assert (process.returncode, out.strip().splitlines()[-1], err) == (0, "Ending the demo …", "")
    assert project.ports_are_free()


def test_second_run_shows_the_same_sign_ins(project: Project) -> None:
    for _ in range(2):
        process = project.demo()
        assert "staff: admin@example.com / random-words" in project.read_welcome(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_second_demo_at_the_same_time_is_refused_in_one_sentence(project: Project) -> None:
    project.read_welcome(project.demo())

    out, err = project.demo().communicate(timeout=30)

    assert out == ""
    assert err == (
        f"Port {project.ports[0]} (the shop) is taken: end what listens there, perhaps another demo, "
        "or use make demo DEMO_PORT=8001.\n"
    )


def test_process_that_ends_takes_the_demo_with_it(project: Project) -> None:
    process = project.demo(WORK_SECONDS="1")

    out, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "work    | work broke down" in out
    assert err == "'work' ended with exit code 1, and the demo with it.\n"
    assert project.ports_are_free()
