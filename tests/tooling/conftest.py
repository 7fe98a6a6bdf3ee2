"""dev.py as a module, its folders moved to a place of the test's own."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = importlib.import_module("dev")
    for folder in ("requirements", ".venv"):
        (tmp_path / folder).mkdir()
    for name in module.REQUIREMENT_SETS:
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setattr(module, "SIGN_INS", tmp_path / ".demo" / "sign-ins.txt")
    return module
