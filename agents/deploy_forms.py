"""Forms of the dialogs that deploy and scale."""

from typing import Any

from django import forms
from django.conf import settings

from agents.models import Deployment
from agents.playground import LONGEST_MESSAGE
from agents.replicas import MOST_CONCURRENCY
from agents.scaling import AUTOSCALE_DEFAULTS
from controlplane.kit.forms import DialogForm
from projects.models import Environment

VERSIONS_OFFERED = 100
BY_HAND, BY_WORK = "hand", "work"


class DeployedForm(DialogForm):
    """A form about one environment of an agent. `deployment` is what is there now, or None."""

    environment = forms.ChoiceField(label="Environment")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Environment.objects.filter(project_id=self.row.project_id)
        self.fields["environment"].choices = [
            (row.name, f"{row.name} (protected)" if row.protected else row.name) for row in rows
        ]
        name = self.data.get("environment") or self.initial.get("environment")
        found = Deployment.objects.filter(agent=self.row, environment__name=name)
        self.deployment = found.select_related("target_version").first()

    def facts(self) -> dict[str, Any]:
        """Nothing of the agent's row is asked for here."""
        return {}

    def offer_versions(self, *, but: Any = None) -> None:
        """The newest versions, without one."""
        rows = self.row.versions.all()
        if but is not None:
            rows = rows.exclude(pk=but)
        self.fields["version"].choices = [
            (row.number, f"{row.number}{' · ' + row.note if row.note else ''}")
            for row in rows[:VERSIONS_OFFERED]
        ]


class DeployForm(DeployedForm):
    """Which version goes where, and how many instances of it run."""

    version = forms.TypedChoiceField(label="Version", coerce=int)
    replicas = forms.IntegerField(
        min_value=0, required=False,
        help_text="Left empty: as many as now, or one at first.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_versions()
        if self.row.kind != "model":
            del self.fields["replicas"]
        else:
            self.fields["replicas"].help_text += f" At most {settings.SPARKOPS_MAX_REPLICAS}."


class PromoteForm(DeployedForm):
    """From where to where a live version goes."""

    source = forms.ChoiceField(label="What is live in")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].label = "Goes to"
        live = Deployment.objects.filter(agent=self.row, live_version__isnull=False)
        live = live.exclude(phase__in=Deployment.IDLE)
        self.fields["source"].choices = [
            (row.environment.name, f"{row.environment.name} · version {row.live_version.number}")
            for row in live.select_related("environment", "live_version")
        ]
        self.order_fields(["source", "environment"])


class RollBackForm(DeployedForm):
    """Which of the earlier versions an environment goes back to."""

    version = forms.TypedChoiceField(label="Version", coerce=int)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.deployment.target_version_id if self.deployment else None
        self.offer_versions(but=now)
        if self.deployment is not None:
            before = self.deployment.history.filter(version__isnull=False).exclude(version=now)
            if (last := before.select_related("version").first()) is not None:
                self.initial.setdefault("version", last.version.number)


class RetireForm(DeployedForm):
    """Out of which environment."""


class ScaleForm(DeployedForm):
    """How many instances, or between which bounds the work decides, and how much each does."""

    mode = forms.ChoiceField(
        label="Instances",
        widget=forms.RadioSelect,
        choices=[(BY_HAND, "A fixed number"), (BY_WORK, "As many as the work asks for")],
    )
    replicas = forms.IntegerField(
        min_value=0, required=False, label="Number of instances", help_text="For a fixed number."
    )
    min = forms.IntegerField(min_value=0, required=False, label="At least")
    max = forms.IntegerField(min_value=0, required=False, label="At most")
    max_age_seconds = forms.FloatField(
        min_value=1, required=False, label="One more when the oldest has waited (seconds)"
    )
    cooldown_seconds = forms.FloatField(
        min_value=1, required=False, label="Fewer after so many quiet seconds"
    )
    concurrency = forms.IntegerField(
        min_value=1, max_value=MOST_CONCURRENCY, label="Tasks at once, each",
        help_text="Another number replaces the processes one by one.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].widget = forms.HiddenInput()
        now = self.deployment
        if now is not None and now.driver != "process":
            for name in ("mode", "replicas", "min", "max", "max_age_seconds", "cooldown_seconds"):
                del self.fields[name]
            self.fields["concurrency"].label = "Tasks at once"
            self.fields["concurrency"].help_text = ""
        elif now is not None:
            told = {**AUTOSCALE_DEFAULTS, **(now.autoscale or {})}
            self.initial |= {
                "mode": BY_HAND if now.autoscale is None else BY_WORK,
                "replicas": now.desired,
                "min": now.replicas_min,
                "max": now.replicas_max,
                "max_age_seconds": told["max_age_seconds"],
                "cooldown_seconds": told["cooldown_seconds"],
            }
        if now is not None:
            self.initial["concurrency"] = now.concurrency

    def arguments(self) -> dict[str, Any]:
        """What agents.replicas.scale takes."""
        given = self.cleaned_data
        asked = {"concurrency": given["concurrency"]}
        if given.get("mode") == BY_HAND:
            return {**asked, "replicas": given["replicas"]}
        if given.get("mode") == BY_WORK:
            names = ("max_age_seconds", "cooldown_seconds")
            told = {name: given[name] for name in names if given[name] is not None}
            return {**asked, "least": given["min"], "most": given["max"], "autoscale": told}
        return asked


class PlayForm(DialogForm):
    """What is said to which version."""

    version = forms.TypedChoiceField(label="Version", coerce=int)
    message = forms.CharField(
        label="Message", max_length=LONGEST_MESSAGE, widget=forms.Textarea({"rows": 3})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = self.row.versions.values_list("number", flat=True)[:VERSIONS_OFFERED]
        self.fields["version"].choices = [(number, f"Version {number}") for number in rows]

    def facts(self) -> dict[str, Any]:
        """The current version."""
        return {"version": self.row.version}
