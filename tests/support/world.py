"""What the paths of the permission table point at: rows of the cast's project, made when named."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from agents.models import Agent, Deployment, Instance, ModelPrice, ProviderConnection
from analytics.models import Export
from controlplane.kit.ids import uuid7
from controlplane.kit.models import BulkJob
from governance import approvals
from governance.models import AuditEntry
from projects import keys, services
from projects.models import Membership, Project, SavedView
from projects.people import User
from projects.roles import Role
from runs.models import Effect, Step
from tests.support.cast import join, make_user
from tools.models import ToolServer

_NAMED = re.compile(r"\{(\w+)\}")


class World:
    """Ids by name, for `/tools/{tool}` and for bodies. `makers` are the builders of the cast."""

    def __init__(self, project: Project, own: User, makers: dict[str, Callable[..., Any]]) -> None:
        self.project, self.own, self.makers = project, own, makers
        self.ids: dict[str, str] = {"project": str(project.pk)}

    def __getitem__(self, name: str) -> str:
        if name not in self.ids:
            self.ids[name] = str(getattr(self, f"make_{name}")())
        return self.ids[name]

    def fill(self, value: Any) -> Any:
        """Text, or the texts of a body, with every `{name}` replaced by an id."""
        if isinstance(value, str):
            return _NAMED.sub(lambda found: self[found[1]], value)
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return value

    def make_trashed_project(self) -> Any:
        """A deleted project with the whole cast in it."""
        gone = services.create_project(actor=self.own, name="Gone")
        members = Membership.objects.filter(project=self.project).exclude(user=self.own)
        for member in members:
            Membership.objects.create(project=gone, user=member.user, role=member.role)
        Project.objects.filter(pk=gone.pk).update(deleted_at=timezone.now())
        return gone.pk

    def make_archived_project(self) -> Any:
        """An archived project with the whole cast in it."""
        old = services.create_project(actor=self.own, name="Old", status="archived")
        for member in Membership.objects.filter(project=self.project).exclude(user=self.own):
            Membership.objects.create(project=old, user=member.user, role=member.role)
        return old.pk

    def make_environment(self) -> Any:
        """An environment that nothing uses."""
        return self.project.environments.create(name="qa", rank=9).pk

    def make_member(self) -> Any:
        """A viewer's membership."""
        user = join(self.project, "Mem", Role.VIEWER)
        return Membership.objects.get(project=self.project, user=user).pk

    def make_invitation(self) -> Any:
        """An open invitation."""
        actor = self.own
        actor.forget_roles()
        invited = services.invite(self.project, email="inv@example.com", role="viewer", actor=actor)
        return invited[0].pk

    def make_secret(self) -> Any:
        """A secret."""
        return self.makers["secret"]().pk

    def make_key(self) -> Any:
        """The owner's API key."""
        self.own.forget_roles()
        key, _ = keys.create(actor=self.own, project=self.project, name="k", scopes=[])
        return key.pk

    def make_audit(self) -> Any:
        """The newest audit entry of the project."""
        return AuditEntry.objects.filter(project=self.project).latest("id").pk

    def make_tool(self) -> Any:
        """A tool."""
        return self.makers["tool"]().pk

    def make_trashed_tool(self) -> Any:
        """A deleted tool."""
        return self.makers["tool"](slug="gone", deleted_at=timezone.now()).pk

    def make_held_tool(self) -> Any:
        """A tool whose current version is in quarantine."""
        tool = self.makers["tool"](slug="held")
        tool.versions.update(approval="quarantined")
        return tool.pk

    def make_server(self) -> Any:
        """An MCP server that offers a tool, at an address that nobody may call."""
        offered = {
            "name": "add",
            "title": "",
            "description": "Add.",
            "input_schema": {"type": "object"},
            "output_schema": None,
            "annotations": {},
            "sha256": "0" * 64,
            "fault": "",
        }
        return ToolServer.objects.create(
            project=self.project,
            name="Probe",
            url="http://127.0.0.1:9/mcp",
            discovered=[offered],
        ).pk

    def make_trashed_server(self) -> Any:
        """A deleted MCP server."""
        return ToolServer.objects.create(
            project=self.project, name="Gone", url="http://h/mcp", deleted_at=timezone.now()
        ).pk

    def make_connection(self) -> Any:
        """A model server that nobody may call."""
        return ProviderConnection.objects.create(
            project=self.project, name="Own", provider="openai", base_url="http://127.0.0.1:9/v1"
        ).pk

    def make_agent(self) -> Any:
        """An agent."""
        return self.makers["agent"]().pk

    def make_deployed(self) -> Any:
        """An agent whose version 1 is live in dev."""
        agent = self.makers["agent"](slug="deployed")
        Deployment.objects.create(
            project=self.project,
            agent=agent,
            target_version=agent.current,
            live_version=agent.current,
            phase=Deployment.Phase.AVAILABLE,
            environment=self.project.environments.get(name="dev"),
        )
        return agent.pk

    def make_trashed_agent(self) -> Any:
        """A deleted agent."""
        return self.makers["agent"](slug="gone", deleted_at=timezone.now()).pk

    def make_workflow(self) -> Any:
        """A released workflow."""
        return self.makers["workflow"]().pk

    def make_draft(self) -> Any:
        """A workflow with a draft only."""
        return self.makers["workflow"](slug="draft", released=False).pk

    def make_trashed_workflow(self) -> Any:
        """A deleted workflow."""
        return self.makers["workflow"](slug="gone", deleted_at=timezone.now()).pk

    def make_run(self) -> Any:
        """A run that succeeded."""
        return self.makers["run"]().pk

    def make_live_run(self) -> Any:
        """A run that is queued."""
        return self.makers["run"](status="queued").pk

    def make_paused_run(self) -> Any:
        """A run that is paused."""
        return self.makers["run"](status="paused", paused_at=timezone.now()).pk

    def make_failed_run(self) -> Any:
        """A run that failed."""
        ended = timezone.now() - timedelta(minutes=1)
        return self.makers["run"](status="failed", ended_at=ended).pk

    def make_queue(self) -> Any:
        """The name of the queue that everybody has."""
        return "shared"

    def make_parked_run(self) -> Any:
        """A run whose one step was parked."""
        run = self.makers["run"](status="waiting", open_steps=1)
        Step.objects.create(
            run=run, node="work", kind="tool", name="Work", status="parked", reason="crashed",
            crash_count=3,
        )  # fmt: skip
        return run.pk

    def make_doubt(self) -> Any:
        """A call that may or may not have happened, in a run that waits for a word on it."""
        run = self.makers["run"](status="waiting", open_steps=1)
        step = Step.objects.create(
            run=run, node="work", kind="tool", name="Book", status="waiting", reason="reconcile"
        )
        effect = Effect.objects.create(
            run=run, step=step, ordinal=0, key="k", tool_name="book", effect_class="unsafe",
            args_sha256="0" * 64, arguments={"to": "Oslo"}, state="unknown",
        )  # fmt: skip
        return effect.pk

    def make_approval(self) -> Any:
        """A question that waits for an answer."""
        asked = approvals.request(
            project_id=self.project.pk,
            run_id=uuid7(),
            step_id=uuid7(),
            subject="step",
            title="Send it?",
            packet={},
            arguments={"to": "ops"},
        )
        return asked.pk

    def make_bulk_job(self) -> Any:
        """A verb on many runs that the owner started and nobody works on yet."""
        selection = {"query": "", "project": str(self.project.pk)}
        job = BulkJob(user_id=self.own.pk, table="runs", action="cancel", selection=selection)
        job.save()
        return job.pk

    def make_table(self) -> Any:
        """The name of a list."""
        return "runs"

    def make_view(self) -> Any:
        """A view of the runs that the owner shares."""
        facts = {"table": "runs:list", "name": "Late", "query": "status=timed_out"}
        made = SavedView.objects.create(project=self.project, user=self.own, shared=True, **facts)
        return made.pk

    def make_kind(self) -> Any:
        """What of the trash is shown."""
        return "tools"

    def make_nobody(self) -> Any:
        """An id that stands for nothing."""
        return uuid7()

    def make_person(self) -> Any:
        """The e-mail of somebody with an account and no membership."""
        return make_user("Per").email

    def make_signal(self) -> Any:
        """The name of a signal."""
        return "go"

    def make_one(self) -> Any:
        """The number of a version."""
        return 1

    def make_export(self) -> Any:
        """A file of the owner's that is still to be made."""
        made = Export.objects.create(
            project=self.project,
            requested_by=self.own,
            title="Runs",
            path="/runs/",
            format="csv",
            expires_at=timezone.now() + timedelta(days=1),
        )
        return made.pk

    def make_price(self) -> Any:
        """A price of the project."""
        return ModelPrice.objects.create(
            project=self.project,
            provider="openai",
            model="small",
            input_per_million=1,
            output_per_million=2,
        ).pk

    def make_puller(self) -> Any:
        """A worker that came by HTTP."""
        config = {"entrypoint": "w", "lease_seconds": 30}
        agent = self.makers["agent"](slug="pulled", kind="worker", config=config)
        deployment = Deployment.objects.create(
            project=self.project,
            agent=agent,
            driver="external",
            target_version=agent.current,
            environment=self.project.environments.get(name="dev"),
        )
        return Instance.objects.create(
            deployment=deployment, host="w", queue=deployment.queue, state=Instance.State.READY
        ).pk

    def make_instance(self) -> Any:
        """A worker process of the deployment of an agent."""
        agent = Agent.objects.get(pk=self["agent"])
        deployment = Deployment.objects.create(
            project=self.project,
            agent=agent,
            target_version=agent.current,
            environment=self.project.environments.get(name="dev"),
        )
        return Instance.objects.create(deployment=deployment, host="h", queue="q").pk
