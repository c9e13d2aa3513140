"""The dialogs that deploy, promote, roll back, retire and scale an agent, and the log of one of its
processes."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from agents import deploying, replicas
from agents.asking import Waiting
from agents.connection import check_connection
from agents.deploy_api import require_deploy
from agents.deploy_forms import (
    DeployForm,
    PlayForm,
    PromoteForm,
    RetireForm,
    RollBackForm,
    ScaleForm,
)
from agents.logs import parsed, tail
from agents.models import Agent, Deployment, Instance
from agents.playground import LONGEST_MESSAGE, play
from controlplane.kit.dialogs import FormDialog
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import announce_done, wants_fragment
from controlplane.kit.views import KitView
from projects.models import Environment

LINES_SHOWN = 300


class DeploymentDialog(FormDialog):
    """A verb on an agent in one environment."""

    model = Agent
    verb = "deploy"
    said: ClassVar[str]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Asked at the door: what is protected takes more than the right to deploy."""
        name = request.POST.get("environment", "")
        rows = Environment.objects.filter(project_id=self.row.project_id, name=name)
        if self.verb == "deploy" and (found := rows.first()) is not None:
            require_deploy(request.user, self.row, found)
        return super().post(request, *args, **kwargs)

    def environment(self, form: Any) -> Environment:
        """The chosen one."""
        return deploying.environment_of(self.row, form.cleaned_data["environment"])

    def get_initial(self) -> dict[str, Any]:
        """The environment of the top bar, and what the address says."""
        place = self.request.place.environment
        return ({"environment": place.name} if place else {}) | super().get_initial()

    def get_back(self) -> str:
        """The deployments of the agent."""
        return f"{self.row.get_absolute_url()}?tab=deployments"

    def done(self, row: Deployment | Waiting) -> HttpResponse:
        """The page follows by itself."""
        if isinstance(row, Waiting):
            text = f"A policy asks for approval first. {row.asked.title}: waiting for it."
            events = {self.event: {"id": str(row.deployment.pk)}}
            return announce_done(self.request, text, events=events, back_to=self.get_back())
        text = self.said.format(
            agent=self.row, version=row.target_version.number, where=row.environment.name
        )
        events = {self.event: {"id": str(self.row.pk)}}
        return announce_done(self.request, text, events=events, back_to=self.get_back())


class AgentDeploy(DeploymentDialog):
    """A version to an environment."""

    form_class = DeployForm
    submit = "Deploy"
    said = "Version {version} goes to {where}."

    def get_title(self) -> str:
        """Names the agent."""
        return f"Deploy {self.row}"

    def get_initial(self) -> dict[str, Any]:
        """The current version."""
        return {"version": self.row.version} | super().get_initial()

    def save(self, form: DeployForm) -> Deployment | Waiting:
        """By the same service as the API."""
        return deploying.deploy(
            self.row,
            self.environment(form),
            version=form.cleaned_data["version"],
            replicas=form.cleaned_data.get("replicas"),
            actor=self.request.user,
        )


class AgentPromote(DeploymentDialog):
    """What is live below goes up."""

    form_class = PromoteForm
    submit = "Promote"
    said = "Version {version} goes to {where}."

    def get_title(self) -> str:
        """Names the agent."""
        return f"Promote {self.row}"

    def save(self, form: PromoteForm) -> Deployment | Waiting:
        """By the same service as the API."""
        source = deploying.environment_of(self.row, form.cleaned_data["source"], "source")
        target = self.environment(form)
        return deploying.promote(self.row, target, source=source, actor=self.request.user)


class AgentRollBack(DeploymentDialog):
    """Back to an earlier version."""

    form_class = RollBackForm
    submit = "Roll back"
    said = "{where} goes back to version {version}."

    def get_title(self) -> str:
        """Names the agent."""
        return f"Roll back {self.row}"

    def save(self, form: RollBackForm) -> Deployment | Waiting:
        """By the same service as the API."""
        version = form.cleaned_data["version"]
        where = self.environment(form)
        return deploying.roll_back(self.row, where, version=version, actor=self.request.user)


