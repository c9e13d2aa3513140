"""The page of queues: what waits, who works, what was parked."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from controlplane.kit.fragments import announce_done, wants_fragment
from controlplane.kit.permissions import require
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import KitView
from runs.models import Run
from runs.queues import queues_of, replay
from runs.queues_api import parked_steps, replay_all

PARKED_SHOWN = 100


class QueuesPage(KitView):
    """All queues of the project and its parked steps; follows live."""

    model = Run

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page, or what of it changes."""
        if self.project is None:
            return render(request, "kit/no_project.html", {"title": "Queues"})
        require(request.user, "runs.view_run", self.project)
        name = "queues/_page.html" if wants_fragment(request) else "queues/page.html"
        return render(request, name, self.get_context())

    def get_context(self) -> dict[str, Any]:
        """What the page is drawn from."""
        queues = queues_of([self.project.pk])
        parked = list(parked_steps([self.project.pk])[: PARKED_SHOWN + 1])
        names = {queue.name: queue.title for queue in queues}
        for step in parked:
            step.queue_title = names.get(step.queue, step.queue)
        return {
            "queues": queues,
            "parked": parked[:PARKED_SHOWN],
            "parked_count": sum(queue.parked for queue in queues),
            "may_replay": self.may("retry", self.project),
            "depth": sum(queue.depth for queue in queues),
            "running": sum(queue.running for queue in queues),
            "rate": sum(queue.rate for queue in queues),
            "workers": sum(queue.workers for queue in queues),
            "oldest_ms": max(
                (q.oldest_ms for q in queues if q.oldest_ms is not None), default=None
            ),
            "replay_url": reverse("queues:replay"),
        }


class ReplayAll(KitView):
    """Everything that is parked in the project goes back into its queue."""

    model = Run
    http_method_names = ("post", "options")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Each run by itself; what was refused is told."""
        require(request.user, "runs.retry_run", self.project)
        steps = parked_steps([self.project.pk]).order_by().values("run_id")
        runs = Run.objects.for_list().filter(pk__in=steps).order_by("pk")
        done, refused = replay_all(runs, request.user)
        text = f"{len(done)} {'run' if len(done) == 1 else 'runs'} replayed."
        if refused:
            text += f" {len(refused)} refused: {refused[0]['detail']}"
        events = {self.event: {}}
        return announce_done(request, text, events=events, back_to=reverse("queues:list"))


class RunReplay(ActionView):
    """The parked steps of one run go back into their queues."""

    model = Run
    verb = "retry"

    def perform(self, row: Run) -> tuple[str, str | None]:
        """Their crashes are forgiven."""
        replay(row, actor=self.request.user)
        return "Replayed: its parked steps are queued again.", None
