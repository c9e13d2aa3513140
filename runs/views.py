"""The pages of runs: list, start, cancel, retry, pause, resume. The run's own page: runs.page."""

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from controlplane.kit.dialogs import FormDialog
from controlplane.kit.fragments import announce_done
from controlplane.kit.permissions import require
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import ListView
from runs import services
from runs.filters import RunFilter
from runs.forms import CancelForm, ForkForm, RetryForm, StartForm
from runs.models import Run
from runs.start_body import read_start
from runs.why import sentences

LONGEST_BAR, SHORTEST_BAR = 70, 3
# A list says why a run does not go on, or did not; of the others the status says it all.
TOLD = ("queued", "waiting", "paused", "failed", "timed_out")


class RunList(ListView):
    """All runs of the project, the newest first, live."""

    model = Run
    title = "Runs"
    filterset_class = RunFilter
    environment_path = "environment"
    live_new = "run.queued"
    live_changed = "run."
    bulk = "runs"
    columns = (
        Column("status", "Status", kind="status", narrow="side"),
        Column("workflow.name", "Workflow", kind="lead_id", narrow="lead"),
        Column("sentence", "Why", narrow="meta cut", template="runs/_why.html"),
        Column("trigger", "Trigger"),
        Column("environment.name", "Environment"),
        Column("created_at", "Started", kind="ago", sort="created_at"),
        Column("duration_ms", "Duration", kind="duration"),
        Column("cost", "Cost", kind="cost", sort="cost"),
        Column("started_by_name", "By", narrow="wide-only"),
    )
    exported = (
        "id", "status", "reason", "workflow.name", "workflow_version.number", "environment.name",
        "trigger", "tags", "priority", "started_by_name", "created_at", "started_at", "ended_at",
        "duration_ms", "input_tokens", "output_tokens", "cost", "currency", "unpriced_calls",
    )  # fmt: skip
    empty = {
        "title": "No runs yet",
        "text": "A run is one execution of a workflow. Start one, or let a schedule do it.",
        "icon": "player-play",
    }

    def get_queryset(self) -> QuerySet:
        """Without payloads."""
        return Run.objects.visible_to(self.request.user).for_rows()

    def prepare(self, rows: list[Run]) -> list[Run]:
        """Why each stands where it stands; its bar by the root of its share, so that short ones can
        still be seen."""
        told = sentences(rows)
        longest = max((row.duration_ms or 0 for row in rows), default=0)
        for row in rows:
            share = math.sqrt((row.duration_ms or 0) / longest) if longest else 0
            row.sentence = told[row.pk] if row.status in TOLD else ""
            row.duration_share = max(SHORTEST_BAR, round(LONGEST_BAR * share))
        return rows

    def get_summary(self) -> str:
        """What goes on now, and what went wrong lately."""
        runs = Run.objects.filter(project=self.project)
        now = dict(
            runs.filter(status__in=("queued", "running", "waiting", "paused"))
            .order_by()
            .values_list("status")
            .annotate(Count("pk"))
        )
        hour_ago = timezone.now() - timedelta(hours=1)
        failed = runs.filter(status__in=("failed", "timed_out"), created_at__gte=hour_ago).count()
        words = [f"{now[s]} {s}" for s in ("running", "queued", "waiting", "paused") if s in now]
        words = words or ["nothing running"]
        return " · ".join([*words, f"{failed} failed in the last hour"] if failed else words)

    def get_actions(self) -> list[Verb]:
        """Starting a run."""
        if not self.may("add", self.project):
            return []
        return [Verb("Start a run", reverse("runs:start"), dialog=True, kind="primary")]

    def get_menu(self, row: Run) -> Sequence[Verb]:
        """Stopping or repeating."""
        return run_verbs(row, self.may)


