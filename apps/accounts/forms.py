"""The admin's forms for people who sign in by e-mail."""

from __future__ import annotations

from unfold.forms import UserChangeForm as UnfoldChangeForm
from unfold.forms import UserCreationForm as UnfoldCreationForm

from apps.accounts.models import User


class UserChangeForm(UnfoldChangeForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = "__all__"


class UserCreationForm(UnfoldCreationForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = ("email", "name")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()
