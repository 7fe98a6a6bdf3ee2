"""Set Proshop up, show it and test it, with nothing but Python: `python3 dev.py demo`.

On Windows it is `py dev.py demo`; elsewhere the Makefile calls this script and does nothing else. Every step
leaves alone what is already in place, so that a second run takes seconds.
"""

import sys

# The file parses on Python 3.6 and this comes before every other import: an old Python gets a sentence, not a
# traceback.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"Proshop needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}. "
        "Name a newer one: make demo PYTHON=python3.12"
    )

import argparse
import contextlib
import errno
import hashlib
import importlib.util
import io
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("PROSHOP_VENV") or ROOT / ".venv").absolute()
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
ENV_FILE = ROOT / ".env"
SIGN_INS = ROOT / ".demo" / "sign-ins.txt"
# Each set holds the ones before it, with the same pins.
REQUIREMENT_SETS = ("base", "production", "dev")


class Refusal(Exception):
    """Something the person at the keyboard can mend, in one sentence."""


def say(text: str) -> None:
    print(text, flush=True)


def run(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    """Run one step in front of the user; when it fails, its own words stand above our sentence."""
    code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if code:
        raise Refusal(f"{what} failed with exit code {code}; the reason stands above.")


# Set-up: virtual environment and requirements.


def find_uv() -> str | None:
    """uv, if it is there and starts: a version manager's stand-in on PATH may lead nowhere."""
    path = shutil.which("uv")
    if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
        return path
    return None


def answers(*arguments: str) -> bool:
    """Whether the environment's own Python runs and agrees."""
    with contextlib.suppress(OSError):
        return subprocess.run([str(PYTHON), *arguments], capture_output=True, check=False).returncode == 0
    return False


def check_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Refusal(
            f"Cannot write to {folder} ({error.strerror}): run this in a folder that belongs to you."
        ) from None


def make_venv(uv: str | None) -> None:
    """Make the virtual environment, anew when the one there is broken or of an old Python."""
    recent = answers("-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    if recent and (uv or answers("-m", "pip", "--version")):
        return
    say(f"Making the virtual environment {VENV.name} …")
    if uv:
        env = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], "uv venv", env)
        return
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        package = f"python3.{sys.version_info[1]}-venv"
        raise Refusal(f"{sys.executable} cannot make virtual environments: install uv, or on Debian {package}.")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], "python -m venv")


def requirements_digest(name: str) -> str:
    return hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest()


def read_stamp(stamp: Path) -> tuple[str, str]:
    """The set that was installed last, and the digest of its lock then."""
    with contextlib.suppress(OSError, ValueError):
        name, digest = stamp.read_text(encoding="ascii").split()
        if name in REQUIREMENT_SETS:
            return name, digest
    return "base", ""


def install(name: str, uv: str | None) -> None:
    """Install a locked set, unless it or a larger one is there. A larger set is kept, never cut down."""
    stamp = VENV / ".requirements.sha256"
    installed, digest = read_stamp(stamp)
    wanted = max(name, installed, key=REQUIREMENT_SETS.index)
    if (installed, digest) == (wanted, requirements_digest(wanted)):
        return
    lock = f"requirements/{wanted}.txt"
    say(f"Installing {lock} with {'uv, some seconds' if uv else 'pip, about a minute'} …")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    else:
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    env = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    run([*command, "--require-hashes", "-r", lock], f"Installing {lock}", env)
    stamp.write_text(f"{wanted} {requirements_digest(wanted)}\n", encoding="ascii")


def set_up(requirements: str) -> None:
    check_writable(ROOT)
    uv = find_uv()
    make_venv(uv)
    install(requirements, uv)


# The demo's settings.


