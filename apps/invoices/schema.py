"""Bodies of the calls about documents."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.invoices.models import Document


class DocumentOutput(serializers.Serializer[Any]):
    number = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Document.Kind])
    total = serializers.CharField()
    currency = serializers.CharField()
    corrects = serializers.CharField(allow_null=True, help_text="The number of the document that it corrects.")
    issued_at = serializers.DateTimeField()
