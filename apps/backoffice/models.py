"""No table of its own: what is shown here belongs to other apps. Only rights are named."""

from __future__ import annotations

from django.db import models


class Books(models.Model):
    """Stands for the shop's books as a whole, so that rights to them have something to hang on."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("export_books", "Can export orders, payments, refunds and taxes")]

    def __str__(self) -> str:
        return "books"
