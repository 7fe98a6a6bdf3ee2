"""The demo shop's courses."""

from __future__ import annotations

import json
from pathlib import Path

from django.db import transaction
from django.db.models import Q

from apps.catalog.models import ProductVariant
from apps.enrollment.models import Project, Step, Track
from apps.enrollment.services.tracks import note_change

TRACKS = Path(__file__).parent / "tracks.json"


def make_tracks() -> int:
    """Make the demo's tracks that are not there yet; what staff made of the others stays. Returns how many are new."""
    new = 0
    for told in json.loads(TRACKS.read_text(encoding="utf-8")):
        if Track.objects.filter(Q(code=told["code"]) | Q(variant__sku=told["sku"])).exists():
            continue
        variant = ProductVariant.objects.get(sku=told["sku"])
        with transaction.atomic():
            track = Track.objects.create(code=told["code"], name=told["name"], variant=variant)
            for position, project in enumerate(told["projects"]):
                made = Project.objects.create(track=track, title=project["title"], position=position)
                Step.objects.bulk_create(
                    Step(project=made, title=title, position=number) for number, title in enumerate(project["steps"])
                )
            note_change(track)
        new += 1
    return new
