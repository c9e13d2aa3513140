"""The route of the audit log: read and filter, nothing else."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from governance.audit_filters import AuditFilter
from governance.models import AuditEntry

LARGEST_ID = 2**63 - 1


class AuditEntrySerializer(serializers.ModelSerializer):
    """Who did what to what, before and after."""

    id = serializers.CharField(read_only=True)
    actor = serializers.SerializerMethodField()
    target = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields = [
            "id",
            "project",
            "at",
            "actor",
            "action",
            "target",
            "before",
            "after",
            "request_id",
        ]
        read_only_fields = fields

    @extend_schema_field({"type": "object"})
    def get_actor(self, entry: AuditEntry) -> dict[str, Any]:
        """{type, id, name}"""
        return {"type": entry.actor_type, "id": entry.actor_id, "name": entry.actor_name}

    @extend_schema_field({"type": "object"})
    def get_target(self, entry: AuditEntry) -> dict[str, Any]:
        """{type, id, name}"""
        return {"type": entry.target_type, "id": entry.target_id, "name": entry.target_name}


class AuditEntryViewSet(ScopedViewSet):
    """The audit log of the caller's projects, newest first."""

    model = AuditEntry
    page = "audit:list"
    serializer_class = AuditEntrySerializer
    filterset_class = AuditFilter
    http_method_names = ("get", "head", "options")
    ordering_fields = ("id", "at", "action")

    def get_object(self) -> AuditEntry:
        """By the number of the entry."""
        text = self.kwargs["pk"]
        entry = None
        if text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST_ID:
            entry = self.get_queryset().filter(pk=int(text)).first()
        if entry is None:
            raise Http404
        self.check_object_permissions(self.request, entry)
        return entry

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One entry."""
        return Response(self.get_serializer(self.get_object()).data)
