"""Bodies of the account calls."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class RegisterInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=256, trim_whitespace=False)
    name = serializers.CharField(max_length=150, required=False, allow_blank=True, default="")


class LoginInput(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=256, trim_whitespace=False)


class MeInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=150, required=False, allow_blank=True)


class ResetInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)


class ConfirmInput(serializers.Serializer[Any]):
    uid = serializers.CharField(max_length=64)
    token = serializers.CharField(max_length=128)
    password = serializers.CharField(max_length=256, trim_whitespace=False)


class UserOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField(allow_blank=True)


class SignedInOutput(serializers.Serializer[Any]):
    token = serializers.CharField()
    user = UserOutput()
    cart = serializers.DictField(required=False, help_text="With `merged`: what of an anonymous cart was capped.")


class SentOutput(serializers.Serializer[Any]):
    sent = serializers.BooleanField()
