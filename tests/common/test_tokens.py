"""Tokens open what they were issued for and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common import tokens

PUBLIC_ID = "0123456789abcdef0123456789abcdef"


def test_token_opens_the_object_that_it_was_issued_for() -> None:
    token = tokens.issue("cart", PUBLIC_ID)
    assert tokens.read("cart", token) == PUBLIC_ID
    assert token.startswith(PUBLIC_ID)
    assert len(token) == 72


def test_token_of_one_kind_opens_no_other() -> None:
    assert tokens.read("order", tokens.issue("cart", PUBLIC_ID)) is None


@pytest.mark.parametrize("position", [0, 31, 32, 71])
def test_one_changed_character_opens_nothing(position: int) -> None:
    token = tokens.issue("cart", PUBLIC_ID)
    changed = token[:position] + ("0" if token[position] != "0" else "1") + token[position + 1 :]
    assert tokens.read("cart", changed) is None


@pytest.mark.parametrize("token", ["", PUBLIC_ID, PUBLIC_ID + "0" * 39, "\u00e9" * 72, "\u0660" * 72])
def test_odd_tokens_open_nothing(token: str) -> None:
    assert tokens.read("cart", token) is None


def test_longer_and_shorter_tokens_open_nothing() -> None:
    token = tokens.issue("cart", PUBLIC_ID)
    assert tokens.read("cart", token + "0") is None
    assert tokens.read("cart", token[:-1]) is None


@given(st.text(max_size=80))
def test_no_text_is_a_token_by_chance_or_breaks_the_reader(text: str) -> None:
    assert tokens.read("cart", text) is None


def test_older_keys_are_honoured_while_they_are_listed(settings: Any) -> None:
    token = tokens.issue("cart", PUBLIC_ID)
    older, settings.SECRET_KEY = settings.SECRET_KEY, "another key"
    assert tokens.read("cart", token) is None
    settings.SECRET_KEY_FALLBACKS = [older]
    assert tokens.read("cart", token) == PUBLIC_ID
    assert tokens.issue("cart", PUBLIC_ID) != token


def test_public_ids_are_random_and_of_one_length() -> None:
    made = {tokens.new_public_id() for _ in range(100)}
    assert len(made) == 100
    assert {len(public_id) for public_id in made} == {tokens.ID_LENGTH}


def test_keyed_hash_is_stable_and_hides_the_value(settings: Any) -> None:
    first = tokens.keyed_hash("address", "192.0.2.1")
    assert first == tokens.keyed_hash("address", "192.0.2.1")
    assert first != tokens.keyed_hash("cart", "192.0.2.1")
    settings.SECRET_KEY = "another key"
    assert first != tokens.keyed_hash("address", "192.0.2.1")