class AgentRetire(DeploymentDialog):
    """Out of an environment."""

    form_class = RetireForm
    submit = "Retire"
    said = "{agent} is taken out of {where}; its instances finish their work."

    def get_title(self) -> str:
        """Names the agent."""
        return f"Take {self.row} out of service"

    def save(self, form: RetireForm) -> Deployment:
        """By the same service as the API."""
        return deploying.retire(self.row, self.environment(form), actor=self.request.user)


class AgentScale(DeploymentDialog):
    """How many instances, and how much each does."""

    verb = "scale"
    form_class = ScaleForm
    submit = "Scale"
    said = "{agent} is being scaled in {where}."

    def get_title(self) -> str:
        """Names the agent and the environment."""
        return f"Scale {self.row} in {self.get_initial().get('environment', 'an environment')}"

    def save(self, form: ScaleForm) -> Deployment:
        """By the same service as the API."""
        where = deploying.environment_of(self.row, form.cleaned_data["environment"])
        found = deploying.deployment_of(self.row, where)
        return replicas.scale(found, actor=self.request.user, **form.arguments())


class AgentCheck(KitView):
    """Whether the model or the remote agent answers: asked by POST, for it may cost something."""

    model = Agent
    verb = "try"

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """What would be done."""
        return self.show({"object": self.get_row(), "result": None, "fault": ""})

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Call once."""
        row = self.get_row()
        try:
            context = {"result": check_connection(row, actor=request.user), "fault": ""}
        except DomainError as error:
            context = {"result": None, "fault": error.message}
        return self.show({"object": row, **context})

    def show(self, context: dict[str, Any]) -> HttpResponse:
        """As dialog or page."""
        row = context["object"]
        name = "agents/_check.html" if wants_fragment(self.request) else "agents/check.html"
        extra = {"title": f"Check the connection of {row}", "back": row.get_absolute_url()}
        return render(self.request, name, {**context, **extra})


class AgentPlay(KitView):
    """One message to a version, from the page; the conversation so far comes with it."""

    model = Agent
    verb = "try"
    http_method_names: ClassVar[list[str]] = ["post", "options"]

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Ask, and show what was said."""
        row = self.get_row()
        form = PlayForm(data=request.POST, row=row, user=request.user)
        roles, texts = request.POST.getlist("role"), request.POST.getlist("said")
        history = [
            {"role": role, "text": text[:LONGEST_MESSAGE]}
            for role, text in zip(roles, texts, strict=False)
            if role in ("user", "agent")
        ]
        context: dict[str, Any] = {"object": row, "history": history, "fault": "", "played": None}
        if form.is_valid():
            asked = form.cleaned_data
            try:
                context["played"] = play(
                    row,
                    asked["message"],
                    version=asked["version"],
                    history=history,
                    actor=request.user,
                )
            except DomainError as error:
                context["fault"] = error.message
            context["message"] = asked["message"]
        else:
            context["fault"] = "Say something first."
        if wants_fragment(request):
            return render(request, "agents/_played.html", {**context, "is_fragment": True})
        return render(request, "agents/played.html", {**context, "title": f"Talk to {row}"})


class InstanceLog(KitView):
    """The last lines an instance wrote."""

    model = Instance

    def rows(self) -> Any:
        """Those of deployments; a shared worker's log is the operator's."""
        rows = super().rows().filter(deployment__isnull=False)
        return rows.select_related("deployment__agent", "deployment__project")

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """In the dialog or as a page."""
        row = self.get_row()
        lines, reason = tail(row, LINES_SHOWN)
        agent = row.deployment.agent
        context = {
            "object": row,
            "agent": agent,
            "lines": list(parsed(lines)),
            "reason": reason,
            "title": f"Log of {row}",
            "back": f"{reverse('agents:detail', args=[agent.pk])}?tab=instances",
        }
        name = "agents/_log.html" if wants_fragment(request) else "agents/log.html"
        return render(request, name, context)
