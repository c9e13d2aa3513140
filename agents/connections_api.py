"""The routes of provider connections."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import connections
from agents.config.checks import Faults, url
from agents.connection_check import check
from agents.provider_connection import ProviderConnection
from agents.services import called_host, secret_faults
from controlplane.kit.api import KitSerializer, RelatedId, ScopedViewSet
from controlplane.kit.errors import FieldProblem, InvalidInput
from controlplane.kit.filters import ListFilterSet, ManyFilter
from projects.models import Project

SERVER = ("base_url", "secret")


class ConnectionFilter(ListFilterSet):
    """?status=&provider=&search=&period=&created_after=&created_before="""

    search_fields = ("name", "base_url", "default_model")

    status = ManyFilter(
        "status", options=ProviderConnection.Status.choices, label="Status", looks=True
    )
    provider = ManyFilter(
        "provider", options=ProviderConnection.Provider.choices, label="Provider"
    )  # fmt: skip

    class Meta:
        model = ProviderConnection
        fields: list[str] = []


class ProviderConnectionSerializer(KitSerializer):
    """A model server that agents name by id as `connection`; `base_url` null is the provider's own
    one, `secret` the name of the project's secret that holds the key."""

    immutable = ("project", "provider")

    project = RelatedId(queryset=Project.objects.all())
    provider = serializers.ChoiceField(ProviderConnection.Provider.choices)
    base_url = serializers.CharField(default=None, allow_null=True, max_length=2000)
    secret = serializers.CharField(default=None, allow_null=True, max_length=63)
    default_model = serializers.CharField(default="", allow_blank=True, max_length=120)
    enabled = serializers.BooleanField(default=True)
    status = serializers.ChoiceField(ProviderConnection.Status.choices, read_only=True)
    models = serializers.ListField(
        source="models_found", child=serializers.CharField(), read_only=True
    )
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = ProviderConnection
        fields = [
            "id",
            "project",
            "name",
            "provider",
            "base_url",
            "secret",
            "default_model",
            "enabled",
            "status",
            "detail",
            "models",
            "latency_ms",
            "checked_at",
            "created_at",
            "updated_at",
            "display",
        ]
        read_only_fields = ["id", "detail", "latency_ms", "checked_at", "created_at", "updated_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The model's rules, then address and key together: the secret must be bound to the host
        that is called. Another server has not been checked yet."""
        attrs = super().validate(attrs)
        row = self.instance
        if row is not None and not {*SERVER} & attrs.keys():
            return attrs
        told: dict[str, Any] = row.server() if row is not None else {}
        told |= {name: attrs[name] for name in (*SERVER, "provider") if name in attrs}
        faults = Faults()
        told["base_url"] = url(told["base_url"], "base_url", faults)
        found = [FieldProblem("base_url", each.code, each.message) for each in faults]
        if told["secret"] and not found:
            project = row.project if row is not None else attrs["project"]
            wrong = secret_faults(project, told["secret"], called_host(told))
            found = [FieldProblem("secret", each.code, each.message) for each in wrong]
        if not (found or told["secret"] or told["base_url"]):
            message = "Name a secret for the provider's own server, or the address of another one."
            found.append(FieldProblem("secret", "required", message))
        if found:
            raise InvalidInput(found[0].message, errors=found)
        attrs |= {name: told[name] or None for name in SERVER}
        if row is not None and any(attrs[name] != getattr(row, name) for name in SERVER):
            attrs |= {"status": "new", "detail": "", "models_found": [], "checked_at": None}
        return attrs


class ProviderConnectionViewSet(ScopedViewSet):
    """Model servers of a project that its agents share.

    An agent's configuration names one as `connection` instead of `base_url` and `secret`. Its
    versions keep provider and model; address and key are those of the connection, as of now.
    """

    model = ProviderConnection
    page = "agents:connections:list"
    serializer_class = ProviderConnectionSerializer
    filterset_class = ConnectionFilter
    ordering_fields = ("created_at", "updated_at", "name", "status", "checked_at")
    verbs: ClassVar[dict[str, str]] = {"check": "check"}
    audit_fields = ("name", "provider", "base_url", "secret", "default_model", "enabled")

    def get_queryset(self) -> Any:
        """The visible ones."""
        return super().get_queryset().select_related("project")

    def perform_create(self, serializer: Any) -> Any:
        """Known at once here."""
        row = serializer.save()
        connections.forget()
        return row

    def perform_update(self, serializer: Any) -> Any:
        """Known at once here, and within 15 s to other processes."""
        row = serializer.save()
        connections.forget()
        return row

    def used_by(self, row: ProviderConnection, *, hard: bool) -> list[str]:
        """Agents and deployments that name it."""
        return connections.used_by(row)

    @extend_schema(request=None, responses=ProviderConnectionSerializer)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str = "") -> Response:
        """Ask the server for its models: `status` and `detail` say what it answered."""
        return self.answer(check(self.get_object(), actor=request.user))
