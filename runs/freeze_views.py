"""The dialogs of the freeze switch in the top bar."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from controlplane.kit.dialogs import FormDialog
from controlplane.kit.forms import DialogForm
from controlplane.kit.fragments import announce_done
from controlplane.kit.views import KitView
from projects.freezing import LONGEST_REASON, sentence
from projects.models import Environment, Project
from runs import freezing


class SwitchForm(DialogForm):
    """Which switch: that of the project or of one environment. `is_frozen` are those offered."""

    is_frozen = True
    field_order = ("where", "reason")
    where = forms.ChoiceField(label="Where")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.switches: dict[str, Project | Environment] = {
            str(each.pk): each
            for each in (self.row, *self.row.environments.all())
            if (each.frozen_at is not None) == self.is_frozen
        }
        self.fields["where"].choices = [(key, self.named(s)) for key, s in self.switches.items()]  # type: ignore[attr-defined]

    def facts(self) -> dict[str, Any]:
        """The first that is offered."""
        return {}

    def named(self, switch: Project | Environment) -> str:
        """A switch in words."""
        name = f"Project {switch.name}" if isinstance(switch, Project) else str(switch.name)
        return f"{name}, {sentence(switch).rstrip('.')}" if self.is_frozen else name

    def environment(self) -> Environment | None:
        """The chosen one; None for the project."""
        chosen = self.switches[self.cleaned_data["where"]]
        return chosen if isinstance(chosen, Environment) else None


class FreezeForm(SwitchForm):
    """What to freeze, and why."""

    is_frozen = False
    reason = forms.CharField(
        label="Why?",
        required=False,
        max_length=LONGEST_REASON,
        help_text="Everybody who asks why a run does not go on reads this.",
    )


class FreezeState(KitView):
    """What of the current project is frozen, for the top bar; fetches itself anew."""

    model = Project

    def get(self, request: HttpRequest) -> HttpResponse:
        """That part of the bar alone."""
        return render(request, "kit/_freeze.html")


class FreezeDialog(FormDialog):
    """Stop everything new."""

    model = Project
    verb = "freeze"
    form_class: Any = FreezeForm
    title = "Freeze?"
    submit = "Freeze"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Outside of a transaction: the switch must be seen before the runs are held."""
        form = self.get_form(data=request.POST)
        if not form.is_valid():
            return self.show(form, 422)
        text = self.turn(form)
        go_to = request.headers.get("HX-Current-URL") or self.row.get_absolute_url()
        return announce_done(request, text, go_to=go_to)

    def turn(self, form: Any) -> str:
        """Freeze; what to say."""
        where = form.environment()
        reason = form.cleaned_data["reason"]
        freezing.freeze(self.row, where, actor=self.request.user, reason=reason)
        return f"{where or self.row} is frozen: nothing new starts until it is thawed."

    def extra_context(self, form: Any) -> dict[str, Any]:
        """What it means."""
        return {"form_template": "projects/_freeze.html", "is_frozen": form.is_frozen}


class ThawDialog(FreezeDialog):
    """Let everything go on."""

    form_class = SwitchForm
    title = "Thaw?"
    submit = "Thaw"

    def turn(self, form: Any) -> str:
        """Thaw; what to say."""
        where = form.environment()
        freezing.thaw(self.row, where, actor=self.request.user)
        return f"{where or self.row} is thawed: everything goes on."
