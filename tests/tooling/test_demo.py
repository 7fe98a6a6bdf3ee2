"""The demo's own part: its `.env`, its ports, its sign-ins and its processes."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SECRETS = ("SECRET_KEY", "STRIPE_PUBLIC_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "METRICS_TOKEN")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("STRIPE_", "SECRET_KEY", "FRONTEND_URL", "PUBLIC_URL", "DEMO_")):
            monkeypatch.delenv(name)


def test_env_file_is_private_and_complete(dev: ModuleType) -> None:
    dev.ensure_env_file()

    settings = dev.read_settings(dev.ENV_FILE)
    assert {name: settings[name] for name in settings if name not in SECRETS} == {
        "DEBUG": "on",
        "STOREFRONT": "on",
        "DATABASE_URL": "sqlite:///db.sqlite3",
        "PAYMENT_ENV": "test",
        "STRIPE_API_BASE": "http://127.0.0.1:12111",
    }
    assert settings["STRIPE_PUBLIC_KEY"].startswith("pk_test_")
    assert settings["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert settings["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")
    assert all(len(settings[name]) >= 32 for name in SECRETS)
    assert dev.missing_settings(settings) == []
    if os.name != "nt":
        assert dev.ENV_FILE.stat().st_mode & 0o777 == 0o600


def test_secrets_differ_between_installations(dev: ModuleType) -> None:
    one, other = dev.new_settings(), dev.new_settings()

    assert [name for name in one if one[name] != other[name]] == [name for name in one if name in SECRETS]


def test_existing_env_file_is_kept_and_what_it_lacks_is_named(
    dev: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = "SECRET_KEY='mine'\nexport STRIPE_PUBLISHABLE_KEY=pk_test_mine\nSTRIPE_SECRET_KEY_TEST=sk_test_mine\n"
    dev.ENV_FILE.write_text(mine)

    dev.ensure_env_file()

    assert dev.ENV_FILE.read_text() == mine
    assert capsys.readouterr().out == (
        ".env is kept as it is, but lacks STRIPE_WEBHOOK_SECRET; .env.example explains them.\n"
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_taken_port_is_refused_in_one_sentence_before_anything_is_installed(
    dev: ModuleType, taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "set_up", lambda requirements: pytest.fail("nothing may be installed"))
    monkeypatch.setattr(dev.signal, "signal", lambda *_: None)

    assert dev.main(["demo", "--port", str(taken_port)]) == 1

    assert capsys.readouterr().err == (
        f"Port {taken_port} (the shop) is taken: end what listens there, perhaps another demo, "
        "or use make demo DEMO_PORT=8001.\n"
    )


def test_port_of_the_sandbox_is_looked_at_too(
    dev: ModuleType, taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev.signal, "signal", lambda *_: None)

    assert dev.main(["demo", "--port", str(free_port()), "--sandbox-port", str(taken_port)]) == 1

    assert capsys.readouterr().err.startswith(f"Port {taken_port} (the sandbox) is taken: ")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_free_port_passes(dev: ModuleType) -> None:
    dev.check_port(free_port(), "the shop", "another")


def test_chosen_ports_reach_the_shop_and_the_owners_frontend_stays(dev: ModuleType) -> None:
    dev.ENV_FILE.write_text("FRONTEND_URL=http://localhost:3000\nSTRIPE_API_BASE=http://127.0.0.1:12111\n")

    env = dev.demo_environment(8001, 12112)

    assert env["STRIPE_API_BASE"] == "http://127.0.0.1:12112"
    assert env["PUBLIC_URL"] == "http://localhost:8001"
    assert "FRONTEND_URL" not in env


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("http://127.0.0.1:12111", 12111),
        ("http://localhost:9000", 9000),
        ("", None),
        ("https://api.stripe.com", None),
    ],
)
def test_sandbox_is_started_for_an_address_on_this_machine_alone(
    dev: ModuleType, address: str, port: int | None
) -> None:
    assert dev.sandbox_port_of(address) == port


def pretend_manage(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let a snippet of Python stand in for `manage.py`."""
    monkeypatch.setattr(dev, "manage", lambda *_: [sys.executable, "-c", code])


def test_sign_ins_are_kept_in_a_private_file_until_new_ones_are_made(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said in (
        ["20 variants created", "sign-in buyer: demo@example.com / one", "sign-in staff: admin@example.com / two"],
        ["20 as they were", "sign-in buyer: demo@example.com / three", "The staff's sign-in exists already."],
        ["20 as they were", "The buyer's sign-in exists already.", "The staff's sign-in exists already."],
    ):
        pretend_manage(dev, monkeypatch, f"print(*{said!r}, sep=chr(10))")
        dev.seed(dict(os.environ))

    assert dev.SIGN_INS.read_text() == "buyer: demo@example.com / three\nstaff: admin@example.com / two\n"
    assert "buyer: demo@example.com / three" in dev.welcome(8000, 12111)
    if os.name != "nt":
        assert dev.SIGN_INS.stat().st_mode & 0o777 == 0o600


def test_process_that_ends_by_itself_is_named(dev: ModuleType) -> None:
    crew = dev.Crew(dict(os.environ))
    crew.start("work", [sys.executable, "-c", "raise SystemExit(3)"])
    crew.members["work"].wait(10)

    with pytest.raises(dev.Refusal, match=r"^'work' ended with exit code 3, and the demo with it\.$"):
        crew.check()


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGTERM nor process groups")
def test_everything_ends_with_the_demo_even_what_its_processes_started(dev: ModuleType, tmp_path: Path) -> None:
    note = tmp_path / "port"
    started = (
        "import pathlib, socket, time\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        f"pathlib.Path({str(note)!r}).write_text(str(listener.getsockname()[1]))\n"
        "time.sleep(60)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {started!r}])"
    crew = dev.Crew(dict(os.environ))
    crew.start("sandbox", [sys.executable, "-c", code])
    until = time.monotonic() + 10
    while not (note.exists() and note.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    port = int(note.read_text())
    assert dev.listens(port)

    crew.stop()

    assert crew.members["sandbox"].returncode == -signal.SIGTERM
    until = time.monotonic() + 2
    while dev.listens(port) and time.monotonic() < until:
        time.sleep(0.05)
    assert not dev.listens(port)
