"""People who sign in, by e-mail, and people who are forgotten."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    """Makes users whose e-mail address is kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A buyer or a member of staff."""

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=150, blank=True)
    language = models.CharField(
        max_length=10, blank=True, default="", db_default="", help_text="Of the shop's e-mails; empty: English."
    )
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text="May sign in to the admin.")
    date_joined = models.DateTimeField(default=timezone.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once_whatever_case")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email


def new_pseudonym() -> str:
    return "erased-" + secrets.token_hex(8)


class Erasure(models.Model):
    """The intention to forget a person, and what is left of it: a pseudonym and a keyed hash of the address.

    Written before anything is blanked, so that `work` finishes what a crash or an absent Stripe cut off.
    """

    pseudonym = models.CharField(max_length=32, unique=True, default=new_pseudonym, editable=False)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    email_hash = models.CharField(max_length=32, db_index=True)
    addresses = models.JSONField(default=list, help_text="The person's e-mail addresses; none once it is finished.")
    started_at = models.DateTimeField(help_text="What came later is somebody's new business.")
    finished_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True, help_text="What it waits for.")
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["email_hash"], condition=Q(finished_at__isnull=True), name="erasure_one_at_a_time"
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(finished_at__isnull=True), name="erasure_due")]

    def __str__(self) -> str:
        return self.pseudonym


class ErasedName(models.Model):
    """What Stripe calls something of a person who is forgotten: by it a late event is known when it comes."""

    erasure = models.ForeignKey(Erasure, on_delete=models.CASCADE, related_name="names")
    name = models.CharField(max_length=255, unique=True)

    def __str__(self) -> str:
        return self.name
