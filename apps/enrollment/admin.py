"""Tracks with their projects and steps, edited on one page; enrollments to be read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, StackedInline, TabularInline

from apps.common.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.enrollment.models import Enrollment, EnrollmentLog, Project, Step, StepProgress, Track
from apps.enrollment.services.tracks import note_change


class StepInline(TabularInline):  # type: ignore[misc]
    model = Step
    extra = 0
    fields = ("position", "title")


class ProjectInline(StackedInline):  # type: ignore[misc]
    model = Project
    extra = 0
    fields = ("position", "title")
    inlines = (StepInline,)


@admin.register(Track)
class TrackAdmin(ModelAdmin):  # type: ignore[misc]
    """What is added or taken away reaches everybody who is enrolled; a step that goes takes its progress with it."""

    list_display = ("code", "name", "variant", "enrolled")
    list_select_related = ("variant__product",)
    search_fields = ("code__istartswith", "name__icontains")
    autocomplete_fields = ("variant",)
    inlines = (ProjectInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Track]:
        found: QuerySet[Track] = super().get_queryset(request)
        return found.annotate(n=Count("enrollments", filter=Q(enrollments__status=Enrollment.Status.ENROLLED)))

    @admin.display(description="people enrolled", ordering="n")
    def enrolled(self, track: Any) -> int:
        return int(track.n)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Another variant would enrol other people, another code would break addresses."""
        return () if obj is None else ("code", "variant")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        note_change(form.instance)


class EnrollmentLogInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = EnrollmentLog
    fields = ("seq", "at", "from_status", "to_status", "reason", "order")
    readonly_fields = fields


class StepProgressInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = StepProgress
    fields = ("project", "step", "state", "completed_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[StepProgress]:
        found: QuerySet[StepProgress] = super().get_queryset(request)
        return found.select_related("step__project")

    @admin.display
    def project(self, progress: StepProgress) -> str:
        return progress.step.project.title


@admin.register(Enrollment)
class EnrollmentAdmin(ReadOnlyAdmin):
    """The status follows from what the person paid, so nobody types it in."""

    list_display = ("user", "track", "status", "enrolled_at", "completed")
    list_filter = ("track", "status", "enrolled_at")
    list_select_related = ("user", "track")
    search_fields = ("user__email__istartswith",)
    inlines = (EnrollmentLogInline, StepProgressInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Enrollment]:
        found: QuerySet[Enrollment] = super().get_queryset(request)
        done = Q(progress__state=StepProgress.State.COMPLETED)
        return found.annotate(done=Count("progress", filter=done), of=Count("progress"))

    @admin.display(description="steps completed")
    def completed(self, enrollment: Any) -> str:
        return f"{enrollment.done} of {enrollment.of}"