def run_verbs(run: Run, may: Any) -> list[Verb]:
    """What can be done to a run now, by this user; the most likely one last."""
    verbs = []
    if may("fork", run):
        url = reverse("runs:fork", args=[run.pk])
        verbs.append(Verb("Fork", url, icon="git-branch", dialog=True))
    if run.is_terminal:
        if may("retry", run):
            url = reverse("runs:retry", args=[run.pk])
            verbs.append(Verb("Retry", url, icon="rotate-clockwise", dialog=True))
        return verbs
    if run.status == "paused" and may("resume", run):
        url = reverse("runs:resume", args=[run.pk])
        verbs.append(Verb("Resume", url, icon="player-play", post=True))
    elif run.status in ("queued", "running", "waiting") and may("pause", run):
        url = reverse("runs:pause", args=[run.pk])
        verbs.append(Verb("Pause", url, icon="player-pause", post=True))
    if run.status != "cancelling" and may("cancel", run):
        url = reverse("runs:cancel", args=[run.pk])
        verbs.append(Verb("Cancel", url, icon="ban", dialog=True, danger=True, kind="danger"))
    return verbs


class RunStart(FormDialog):
    """Starting a run by hand."""

    model = Run
    verb = "add"
    form_class = StartForm
    title = "Start a run"
    submit = "Start"

    def get_initial(self) -> dict[str, Any]:
        """The environment of the top bar, and what the address says."""
        environment = self.request.place.environment
        given = {"environment": environment.name} if environment else {}
        return given | super().get_initial()

    def save(self, form: StartForm) -> Run:
        """By the same body and the same service as POST /runs."""
        key = f"page-{form.cleaned_data['once']}"
        start = read_start(form.body(), self.request.user, key=key, seen={})
        require(self.request.user, "runs.add_run", start.workflow)
        run, _ = services.start(start, actor=self.request.user)
        return run

    def done(self, row: Run) -> HttpResponse:
        """To the new run."""
        url = row.get_absolute_url()
        return announce_done(self.request, f"Run {row} started.", go_to=url)


class RunDialog(FormDialog):
    """A verb on a run that asks something first."""

    model = Run

    def done(self, row: Run) -> HttpResponse:
        """The page follows by itself."""
        events = {self.event: {"id": str(row.pk)}}
        back = row.get_absolute_url()
        return announce_done(self.request, self.said(row), events=events, back_to=back)

    def said(self, row: Run) -> str:
        """What was done, in words."""
        raise NotImplementedError


class RunCancel(RunDialog):
    """Stopping a run."""

    verb = "cancel"
    form_class = CancelForm
    submit = "Cancel the run"

    def get_title(self) -> str:
        """Names the run."""
        return f"Cancel {self.row}?"

    def save(self, form: CancelForm) -> Run:
        """Nothing new starts from now."""
        return services.cancel(
            self.row, actor=self.request.user, reason=form.cleaned_data["reason"]
        )

    def said(self, row: Run) -> str:
        """It may take a moment."""
        return "The run is being stopped." if not row.is_terminal else "The run was cancelled."


class GoOnDialog(RunDialog):
    """A new run that hangs on this one; subclasses name the verb, its service and what is said."""

    perform: ClassVar[Callable[..., tuple[Run, bool]]]
    told: ClassVar[str]

    def get_title(self) -> str:
        """Names the run."""
        return f"{self.submit} {self.row}"

    def save(self, form: RetryForm | ForkForm) -> Run:
        """By the same service as the API."""
        return type(self).perform(self.row, actor=self.request.user, **form.arguments())[0]

    def done(self, row: Run) -> HttpResponse:
        """To the new run."""
        return announce_done(self.request, self.told, go_to=row.get_absolute_url())


class RunRetry(GoOnDialog):
    """Doing an ended run again."""

    verb = "retry"
    form_class = RetryForm
    submit = "Retry"
    perform = staticmethod(services.retry)
    told = "A new run goes on from there."


class RunFork(GoOnDialog):
    """Another run from one of its steps."""

    verb = "fork"
    form_class = ForkForm
    submit = "Fork"
    perform = staticmethod(services.fork)
    told = "A fork of the run goes on from there."


class RunPause(ActionView):
    """Starting nothing new."""

    model = Run
    verb = "pause"

    def perform(self, row: Run) -> tuple[str, str | None]:
        """Running steps finish."""
        services.pause(row, actor=self.request.user)
        return "Paused; running steps finish.", None


class RunResume(ActionView):
    """Going on."""

    model = Run
    verb = "resume"

    def perform(self, row: Run) -> tuple[str, str | None]:
        """What was ready, starts."""
        services.resume(row, actor=self.request.user)
        return "Resumed.", None
