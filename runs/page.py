"""The page of one run: head, timeline with the drawer of a step, logs, events, input and output."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from controlplane.kit.fragments import fragment_target
from controlplane.kit.ids import parse_uuid
from controlplane.kit.models import Event
from controlplane.kit.tables import Verb
from controlplane.kit.views import DetailView
from runs import reads, timeline
from runs.diffing import compare_runs, last_green
from runs.models import Effect, LogLine, Run, Step
from runs.views import run_verbs
from runs.why import sentence

STEPS_SHOWN = 2_000
EVENTS_SHOWN = 300
LINES_SHOWN = 500
LEVELS = ("debug", "info", "warning", "error")


class RunPage(DetailView):
    """One run, followed live: each part fetches itself anew when its events come."""

    model = Run
    template_name = "runs/detail.html"
    tabs = {
        "timeline": ("Timeline", "runs/_timeline.html"),
        "logs": ("Logs", "runs/_logs.html"),
        "events": ("Events", "runs/_events.html"),
        "io": ("Input and output", "runs/_io.html"),
        "changes": ("Changes", "runs/_changes.html"),
    }
    fragments: ClassVar[Mapping[str, str]] = {
        "run-head": "runs/_head_answer.html",
        "run-steps": "runs/_steps.html",
        "step-drawer": "runs/_step.html",
        "run-events": "runs/_events.html",
        "run-io": "runs/_io.html",
        "log-tail": "runs/_log_tail.html",
        "log-before": "runs/_log_before.html",
    }

    def rows(self) -> QuerySet:
        """With the names the head shows."""
        related = ("workflow", "workflow_version", "environment", "parent")
        return super().rows().select_related(*related).defer("parent__input", "parent__output")

    def get_context(self) -> dict[str, Any]:
        """Only what the page or the asked part shows."""
        context = super().get_context() | {"run": self.row, "chosen": self.request.GET.get("step")}
        target = fragment_target(self.request)
        if target in ("", "run-head"):
            context |= self.head()
        if target != "run-head":
            shown = {
                "timeline": self.timeline, "logs": self.logs, "events": self.events,
                "io": self.payloads, "changes": self.changes,
            }[self.tab]  # fmt: skip
            context |= shown()
        return context

    def get_counts(self) -> Mapping[str, int]:
        """Lines and events, as counted on the run's row."""
        return {"logs": self.row.last_log_seq, "events": self.row.last_seq}

    def get_actions(self) -> list[Verb]:
        """What can be done now; first what puts a parked run back to work."""
        verbs = run_verbs(self.row, self.may)
        parked = self.row.status == "waiting" and self.may("retry", self.row)
        if parked and self.row.steps.filter(status="parked").exists():
            url = reverse("runs:replay", args=[self.row.pk])
            verbs.append(Verb("Replay", url, icon="repeat", post=True, kind="primary"))
        return verbs

    def head(self) -> dict[str, Any]:
        """The sentence of explanation, which may need a look at open steps and workers."""
        return {"explanation": sentence(self.row)}

    def payloads(self) -> dict[str, Any]:
        """When input and output were removed by the project's rule, if they were."""
        at = self.row.pins.get("cleared")
        return {"cleared_at": datetime.fromisoformat(at) if at else None}

    def changes(self) -> dict[str, Any]:
        """What differs from another run (`?with=`), or from the last one that succeeded."""
        wanted = self.request.GET.get("with", "")
        if wanted:
            key = parse_uuid(wanted)
            related = ("workflow", "workflow_version", "environment")
            rows = super().rows().select_related(*related)
            other = rows.filter(pk=key).first() if key else None
        else:
            other = last_green(self.row)
        found = compare_runs(other, self.row) if other is not None else None
        is_same = found is not None and not any(
            found[part] for part in ("versions", "input", "steps")
        ) and not found["definition"]["changes"]  # fmt: skip
        return {"other": other, "wanted": wanted, "found": found, "is_same": is_same}

    # --- timeline

    def timeline(self) -> dict[str, Any]:
        """Rows and marks of the timeline, and the drawer of the chosen step."""
        steps = reads.steps_shown(self.row, STEPS_SHOWN)
        fields = timeline.node_fields(self.row.workflow_version.definition)
        bars = [
            timeline.Bar(
                id=s.pk, parent=s.parent_step_id, node=s.node, path=s.path, name=s.name,
                kind=timeline.kind_words(s.kind, fields.get(s.node, {})), status=s.status,
                started_at=s.started_at, ended_at=s.ended_at,
            )
            for s in steps
        ]  # fmt: skip
        chosen, opened = self.request.GET.get("step", ""), self.request.GET.get("open", "")
        rows, ticks, _ = timeline.rows(bars, timezone.now(), chosen=chosen, opened=opened)
        is_cut = len(steps) == STEPS_SHOWN
        each = reads.step_counts(self.row) if is_cut else Counter(bar.status for bar in bars)
        counted = {
            name: sum(each[word] for word in words)
            for name, words in {
                "done": {"succeeded"}, "failed": {"failed"}, "skipped": {"skipped", "cancelled"},
                "active": timeline.LIVE, "ahead": {"pending", "ready"},
            }.items()
        }  # fmt: skip
        return {
            "rows": rows, "ticks": ticks, "opened": opened,
            "counts": counted,
            "is_cut": is_cut,
            "is_running": each["running"] > 0,
        } | self.step_drawer(chosen, fields)  # fmt: skip

    def step_drawer(self, chosen: str, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Everything of one step; nothing where none is chosen."""
        key = parse_uuid(chosen) if chosen else None
        step = self.row.steps.filter(pk=key).first() if key else None
        if step is None:
            return {"step": None}
        return {
            "step": step,
            "step_kind": timeline.kind_words(step.kind, fields.get(step.node, {})),
            "step_status": "queued" if step.status == "ready" else step.status,
            "attempts": list(step.attempts.order_by("n")),
            "fork_from": self.fork_from(step),
            "doubts": list(Effect.objects.unknown().filter(step=step)),
            "calls": reads.calls_of([step]).get(step.pk, []),
        }

    def fork_from(self, step: Step) -> str:
        """The step of the graph a fork would go on from; empty where this user may not, or where
        there is nothing to go on from."""
        if step.status == "skipped" or not self.may("fork", self.row):
            return ""
        return step.path.partition("[")[0] or step.node

    # --- logs, events

    def logs(self) -> dict[str, Any]:
        """The last lines, those after a seq (the tail), or those before one."""
        query = self.request.GET
        levels = [level for level in query.getlist("level") if level in LEVELS]
        step = parse_uuid(query.get("step")) if query.get("step") else None
        found = reads.logs_of(self.row, levels=levels, step=step, search=query.get("search", ""))
        after, before = query.get("after", ""), query.get("before", "")
        if after.isdigit():
            lines = list(found.filter(seq__gt=int(after))[: LINES_SHOWN * 4])
        else:
            older = found.filter(seq__lt=int(before)) if before.isdigit() else found
            lines = list(older.order_by("-seq")[: LINES_SHOWN + 1])[::-1]
        has_earlier = not after and len(lines) > LINES_SHOWN
        lines = lines[-LINES_SHOWN:] if has_earlier else lines
        self._name_steps(lines)
        last = (
            lines[-1].seq if lines else (int(after) if after.isdigit() else self.row.last_log_seq)
        )
        return {
            "lines": lines, "last": last, "first": lines[0].seq if lines else 0,
            "has_earlier": has_earlier, "levels": LEVELS, "chosen_levels": levels,
            "search": query.get("search", ""), "kept": self._kept("level", "search", "step"),
        }  # fmt: skip

    def _name_steps(self, lines: list[LogLine]) -> None:
        keys = {line.step_id for line in lines if line.step_id}
        names = dict(Step.objects.filter(pk__in=keys).values_list("pk", "name"))
        for line in lines:
            line.step_name = names.get(line.step_id, "")

    def _kept(self, *names: str) -> str:
        query = self.request.GET.copy()
        for name in list(query):
            if name not in names:
                del query[name]
        return query.urlencode()

    def events(self) -> dict[str, Any]:
        """The newest events, the newest first."""
        rows = list(Event.objects.filter(subject_id=self.row.pk).order_by("-seq")[:EVENTS_SHOWN])
        keys = {row.step_id for row in rows if row.step_id}
        names = dict(Step.objects.filter(pk__in=keys).values_list("pk", "name"))
        for row in rows:
            row.step_name = names.get(row.step_id, "")
        return {"events": rows, "is_cut": self.row.last_seq > EVENTS_SHOWN}
