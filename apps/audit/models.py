"""Who did what: rows that are added and never changed."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class AuditEntry(models.Model):
    """One thing that a member of staff, or a command, did to one object.

    The database itself refuses UPDATE and DELETE; `apps.audit.keeping` is the one way around, for people who are
    to be forgotten and for entries that are older than records are kept.
    """

    class Source(models.TextChoices):
        """Where it was done."""

        ADMIN = "admin", "the admin"
        API = "api", "the API"
        COMMAND = "command", "the command line"

    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor_name = models.CharField(max_length=254, blank=True, help_text="The actor's e-mail address at that time.")
    source = models.CharField(max_length=7, choices=Source.choices)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=80, help_text="Such as payment.refund.")
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=200, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    reason = models.TextField(blank=True)
    detail = models.TextField(blank=True, help_text="What the page or the command said of it.")

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["at"], name="audit_by_time"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["object_name"], name="audit_by_name"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_name or self.object_id}"
