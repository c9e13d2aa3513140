"""The routes of runs."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit import storable
from controlplane.kit.api import ScopedViewSet
from controlplane.kit.errors import DomainError, InvalidInput, as_domain_error, problem
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import require
from runs import messages, queues, reads, services, why
from runs.diffing import compare_runs, last_green
from runs.filters import RunFilter
from runs.logs import LEVELS
from runs.models import Run
from runs.serializers import (
    CancelSerializer,
    ForkSerializer,
    RetrySerializer,
    RunRowSerializer,
    RunSerializer,
    StartSerializer,
    StepSerializer,
)
from runs.start_body import Seen, checked_key, read_start
from runs.starting import StartRequest

LOG_LINES_A_PAGE = 500
LONGEST_SEARCH_BYTES = 1_000
RUNS_A_BATCH = 1_000
_VISIBLE = {n: f"\\x{n:02x}" for n in (*range(9), *range(11, 32), *range(127, 160))}
_VISIBLE |= {ord("\n"): "\\n", ord("\r"): "\\r"}


def whole(text: str | None, field: str) -> int:
    """A number of the query string from 0; 422 for anything else."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidInput.of(field, f"{field} must be a whole number.")
    return int(text)


class RunViewSet(ScopedViewSet):
    """Start runs, look at them, steer them."""

    model = Run
    page = "runs:list"
    http_method_names = ("get", "post", "head", "options")
    serializer_class = RunSerializer
    filterset_class = RunFilter
    ordering_fields = ("created_at", "started_at", "ended_at", "priority", "status", "cost")
    verbs = {
        "cancel": "cancel",
        "retry": "retry",
        "fork": "fork",
        "replay": "retry",
        "pause": "pause",
        "resume": "resume",
        "signal": "signal",
        "answer_step": "answer",
        "batch": "add",
    }

    def get_queryset(self) -> Any:
        """The visible runs; rows of a list come without payloads."""
        queryset = super().get_queryset()
        if self.action == "list":
            return queryset.for_rows()
        return queryset.select_related("workflow", "workflow_version", "environment")

    def get_serializer_class(self) -> Any:
        """Rows leave payloads out."""
        return RunRowSerializer if self.action == "list" else RunSerializer

    def whole_answer(self, run: Run, code: int = status.HTTP_200_OK) -> Response:
        """A run in full, with the facts its explanation needs."""
        context = self.get_serializer_context()
        # A start is answered as fast as can be; everybody knows why it does not run yet.
        if not run.is_terminal and self.action != "create":
            context["sentences"] = {run.pk: why.sentence(run)}
        return Response(RunSerializer(run, context=context).data, status=code)

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page of runs is explained as one."""
        page = super().paginate_queryset(queryset)
        self.sentences = why.sentences(page) if self.action == "list" and page else {}
        return page

    def get_serializer_context(self) -> dict[str, Any]:
        """With the sentences of the page."""
        return super().get_serializer_context() | {"sentences": getattr(self, "sentences", {})}

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One run."""
        run = self.get_object()
        if run.is_terminal:
            return self.answer(run)
        return self.whole_answer(run)

    @extend_schema(request=StartSerializer, responses={201: RunSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Start a run."""
        start = self._checked(request.data, {}, request.headers.get("Idempotency-Key"))
        run, is_new = services.start(start, actor=request.user)
        return self.whole_answer(run, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    def _checked(self, body: Any, seen: Seen, key: str | None = None) -> StartRequest:
        start = read_start(body, self.request.user, key=key, seen=seen)
        require(self.request.user, "runs.add_run", start.workflow)
        return start

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: OpenApiTypes.OBJECT})
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Start up to 1,000 runs in one commit; each answer is {run} or {problem}, in order."""
        bodies = request.data.get("runs") if isinstance(request.data, dict) else None
        if not isinstance(bodies, list) or not 0 < len(bodies) <= RUNS_A_BATCH:
            raise InvalidInput.of("runs", f"Give a list of 1 to {RUNS_A_BATCH} runs.")
        requests: list[StartRequest | DomainError] = []
        seen: Seen = {}
        for body in bodies:
            requests.append(self._checked_or_refused(body, seen))
        answers = services.start_batch(requests, actor=request.user)
        results = [
            {
                "problem": problem(
                    a.status, a.message, a.code, errors=a.errors, request_id=request.request_id
                )
            }
            if isinstance(a, DomainError)
            else {"run": RunSerializer(a, context=self.get_serializer_context()).data}
            for a in answers
        ]
        return Response({"results": results}, status=status.HTTP_201_CREATED)

    def _checked_or_refused(self, body: Any, seen: Seen) -> StartRequest | DomainError:
        try:
            return self._checked(body, seen)
        except Exception as exc:
            error = as_domain_error(exc)
            if error is None:
                raise
            return error

    @extend_schema(request=CancelSerializer, responses={202: RunSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str = "") -> Response:
        """Stop a run."""
        run = self.get_object()
        body = CancelSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        run = services.cancel(run, actor=request.user, **body.validated_data)
        return self.whole_answer(run, status.HTTP_202_ACCEPTED)

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str = "") -> Response:
        """A new run from the failed step, a node or the start."""
        return self._go_on(RetrySerializer, services.retry)

    @extend_schema(request=ForkSerializer, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    def fork(self, request: Request, pk: str = "") -> Response:
        """Another run from a step of this one; what lies before it is copied."""
        return self._go_on(ForkSerializer, services.fork)

    def _go_on(self, body_class: Any, perform: Callable[..., tuple[Run, bool]]) -> Response:
        run = self.get_object()
        body = body_class(data=self.request.data)
        body.is_valid(raise_exception=True)
        key = checked_key(self.request.headers.get("Idempotency-Key"))
        new, is_new = perform(
            run, actor=self.request.user, idempotency_key=key, **body.validated_data
        )
        return self.whole_answer(new, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    @extend_schema(request=None, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str = "") -> Response:
        """Put its parked steps back into their queues."""
        return self.whole_answer(queues.replay(self.get_object(), actor=request.user))

    @extend_schema(request=None, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str = "") -> Response:
        """Start nothing new."""
        return self.whole_answer(services.pause(self.get_object(), actor=request.user))

    @extend_schema(request=None, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str = "") -> Response:
        """Go on after a pause."""
        return self.whole_answer(services.resume(self.get_object(), actor=request.user))

    @extend_schema(request=OpenApiTypes.ANY, responses={202: RunSerializer})
    @action(detail=True, methods=["post"], url_path=r"signals/(?P<name>[^/]+)", url_name="signal")
    def signal(self, request: Request, pk: str = "", name: str = "") -> Response:
        """Send a message to the run; any JSON."""
        run = self.get_object()
        messages.signal(run, name, request.data, actor=request.user)
        return self.whole_answer(self.get_queryset().get(pk=run.pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=OpenApiTypes.ANY, responses={200: RunSerializer})
    @action(
        detail=True, methods=["post"], url_path=r"steps/(?P<step>[^/]+)/answer", url_name="answer"
    )
    def answer_step(self, request: Request, pk: str = "", step: str = "") -> Response:
        """Answer a form."""
        run = self.get_object()
        row = run.steps.filter(pk=step).first() if parse_uuid(step) else None
        if row is None:
            raise Http404
        messages.answer(run, row, request.data, actor=request.user)
        return self.whole_answer(self.get_queryset().get(pk=run.pk))

    @extend_schema(
        parameters=[
            OpenApiParameter("with", UUID, description="Another run; the last that succeeded.")
        ],
        responses={200: OpenApiTypes.OBJECT},
    )
    @action(detail=True, methods=["get"], filter_backends=[])
    def diff(self, request: Request, pk: str = "") -> Response:
        """What differs between this run and another, or the last one before it that succeeded."""
        run = self.get_object()
        other = self._other(run)
        found = compare_runs(other, run) if other is not None else {}
        return Response({"run": run.pk, "with": other and other.pk, **found})

    def _other(self, run: Run) -> Run | None:
        wanted = self.request.query_params.get("with")
        if not wanted:
            return last_green(run)
        key = parse_uuid(wanted)
        other = self.get_queryset().filter(pk=key).first() if key else None
        if other is None:
            raise InvalidInput.of("with", "There is no such run.", "does_not_exist")
        return other

    @extend_schema(responses={200: StepSerializer(many=True)})
    @action(detail=True, methods=["get"], filter_backends=[])
    def steps(self, request: Request, pk: str = "") -> Response:
        """The steps with their attempts and calls."""
        run = self.get_object()
        rows = reads.steps_in_order(run).prefetch_related("attempts")
        page = self.paginate_queryset(rows) or []
        context = {**self.get_serializer_context(), "calls": reads.calls_of(page)}
        return self.get_paginated_response(StepSerializer(page, many=True, context=context).data)

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["get"], filter_backends=[])
    def events(self, request: Request, pk: str = "") -> Response:
        """The run's history after a seq."""
        run = self.get_object()
        after = whole(request.query_params.get("after"), "after")
        return Response({"results": reads.events_of(run, after)})

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["get"], filter_backends=[])
    def logs(self, request: Request, pk: str = "") -> Any:
        """Log lines after a seq, narrowed; ?format=text streams them all."""
        run = self.get_object()
        query = request.query_params
        levels = query.getlist("level")
        if bad := [level for level in levels if level not in LEVELS]:
            raise InvalidInput.of("level", f"There is no level {bad[0]}.")
        step = query.get("step")
        if step and parse_uuid(step) is None:
            raise InvalidInput.of("step", "step must be an id.")
        search = query.get("search", "")
        if storable.problem(search, LONGEST_SEARCH_BYTES) is not None:
            raise InvalidInput.of("search", "This text can be in no log line.")
        rows = reads.logs_of(
            run,
            after=whole(query.get("after"), "after"),
            levels=levels,
            step=parse_uuid(step) if step else None,
            search=search,
        )
        if query.get("format") == "text":
            return StreamingHttpResponse(_as_text(rows), content_type="text/plain; charset=utf-8")
        page = list(rows[:LOG_LINES_A_PAGE])
        results = [
            {
                "seq": r.seq,
                "at": r.at,
                "level": r.level,
                "step": r.step_id,
                "message": r.message,
                "data": r.data,
            }
            for r in page
        ]
        return Response({"results": results, "next_after": page[-1].seq if page else None})


def _as_text(rows: Any) -> Iterator[bytes]:
    """A line each, read in pages while they are sent; control characters are written out, for the
    text may end up in a terminal."""
    for row in rows.iterator(chunk_size=2_000):
        message = row.message.translate(_VISIBLE)
        yield f"{row.at:%Y-%m-%dT%H:%M:%S.%f}Z {row.level.upper():7} {message}\n".encode()