def new_settings() -> dict[str, str]:
    """A demo's settings; every secret is random, so that none is shared between two installations."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DEBUG": "on",
        "STOREFRONT": "on",
        "DATABASE_URL": "sqlite:///db.sqlite3",
        "PAYMENT_ENV": "test",
        "STRIPE_API_BASE": "http://127.0.0.1:12111",
        "STRIPE_PUBLIC_KEY": "pk_test_" + secrets.token_hex(24),
        "STRIPE_SECRET_KEY": "sk_test_" + secrets.token_hex(24),
        "STRIPE_WEBHOOK_SECRET": "whsec_" + secrets.token_hex(24),
        "METRICS_TOKEN": secrets.token_urlsafe(24),
    }


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.parent.mkdir(exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def read_settings(path: Path) -> dict[str, str]:
    """The names and values of a `.env`, as far as this script needs them."""
    settings = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$", line)
        if found:
            settings[found.group(1)] = found.group(2).strip("'\"")
    return settings


def missing_settings(settings: dict[str, str]) -> list[str]:
    """What the shop cannot start without; Stripe's names may carry _TEST or have their other spelling."""
    missing = []
    for name in ("SECRET_KEY", "STRIPE_PUBLIC_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"):
        spellings = [name, f"{name}_TEST", name.replace("PUBLIC_KEY", "PUBLISHABLE_KEY")]
        if not any(settings.get(spelling) for spelling in spellings):
            missing.append(name)
    return missing


def ensure_env_file() -> None:
    """Write `.env` if there is none. One that exists is the owner's: what it lacks is only reported."""
    if not ENV_FILE.exists():
        lines = ["# Made for this installation alone. .env.example explains every variable."]
        lines += [f"{name}={value}" for name, value in new_settings().items()]
        write_private(ENV_FILE, "\n".join(lines) + "\n")
        say("Wrote .env with random secrets.")
        return
    missing = missing_settings({**read_settings(ENV_FILE), **os.environ})
    if missing:
        say(f".env is kept as it is, but lacks {', '.join(missing)}; .env.example explains them.")


# The demo.


def check_port(port: int, whose: str, option: str) -> None:
    """Refuse a port that cannot be listened on, before anything is installed or started."""
    taken = Refusal(f"Port {port} ({whose}) is taken: end what listens there, perhaps another demo, or use {option}.")
    with socket.socket() as probe:
        probe.settimeout(1)
        # macOS lets a second socket bind beside one that listens on every address; connecting finds that one.
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise taken
    with socket.socket() as probe:
        if os.name != "nt":  # on Windows the option would let the probe take over a port in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise Refusal(f"Port {port} ({whose}) may not be opened by you: use {option}.") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise taken from None
            raise


def demo_environment(port: int, sandbox_port: int | None) -> dict[str, str]:
    """The demo's environment: what the chosen ports change, over `.env` and what is really set."""
    settings = read_settings(ENV_FILE)
    env = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    env["DJANGO_RUNSERVER_HIDE_WARNING"] = "true"  # the README says what production runs on
    if sandbox_port:
        env["STRIPE_API_BASE"] = f"http://127.0.0.1:{sandbox_port}"
    for name in ("FRONTEND_URL", "PUBLIC_URL"):
        if name not in settings:
            env.setdefault(name, f"http://localhost:{port}")
    env.setdefault("STRIPE_API_BASE", settings.get("STRIPE_API_BASE", ""))
    return env


def sandbox_port_of(address: str) -> int | None:
    """The port of a sandbox on this machine; None when the shop is to talk to Stripe itself."""
    parts = urlsplit(address)
    return (parts.port or 80) if parts.hostname in ("127.0.0.1", "localhost", "::1") else None


def manage(*arguments: str) -> list[str]:
    return [str(PYTHON), "manage.py", *arguments]


def sign_ins(text: str) -> dict[str, str]:
    """The lines that tell an address and its password, by address."""
    found = (re.match(r"\s*(?:sign-in )?(.*?(\S+@\S+) +\S.*?)\s*$", line) for line in text.splitlines())
    return {match.group(2): match.group(1) for match in found if match}


