"""The routes of bulk verbs: `POST /<table>/bulk`, and the jobs they begin."""

from collections.abc import Mapping
from typing import Any

from django.http import Http404, QueryDict
from drf_spectacular.utils import OpenApiTypes, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from controlplane.kit import bulk, bulk_jobs, storable
from controlplane.kit.errors import InvalidInput
from controlplane.kit.ids import parse_uuid
from controlplane.kit.models import BulkJob

FIELDS = ("action", "ids", "filter", "options", "dry_run")
LONGEST_KEY = 255


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.JSONField):
    """A JSON object."""


class BulkBody(serializers.Serializer):
    """What is to be done to which rows: `ids`, or `filter` as the list's query parameters. With
    `dry_run` nothing happens and the answer counts what would."""

    action = serializers.CharField()
    ids = serializers.ListField(child=serializers.UUIDField(), required=False)
    filter = ObjectField(required=False)
    options = ObjectField(required=False)
    dry_run = serializers.BooleanField(required=False)


class RefusalSerializer(serializers.Serializer):
    """One row that was refused."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    reason = serializers.CharField()


class BulkJobSerializer(serializers.ModelSerializer):
    """A bulk verb, how far it came, and its report."""

    project = serializers.UUIDField(source="project_id", allow_null=True)
    options = ObjectField()
    selection = ObjectField()
    reasons = serializers.SerializerMethodField()
    refusals = RefusalSerializer(many=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)

    class Meta:
        model = BulkJob
        fields = (
            "id", "project", "table", "action", "options", "selection", "status", "total", "done",
            "refused", "reasons", "refusals", "error", "stop_requested", "created_at",
            "started_at", "ended_at", "url",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"reason": {"type": "string"}, "count": {"type": "integer"}},
            },
        }
    )
    def get_reasons(self, job: BulkJob) -> list[dict[str, Any]]:
        """Why rows were refused, the most frequent first."""
        found = sorted(job.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
        return [{"reason": reason, "count": count} for reason, count in found]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def read_filter(given: Any) -> bulk.Selection:
    """A filter as the list takes it: names with a value or a list of values; `project` narrows."""
    if not isinstance(given, Mapping):
        raise InvalidInput.of("filter", "filter is an object of the list's parameters.")
    query = QueryDict(mutable=True)
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        texts = ["true" if v is True else "false" if v is False else v for v in values]
        if not all(_is_plain(text) for text in texts):
            raise InvalidInput.of(f"filter.{name}", "Give a value or a list of values.")
        query.setlist(str(name), [str(text) for text in texts])
    text = query.pop("project", [""])[-1]
    project_id = parse_uuid(text) if text else None
    if text and project_id is None:
        raise InvalidInput.of("filter.project", "project must be an id.")
    if storable.problem(query.urlencode(), 10_000) is not None:
        raise InvalidInput.of("filter", "The filter is too long or holds what no text may.")
    return bulk.Selection(query=bulk.frozen(query), project_id=project_id)


def read_selection(body: Mapping[str, Any]) -> bulk.Selection:
    """`ids` or `filter`, never both."""
    if ("ids" in body) == ("filter" in body):
        raise InvalidInput.of("ids", "Give ids or filter.", "required")
    if "filter" in body:
        return read_filter(body["filter"])
    if not isinstance(body["ids"], list):
        raise InvalidInput.of("ids", "ids is a list.")
    return bulk.ids_of(body["ids"])


def read_body(data: Any) -> dict[str, Any]:
    """The body of a bulk verb; 422 for what it may not hold."""
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.", code="not_an_object")
    for name in data:
        if name not in FIELDS:
            raise InvalidInput.of(str(name), "Unknown field.", "unknown_field")
    if not isinstance(data.get("action"), str):
        raise InvalidInput.of("action", "Name the action.", "required")
    options = data.get("options", {})
    if not isinstance(options, dict):
        raise InvalidInput.of("options", "options is an object.")
    if not isinstance(data.get("dry_run", False), bool):
        raise InvalidInput.of("dry_run", "dry_run is true or false.")
    return {**data, "options": options}


class BulkView(APIView):
    """A verb on many rows of one table."""

    table = ""
    # Each row is asked about by itself, with the scopes of a key.
    any_scope = True

    @extend_schema(
        request=BulkBody, responses={200: BulkJobSerializer, 201: BulkJobSerializer,
                                     202: BulkJobSerializer}
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Done at once for few rows (201), in the background for many (202)."""
        body = read_body(request.data)
        selection = read_selection(body)
        declared = bulk.find(self.table)
        act = declared.act(body["action"])
        if body.get("dry_run"):
            bulk.checked_options(act, body["options"])
            return Response(declared.preview(act, request.user, selection).as_dict())
        key = request.headers.get("Idempotency-Key") or None
        if key is not None and storable.problem(key, LONGEST_KEY) is not None:
            raise InvalidInput.of("Idempotency-Key", f"At most {LONGEST_KEY} characters.")
        job, is_new = bulk_jobs.start(
            self.table,
            act.name,
            selection,
            body["options"],
            actor=request.user,
            project_id=selection.project_id,
            idempotency_key=key,
        )
        code = status.HTTP_201_CREATED if job.has_ended else status.HTTP_202_ACCEPTED
        return Response(BulkJobSerializer(job).data, status=code if is_new else status.HTTP_200_OK)


class BulkJobViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The bulk verbs one has started, and their reports."""

    serializer_class = BulkJobSerializer
    queryset = BulkJob.objects.none()
    ordering_fields = ("created_at",)
    any_scope = True
    lookup_value_regex = "[^/.]+"

    def get_queryset(self) -> Any:
        """One's own."""
        if getattr(self, "swagger_fake_view", False):
            return BulkJob.objects.none()
        return bulk_jobs.of_user(self.request.user)

    def project_lookup(self) -> str:
        """The ORM lookup of the project's id."""
        return "project_id"

    def get_object(self) -> BulkJob:
        """404 for another's, and for what is no id."""
        key = parse_uuid(self.kwargs["pk"])
        found = self.get_queryset().filter(pk=key).first() if key else None
        if found is None:
            raise Http404
        return found

    @extend_schema(request=None, responses={202: BulkJobSerializer, 409: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str = "") -> Response:
        """Leave the rows that were not reached yet as they are."""
        job = bulk_jobs.stop(self.get_object(), actor=request.user)
        return Response(BulkJobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
