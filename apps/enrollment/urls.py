from django.urls import path

from apps.common import converters  # noqa: F401  registers <id:…>
from apps.enrollment import views

urlpatterns = [
    path("tracks/", views.TrackListView.as_view(), name="tracks"),
    path("tracks/<str:code>/checkout/", views.TrackCheckoutView.as_view(), name="track-checkout"),
    path("me/", views.CourseView.as_view(), name="course"),
    path("steps/<id:step_id>/complete/", views.CompleteStepView.as_view(), name="step-complete"),
]
