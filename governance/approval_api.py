"""The routes of approvals: look, approve, reject, statistics."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from controlplane.kit.errors import InvalidInput
from controlplane.kit.periods import moment
from governance import approvals
from governance.approval_figures import statistics
from governance.approval_filters import ApprovalFilter
from governance.approval_serializers import (
    ApprovalRowSerializer,
    ApprovalSerializer,
    ApproveBody,
    RejectBody,
    StatsSerializer,
)
from governance.models import Approval
from tools.usage import LONGEST

PERIOD = timedelta(days=30)


class ApprovalViewSet(ScopedViewSet):
    """What people are asked, and what they answered."""

    model = Approval
    page = "approvals:history"
    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilter
    http_method_names = ("get", "post", "head", "options")
    ordering_fields = ("created_at", "due_at", "decided_at", "updated_at", "status", "title")
    verbs = {"approve": "decide", "reject": "decide", "stats": "view"}

    def get_queryset(self) -> Any:
        """The visible approvals with those who decided."""
        return super().get_queryset().with_people()

    def get_serializer_class(self) -> Any:
        """Rows leave the packet out."""
        return ApprovalRowSerializer if self.action == "list" else ApprovalSerializer

    @extend_schema(exclude=True)
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Only the engine asks."""
        raise MethodNotAllowed("POST")

    @extend_schema(request=ApproveBody, responses={200: ApprovalSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str = "") -> Response:
        """Say yes; below the quorum it stays pending."""
        row = self.get_object()
        return self._decide(row, ApproveBody.read(request))

    @extend_schema(request=RejectBody, responses={200: ApprovalSerializer})
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str = "") -> Response:
        """Say no, and why."""
        row = self.get_object()
        return self._decide(row, RejectBody.read(request))

    def _decide(self, row: Approval, body: dict[str, Any]) -> Response:
        approvals.decide(row, actor=self.request.user, action=self.action, **body)
        return self.answer(self.get_queryset().get(pk=row.pk))

    @extend_schema(
        parameters=[OpenApiParameter("from", str), OpenApiParameter("to", str)],
        responses=StatsSerializer,
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def stats(self, request: Request) -> Response:
        """What waits, and what was decided in a period (30 days unless said): how fast, by whom."""
        until = moment(request.query_params.get("to"), "to") or timezone.now()
        since = moment(request.query_params.get("from"), "from") or until - PERIOD
        if not timedelta(0) <= until - since <= LONGEST:
            raise InvalidInput.of("from", "from lies before to, by at most 366 days.")
        rows = self.filter_queryset(Approval.objects.visible_to(request.user))
        return Response(statistics(rows, since, until))
