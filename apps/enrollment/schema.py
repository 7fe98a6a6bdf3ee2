"""Bodies of the calls about tracks and courses."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.common.schema import errors
from apps.enrollment.models import Enrollment, StepProgress

ERRORS: dict[int, Any] = errors(400, 401, 403, 404, 409, 413, 415, 429, 503)


class TrackOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    name = serializers.CharField()
    price = serializers.CharField()
    currency = serializers.CharField()
    variant_id = serializers.IntegerField()


class TrackCheckoutInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254, required=False, allow_null=True, allow_blank=True)
    save_payment_method = serializers.BooleanField(required=False, default=False)


class StepOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    state = serializers.ChoiceField(StepProgress.State.choices)


class ProjectOutput(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    title = serializers.CharField()
    unlocked = serializers.BooleanField()
    steps = StepOutput(many=True)


class EnrollmentOutput(serializers.Serializer[Any]):
    track = serializers.CharField()
    track_name = serializers.CharField()
    status = serializers.ChoiceField(Enrollment.Status.choices)
    enrolled_at = serializers.DateTimeField(allow_null=True)


class CourseOutput(serializers.Serializer[Any]):
    status = serializers.ChoiceField(Enrollment.Status.choices)
    track = serializers.CharField(allow_null=True)
    track_name = serializers.CharField(allow_null=True)
    enrolled_at = serializers.DateTimeField(allow_null=True)
    projects = ProjectOutput(many=True)
    enrollments = EnrollmentOutput(many=True)