def seed(env: dict[str, str]) -> None:
    """Fill the shop. Passwords are printed once by the command; they are kept in a private, ignored file."""
    done = subprocess.run(manage("seed_demo"), cwd=ROOT, env=env, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        say(done.stdout)
        raise Refusal(f"seed_demo failed with exit code {done.returncode}; the reason stands above.")
    made = sign_ins(done.stdout)
    if made:
        kept = sign_ins(SIGN_INS.read_text(encoding="utf-8")) if SIGN_INS.exists() else {}
        write_private(SIGN_INS, "".join(f"{line}\n" for line in {**kept, **made}.values()))


class Crew:
    """The demo's processes: each line of theirs carries its writer's name, and all of them end together."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.members: dict[str, subprocess.Popen[str]] = {}
        self.quiet = False

    def start(self, name: str, command: list[str]) -> None:
        # A group of its own keeps the terminal's Ctrl-C from the process: it is told to end once, by us.
        group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=os.name != "nt",
            creationflags=group,
        )
        self.members[name] = process
        threading.Thread(target=self.relay, args=(name, process), daemon=True).start()

    def relay(self, name: str, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout or ():
            if line.strip() and not self.quiet:
                say(f"{name:<7} | {line.rstrip()}")

    def check(self) -> None:
        """Refuse to go on when one of the processes has ended by itself."""
        for name, process in self.members.items():
            if process.poll() is not None:
                time.sleep(0.3)  # its last words are still on their way through the pipe
                raise Refusal(f"'{name}' ended with exit code {process.returncode}, and the demo with it.")

    def stop(self) -> None:
        """End all, politely at first; after five seconds nothing of theirs is left."""
        self.quiet = True
        for process in self.members.values():
            if process.poll() is None:
                process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
        until = time.monotonic() + 5
        for process in self.members.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if os.name != "nt":  # a process may have started others; they share its group
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)


def shop_is_up(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health/live/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_up(crew: Crew, port: int, sandbox_port: int | None) -> None:
    until = time.monotonic() + 60
    # The shop is asked last, so that its log shows one request for it and not a row of them.
    while not ((sandbox_port is None or listens(sandbox_port)) and shop_is_up(port)):
        crew.check()
        if time.monotonic() > until:
            raise Refusal("The shop did not answer within 60 seconds; what it said stands above.")
        time.sleep(0.2)


def welcome(port: int, sandbox_port: int | None) -> str:
    lines = ["", f"Shop       http://localhost:{port}/", f"Admin      http://localhost:{port}/admin/"]
    lines.append(f"API        http://localhost:{port}/api/docs/")
    if sandbox_port:
        lines.append(f"Sandbox    http://127.0.0.1:{sandbox_port}/ in Stripe's place; cards: 4242 4242 4242 4242")
    else:
        lines.append("Stripe     STRIPE_API_BASE names no sandbox here, so the shop talks to Stripe itself")
    if SIGN_INS.exists():
        lines.append(f"Sign-ins   kept in {SIGN_INS.relative_to(ROOT)}")
        lines += [f"           {line}" for line in SIGN_INS.read_text(encoding="utf-8").splitlines()]
    else:
        lines.append("Sign-ins   were printed once; manage.py changepassword sets new passwords")
    return "\n".join([*lines, "", "Ctrl-C ends the demo.", ""])


def interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def demo(options: argparse.Namespace) -> int:
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)
    check_writable(ROOT)
    ensure_env_file()
    env = demo_environment(options.port, options.sandbox_port)
    sandbox_port = sandbox_port_of(env["STRIPE_API_BASE"])
    check_port(options.port, "the shop", "make demo DEMO_PORT=8001")
    if sandbox_port:
        check_port(sandbox_port, "the sandbox", "make demo DEMO_SANDBOX_PORT=12112")
    set_up("base")
    crew = Crew(env)
    try:
        if sandbox_port:  # it has a database of its own, and starts while the shop's is made
            webhook = f"http://127.0.0.1:{options.port}/api/payment/webhook/"
            crew.start("sandbox", manage("sandbox", "--port", str(sandbox_port), "--webhook-url", webhook))
        say("Preparing the database …")
        run(manage("migrate", "--verbosity", "0"), "migrate", env)
        seed(env)
        crew.start("shop", manage("runserver", "--noreload", f"127.0.0.1:{options.port}"))
        crew.start("work", manage("work"))
        wait_until_up(crew, options.port, sandbox_port)
        say(welcome(options.port, sandbox_port))
        while True:
            crew.check()
            time.sleep(0.2)
    except KeyboardInterrupt:
        say("\nEnding the demo …")
        return 0
    finally:
        # A second Ctrl-C must not leave a process behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        crew.stop()


# Tests and linters.

LONG_RUNS = {
    "fuzz-events": "tests.hostile.events",
    "fuzz-api": "tests.hostile.api",
    "storm": "tests.storm",
    "bench": "benchmarks",
}


def suite(options: argparse.Namespace) -> int:
    """Hand over to the environment's own Python, which runs the phases of this command and sums them up."""
    start = time.monotonic()
    set_up("dev")
    seconds = f"{time.monotonic() - start:.1f}"
    env = dict(os.environ, PYTHONIOENCODING="utf-8")
    command = [str(PYTHON), "-m", "tests.support.suite", options.command, "--set-up-seconds", seconds]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def long_run(options: argparse.Namespace) -> int:
    """Hand over to a module with options of its own, such as --count and --seed."""
    set_up("dev")
    command = [str(PYTHON), "-m", LONG_RUNS[options.command], *options.rest]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def setup(options: argparse.Namespace) -> int:
    set_up("dev")
    ensure_env_file()
    return 0


def lock(options: argparse.Namespace) -> int:
    """Write the locks anew from the `.in` files; pins stay unless `--upgrade` is given."""
    uv = find_uv()
    if not uv:
        raise Refusal("Locking needs uv, for one lock on Linux, macOS and Windows: pip install uv")
    command = [uv, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--python-version", "3.11"]
    command += ["--upgrade"] if options.upgrade else []
    below: list[str] = []
    for name in REQUIREMENT_SETS:
        target = f"requirements/{name}.txt"
        run([*command, *below, f"requirements/{name}.in", "-o", target], f"Locking {target}")
        below = ["--constraint", target]
    return 0


def port_number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is a number from 1 to 65535")
    return int(text)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py", description="Set Proshop up, show it and test it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, meaning in (
        ("setup", setup, "virtual environment, locked requirements and .env"),
        ("demo", demo, "sandbox, shop and worker on this machine, ready to be tried"),
        ("test", suite, "the whole suite: SQLite, PostgreSQL, browser, Stripe CLI"),
        ("test-browser", suite, "the tests in a real browser alone"),
        ("test-thorough", suite, "the whole suite with its longest tests, which test leaves out"),
        ("fuzz-events", long_run, "wrong events, validly signed, at the webhook; --count, --seed, --help"),
        ("fuzz-api", long_run, "what its schema allows and what it does not, at every call; --count, --seed, --help"),
        ("storm", long_run, "the whole shop under kills, restarts and faults; --count, --seed, --help"),
        ("bench", long_run, "what the shop's jobs cost, beside their ceilings; --count, --orders, --help"),
        ("lint", suite, "ruff, mypy, import contracts, missing migrations"),
        ("check", suite, "lint and test"),
        ("lock", lock, "write requirements/*.txt from the .in files"),
    ):
        command = commands.add_parser(name, help=meaning, description=meaning, add_help=name not in LONG_RUNS)
        command.set_defaults(function=function, command=name)
        if name == "demo":
            command.add_argument("--port", type=port_number, default=os.environ.get("DEMO_PORT") or "8000")
            sandbox_port = os.environ.get("DEMO_SANDBOX_PORT") or None
            command.add_argument("--sandbox-port", type=port_number, default=sandbox_port)
        if name == "lock":
            command.add_argument("--upgrade", action="store_true", help="take newer releases")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in LONG_RUNS:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    return options


def main(arguments: list[str]) -> int:
    try:
        options = parse(arguments)
        return int(options.function(options))
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.strerror or error}: {error.filename or 'the system gave no name'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; run it again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # a Windows console may know no ellipsis
    sys.exit(main(sys.argv[1:]))
