"""The routes of secrets and API keys."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from controlplane.kit.errors import InvalidInput
from projects import keys, vault
from projects.filters import ApiKeyFilter, SecretFilter
from projects.models import ApiKey, Secret
from projects.roles import allows
from projects.serializers import ApiKeySerializer, RotateSecret, SecretSerializer


class SecretViewSet(ScopedViewSet):
    """Secrets; values go in, never out."""

    model = Secret
    serializer_class = SecretSerializer
    filterset_class = SecretFilter
    ordering_fields = ("created_at", "updated_at", "name", "rotated_at", "last_used_at")
    audit_fields = ("name", "allowed_hosts")
    verbs = {"rotate": "change"}

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Store a secret."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        attrs = serializer.validated_data
        self.require_create(attrs)
        if "value" not in attrs:
            raise InvalidInput.of("value", "This field is required.", "required")
        secret = self.guarded(lambda: vault.store(**attrs, actor=request.user))
        return self.answer(secret, status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change the hosts, or the value where one is given; a left-out value stays."""
        partial = kwargs.get("partial", False)
        found = self.get_object()
        with transaction.atomic():
            secret = Secret.objects.select_for_update().get(pk=found.pk)
            self.check_match(secret)
            serializer = self.get_serializer(secret, data=request.data, partial=partial)
            serializer.is_valid(raise_exception=True)
            attrs = serializer.validated_data
            secret = vault.change(
                secret,
                value=attrs.get("value"),
                allowed_hosts=attrs.get("allowed_hosts"),
                actor=request.user,
            )
        return self.answer(secret)

    @extend_schema(request=RotateSecret, responses=SecretSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str = "") -> Response:
        """Replace the value."""
        secret = self.get_object()
        body = RotateSecret.read(request)
        secret = vault.change(secret, value=body["value"], allowed_hosts=None, actor=request.user)
        return self.answer(secret)


class ApiKeyViewSet(ScopedViewSet):
    """API keys of projects, for who may manage them."""

    model = ApiKey
    serializer_class = ApiKeySerializer
    filterset_class = ApiKeyFilter
    ordering_fields = ("created_at", "updated_at", "name", "expires_at", "last_used_at")
    audit_fields = ("name", "scopes", "expires_at")
    verbs = {"revoke": "change"}

    def get_queryset(self) -> QuerySet:
        """Keys of the projects where the role lets the caller see them."""
        if getattr(self, "swagger_fake_view", False):
            return ApiKey.objects.none()
        roles = self.request.user.project_roles()
        seen = [pk for pk, role in roles.items() if allows(role, "projects.view_apikey")]
        return ApiKey.objects.filter(project_id__in=seen).select_related("user")

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a key for oneself or for a service account; the answer shows it, once."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        attrs = serializer.validated_data
        self.require_create(attrs)
        key, text = keys.create(actor=request.user, **attrs)
        answer = self.answer(key, status.HTTP_201_CREATED)
        answer.data["key"] = text
        return answer

    @extend_schema(request=None, responses=ApiKeySerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str = "") -> Response:
        """End a key at once; it stays listed."""
        return self.answer(keys.revoke(self.get_object(), actor=request.user))
