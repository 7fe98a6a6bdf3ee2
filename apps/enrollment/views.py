"""Tracks and courses over HTTP, for signed-in people."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.api import parse, private
from apps.common.errors import SignInRequired
from apps.common.idempotency import run_once
from apps.enrollment.schema import ERRORS, CourseOutput, TrackCheckoutInput, TrackOutput
from apps.enrollment.selectors import render_course, render_track, track_on_offer, tracks_on_offer
from apps.enrollment.services.buying import check_out_track
from apps.enrollment.services.progress import complete_step
from apps.payment.views.access import buyer_of, caller_of, limit
from apps.payment.views.checkout import render_started
from apps.payment.views.schema import CheckoutOutput


class SignedInView(APIView):
    """Calls that mean a signed-in person. Raises SignInRequired for anybody else."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not request.user.is_authenticated:
            raise SignInRequired


class TrackListView(SignedInView):
    """Tracks that can be bought in the shop's currency."""

    @extend_schema(operation_id="tracks_list", responses={200: TrackOutput(many=True), **ERRORS})
    def get(self, request: Request) -> Response:
        return private([render_track(track) for track in tracks_on_offer()])


class TrackCheckoutView(SignedInView):
    """Hand back the Stripe page for one track, quantity 1; the cart is left as it is."""

    @extend_schema(
        operation_id="tracks_checkout",
        request=TrackCheckoutInput,
        responses={201: CheckoutOutput, 422: ERRORS[400], **ERRORS},
    )
    def post(self, request: Request, code: str) -> Response:
        wish: dict[str, Any] = parse(TrackCheckoutInput, request.data)
        track = track_on_offer(code)
        buyer = buyer_of(request, email=wish.get("email") or "")
        limit(request, "checkout")

        def work() -> tuple[int, str]:
            payment = check_out_track(track=track, buyer=buyer, save_method=wish["save_payment_method"])
            return status.HTTP_201_CREATED, str(payment.pk)

        return run_once(request, caller=caller_of(request), work=work, render=render_started)


class CourseView(SignedInView):
    """The caller's latest active enrollment with its projects, or the one in a named track, and all enrollments."""

    @extend_schema(
        operation_id="enrollment_me",
        parameters=[OpenApiParameter("track", str, description="A track's code; the latest active one when left out.")],
        responses={200: CourseOutput, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        return private(render_course(user=request.user, code=request.query_params.get("track", "")))


class CompleteStepView(SignedInView):
    """Note that a step is done; the last one of a project unlocks the next. Answers the course as it is then."""

    @extend_schema(operation_id="steps_complete", request=None, responses={200: CourseOutput, **ERRORS})
    def post(self, request: Request, step_id: int) -> Response:
        enrollment = complete_step(user=request.user, step_id=step_id)
        return private(render_course(user=request.user, code=enrollment.track.code))
