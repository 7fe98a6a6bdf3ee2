"""Which app listens to which. Imports point one way; where a right app needs a left one, it is handed over here."""

from __future__ import annotations


def connect() -> None:
    """Fill the registries. Called once, when the apps are loaded."""
