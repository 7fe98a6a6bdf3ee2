"""Tracks that are bought as variants, and how far the people who bought them have come."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from apps.catalog.models import ProductVariant
from apps.orders.models import Order

CODE = r"[A-Z0-9][A-Z0-9-]{0,19}"


class Track(models.Model):
    """A course of several projects. Whoever paid for its variant is enrolled.

    The variant is chosen once: another one would enrol other people.
    """

    code = models.CharField(
        max_length=20,
        unique=True,
        validators=[RegexValidator(rf"^{CODE}\Z", "Capital letters, digits and hyphens, such as DP.")],
        help_text="Short and lasting: it is part of the API's addresses, such as DP.",
    )
    name = models.CharField(max_length=200)
    variant = models.OneToOneField(
        ProductVariant, on_delete=models.PROTECT, related_name="track", help_text="What is bought."
    )
    revision = models.PositiveIntegerField(default=0, editable=False, help_text="Goes up with every change.")

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Project(models.Model):
    """One part of a track. Its number is its place among the track's projects."""

    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="projects")
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.title


class Step(models.Model):
    """One thing to do within a project. Without a step a project is passed at once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="steps")
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.title


class Enrollment(models.Model):
    """One person in one track. `status` is derived from what the person paid for it, by `services.settling` alone."""

    class Status(models.TextChoices):
        NOT_ENROLLED = "not_enrolled", "not enrolled"
        ENROLLED = "enrolled", "enrolled"
        SUSPENDED = "suspended", "suspended"
        WITHDRAWN = "withdrawn", "withdrawn"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="enrollments")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="enrollments")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.NOT_ENROLLED)
    enrolled_at = models.DateTimeField(null=True, help_text="When it was so for the first time; never changes.")
    transitions = models.PositiveIntegerField(default=0, help_text="How many rows its log has.")
    of_purged = models.CharField(
        max_length=12,
        blank=True,
        default="",
        db_default="",
        help_text="What paid lines say whose orders are purged: enrolled or withdrawn. Empty: there were none.",
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "track"], name="enrollment_once_per_person_and_track"),
            models.CheckConstraint(
                condition=~Q(status="enrolled") | Q(enrolled_at__isnull=False), name="enrollment_enrolled_since"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.track_id} of user {self.user_id}: {self.status}"


class StepProgress(models.Model):
    """How far one enrollment has come with one step. It outlives a withdrawal."""

    class State(models.TextChoices):
        LOCKED = "locked", "locked"
        OPEN = "open", "open"
        COMPLETED = "completed", "completed"

    enrollment = models.ForeignKey(Enrollment, on_delete=models.PROTECT, related_name="progress")
    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="progress")
    state = models.CharField(max_length=9, choices=State.choices, default=State.LOCKED)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["step__project__position", "step__project", "step__position", "step"]
        verbose_name_plural = "progress"
        constraints = [
            models.UniqueConstraint(fields=["enrollment", "step"], name="progress_once_per_step"),
            models.CheckConstraint(
                condition=Q(state="completed", completed_at__isnull=False)
                | (~Q(state="completed") & Q(completed_at__isnull=True)),
                name="progress_completed_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.enrollment_id}, step {self.step_id}: {self.state}"


class EnrollmentLog(models.Model):
    """One change of an enrollment's status and the order that brought it about. Append-only, `seq` counts from 1."""

    class Reason(models.TextChoices):
        PAID = "paid", "paid"
        REFUNDED = "refunded", "refunded"
        DISPUTED = "disputed", "disputed"
        DISPUTE_LOST = "dispute_lost", "dispute lost"

    enrollment = models.ForeignKey(Enrollment, on_delete=models.PROTECT, related_name="log")
    seq = models.PositiveIntegerField()
    from_status = models.CharField(max_length=12)
    to_status = models.CharField(max_length=12)
    reason = models.CharField(max_length=12, choices=Reason.choices, help_text="How the order stood.")
    order = models.ForeignKey(
        Order, null=True, on_delete=models.PROTECT, related_name="+", help_text="Empty once the order is purged."
    )
    at = models.DateTimeField()

    class Meta:
        ordering = ["enrollment", "seq"]
        constraints = [models.UniqueConstraint(fields=["enrollment", "seq"], name="enrollment_log_no_gap")]

    def __str__(self) -> str:
        return f"{self.enrollment_id}/{self.seq}: {self.to_status}"
