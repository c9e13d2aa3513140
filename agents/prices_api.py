"""The prices that model calls are counted by: an operator's beat imported ones, those beat the
bundled table; each holds from a date on."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import price_rules, pricing
from agents.models import ModelPrice
from agents.price_source import in_force
from controlplane.kit.api import KitSerializer, RelatedId, ScopedViewSet
from controlplane.kit.errors import InvalidInput
from controlplane.kit.filter_options import words
from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.ids import parse_uuid
from projects.models import Project

_MONEY = {"max_digits": 20, "decimal_places": 12, "min_value": 0}


class HoldsFilter(ManyFilter):
    """Prices in force now, those that no longer are, and those to come."""

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        """By the state at this moment."""
        return price_rules.with_state(qs).filter(state__in=value) if value else qs


class PriceFilter(ListFilterSet):
    """?provider=&model=&source=&holds=&search=&period=&created_after=&created_before="""

    search_fields = ("provider", "model")

    provider = ManyFilter(
        "provider",
        options=words(ModelPrice, "provider", order="-created_at"),
        label="Provider",
        of="text",
    )
    model = ManyFilter(
        "model", options=words(ModelPrice, "model", order="-created_at"), label="Model", of="text"
    )
    holds = HoldsFilter("state", options=price_rules.STATES, label="Holds", looks=True)
    source = ManyFilter("source", options=ModelPrice.Source.choices, label="Source")

    class Meta:
        model = ModelPrice
        fields: list[str] = []


class PriceSerializer(KitSerializer):
    """A dated price per million tokens; without `effective_until` it holds until the next one of
    the same model begins. `model` may end in `*`; a class left out costs what the class it is part
    of costs."""

    project = RelatedId(queryset=Project.objects.all())
    effective_from = serializers.DateTimeField(default=timezone.now)
    effective_until = serializers.DateTimeField(default=None, allow_null=True)
    input_per_million = serializers.DecimalField(**_MONEY)
    output_per_million = serializers.DecimalField(**_MONEY)
    cache_read_per_million = serializers.DecimalField(**_MONEY, allow_null=True, default=None)
    cache_write_per_million = serializers.DecimalField(**_MONEY, allow_null=True, default=None)
    reasoning_per_million = serializers.DecimalField(**_MONEY, allow_null=True, default=None)
    currency = serializers.RegexField(r"^[A-Z]{3}\Z", default="USD")
    source = serializers.ChoiceField(ModelPrice.Source.choices, default=ModelPrice.Source.OPERATOR)

    class Meta:
        model = ModelPrice
        fields = [
            "id",
            "project",
            "provider",
            "model",
            "effective_from",
            "effective_until",
            "input_per_million",
            "output_per_million",
            "cache_read_per_million",
            "cache_write_per_million",
            "reasoning_per_million",
            "currency",
            "source",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["id", "created_at", "updated_at"]


class InForceSerializer(serializers.Serializer):
    """The price a call would be counted by now; `status` unpriced where nobody knows one."""

    provider = serializers.CharField(allow_blank=True)
    model = serializers.CharField()
    status = serializers.ChoiceField(["priced", "free", "unpriced"])
    source = serializers.CharField()
    currency = serializers.CharField()
    input_per_million = serializers.CharField(allow_null=True)
    output_per_million = serializers.CharField(allow_null=True)


class PriceViewSet(ScopedViewSet):
    """Own prices of a project."""

    model = ModelPrice
    page = "agents:prices:list"
    serializer_class = PriceSerializer
    filterset_class = PriceFilter
    ordering_fields = ("provider", "model", "effective_from", "created_at", "updated_at")
    audit_fields: ClassVar[tuple[str, ...]] = (
        "provider", "model", "source", "effective_from", "effective_until", "input_per_million",
        "output_per_million", "currency",
    )  # fmt: skip

    def delete_for_good(self, row: ModelPrice) -> None:
        """Calls are counted without it at once."""
        super().delete_for_good(row)
        pricing.forget()

    def perform_create(self, serializer: Any) -> Any:
        """Calls are counted by it at once."""
        row = serializer.save()
        price_rules.check_dates(row)
        pricing.forget()
        return row

    def perform_update(self, serializer: Any) -> Any:
        """Calls are counted by it at once."""
        row = serializer.save()
        price_rules.check_dates(row)
        pricing.forget()
        return row

    @extend_schema(
        parameters=[
            OpenApiParameter("project", str, required=True),
            OpenApiParameter("provider", str, required=True),
            OpenApiParameter("model", str, required=True),
            OpenApiParameter("base_url", str),
        ],
        responses=InForceSerializer,
        filters=False,
    )
    @action(detail=False, methods=["get"], url_path="in-force")
    def in_force(self, request: Request) -> Response:
        """What a model costs now, and who says so."""
        asked = request.query_params
        key = parse_uuid(asked.get("project", ""))
        project = Project.objects.visible_to(request.user).filter(pk=key).first() if key else None
        if project is None:
            raise InvalidInput.of("project", "There is no such project.", "does_not_exist")
        provider, name = asked.get("provider", ""), asked.get("model", "")
        for field, value in (("provider", provider), ("model", name)):
            if not value or len(value) > 200:
                raise InvalidInput.of(field, "This field is required.", "required")
        return Response(in_force(project.pk, provider, name, asked.get("base_url") or None))
