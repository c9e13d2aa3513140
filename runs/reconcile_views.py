"""The pages of calls in doubt: the inbox, one call, and saying what became of it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from controlplane.kit.dialogs import FormDialog
from controlplane.kit.errors import DomainError, InvalidTransition
from controlplane.kit.fragments import announce_done, wants_fragment
from controlplane.kit.permissions import require
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import KitView, ListView
from runs.models import Effect
from runs.reconcile import is_undone_by_tool, resolve
from runs.reconcile_filters import ReconcileFilter
from runs.reconcile_forms import CompensateForm, DoneForm, RedoForm, WordForm

BADGE_MOST = 100
WIDE = ("run__input", "run__output", "step__input", "step__output", "step__state")
NAMES = ("run__workflow", "run__environment", "step")
# What brings calls in doubt, and what takes them away.
LIVE = "run.waiting,run.resumed,run.cancelled,run.failed,run.timed_out"


def doubted_count(project_id: Any, most: int = BADGE_MOST) -> int:
    """How many calls of a project are in doubt, counted up to `most`."""
    rows = Effect.objects.unknown().filter(run__project_id=project_id).order_by()
    return rows.values("pk")[:most].count()


def words_for(effect: Effect, may: Any) -> list[Verb]:
    """What can be said of a call now, by this user; the most likely one last."""
    if not effect.is_open or not may("reconcile", effect):
        return []
    verbs = [
        Verb("Undo it", _url("compensate", effect), icon="arrow-back-up", dialog=True),
        Verb("It happened", _url("done", effect), icon="check", dialog=True, kind="primary"),
    ]
    if effect.step.status == "waiting":
        verbs.insert(1, Verb("Make it again", _url("redo", effect), icon="repeat", dialog=True))
    return verbs


def _url(name: str, effect: Effect) -> str:
    return reverse(f"reconciliations:{name}", args=[effect.pk])


class ReconcileList(ListView):
    """Calls in doubt, the open ones first, and what was said of others."""

    model = Effect
    title = "Reconcile"
    filterset_class = ReconcileFilter
    environment_path = "run__environment"
    ordering = "-state"
    live_whole = LIVE
    columns = (
        Column("shown", "Status", kind="status", narrow="side"),
        Column("tool_name", "Call", kind="lead_id", sort="tool_name", narrow="lead"),
        Column("run.workflow.name", "Workflow"),
        Column("step.name", "Step"),
        Column("run.environment.name", "Environment", narrow="wide-only"),
        Column("created_at", "Called", kind="ago", sort="created_at"),
        Column("said", "Said", narrow="wide-only"),
    )
    empty: ClassVar = {
        "title": "No call is in doubt",
        "text": "A call that was cut off and must not simply be repeated waits here for somebody "
        "who knows whether it happened.",
        "icon": "git-merge",
    }

    def get_queryset(self) -> QuerySet:
        """What people are asked or have answered, without payloads."""
        rows = super().get_queryset().for_people().select_related(*NAMES)
        return rows.defer(*WIDE, "arguments", "result", "run__pins")

    def prepare(self, rows: list[Effect]) -> list[Effect]:
        """Each with its state in the house's words, and who said what."""
        for row in rows:
            row.shown = "waiting" if row.is_open else "resolved"
            who = (row.resolved_by or {}).get("name", "")
            row.said = f"{row.get_resolution_display()} · {who}" if row.resolution else None
        return rows

    def get_summary(self) -> str:
        """What it is about."""
        count = doubted_count(self.project.pk)
        if not count:
            return "No call is in doubt."
        shown = f"{BADGE_MOST}+" if count >= BADGE_MOST else str(count)
        few = "1 call" if count == 1 else f"{shown} calls"
        return f"{few} may or may not have happened; the runs wait for a person's word."

    def get_menu(self, row: Effect) -> Sequence[Verb]:
        """What can be said."""
        return words_for(row, self.may)


class ReconcileBadge(KitView):
    """How many are open, for the rail; fetches itself anew."""

    model = Effect

    def get(self, request: HttpRequest) -> HttpResponse:
        """The count alone."""
        count = doubted_count(self.project.pk) if self.project else 0
        return render(request, "reconciliations/_badge.html", {"count": count})


class ReconcilePage(KitView):
    """One call: what was called, with what, how it was cut off, and what was said."""

    model = Effect

    def rows(self) -> QuerySet:
        """With the names."""
        return super().rows().for_people().select_related(*NAMES).defer(*WIDE)

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The page, or what of it changes."""
        row = self.get_row()
        context = {
            "effect": row,
            "shown": "waiting" if row.is_open else "resolved",
            "actions": words_for(row, self.may),
            "attempts": list(row.step.attempts.order_by("n")),
            "undoings": list(Effect.objects.filter(step=row.step, undoes=row.pk)),
        }
        name = "_page.html" if wants_fragment(request) else "page.html"
        return render(request, f"reconciliations/{name}", context)


class WordDialog(FormDialog):
    """A person's word on a call, after a look at what it was."""

    model = Effect
    verb = "reconcile"
    form_class: ClassVar[type[WordForm]]

    def rows(self) -> QuerySet:
        """With the names and the run's pins."""
        return super().rows().for_people().select_related(*NAMES).defer(*WIDE)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The question; refused at once where it is answered."""
        if not self.row.is_open:
            raise InvalidTransition("This call is not in doubt any more.", code="already_resolved")
        return super().get(request, *args, **kwargs)

    def save(self, form: WordForm) -> Effect:
        """By the service of the API."""
        word = form.word()
        if word.compensation is not None:
            require(self.request.user, "runs.add_run", word.compensation.workflow)
        return resolve(self.row, word, actor=self.request.user)

    def done(self, row: Effect) -> HttpResponse:
        """The page follows by itself."""
        events = {self.event: {"id": str(row.pk)}}
        text = f"Noted: {row.get_resolution_display().lower()}."
        return announce_done(self.request, text, events=events, back_to=row.get_absolute_url())

    def extra_context(self, form: WordForm) -> dict[str, Any]:
        """What it is about."""
        return {"form_template": "reconciliations/_word.html", "effect": self.row}


class ReconcileDone(WordDialog):
    """It happened."""

    form_class = DoneForm
    title = "It happened?"
    submit = "It happened"


class ReconcileRedo(WordDialog):
    """It is to be made again."""

    form_class = RedoForm
    title = "Make the call again?"
    submit = "Make it again"


class ReconcileCompensate(WordDialog):
    """It is undone, or was."""

    form_class = CompensateForm
    title = "Undo it?"
    submit = "Undo it"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A tool that undoes is called between two commits, so outside of a transaction."""
        form = self.get_form(data=request.POST)
        if not (form.is_valid() and is_undone_by_tool(self.row, form.word())):
            return super().post(request, *args, **kwargs)
        try:
            return self.done(self.save(form))
        except DomainError as error:
            self.explain(form, error)
            return self.show(form, 422)
