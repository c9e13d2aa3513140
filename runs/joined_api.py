"""The runs of one agent and of one workflow: the rows and filters of /runs."""

from functools import cached_property
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404

from agents.models import Agent
from controlplane.kit.ids import parse_uuid
from runs.api import RunViewSet
from runs.models import Step
from workflows.models import Workflow


class RunsOf(RunViewSet):
    """GET /<owners>/{pk}/runs; 404 where the owner is absent or invisible."""

    owner_model: ClassVar[Any]
    http_method_names = ("get", "head", "options")

    @cached_property
    def owner(self) -> Any:
        """The row of the path."""
        key = parse_uuid(self.kwargs["pk"])
        rows = self.owner_model.objects.visible_to(self.request.user)
        found = rows.filter(pk=key).first() if key else None
        if found is None:
            raise Http404
        return found

    def get_queryset(self) -> QuerySet:
        """The visible runs of that row."""
        rows = super().get_queryset()
        return rows if getattr(self, "swagger_fake_view", False) else self.of_owner(rows)

    def of_owner(self, rows: QuerySet) -> QuerySet:
        """Narrow to the owner."""
        raise NotImplementedError


class RunsOfWorkflow(RunsOf):
    """The runs of a workflow."""

    owner_model = Workflow

    def of_owner(self, rows: QuerySet) -> QuerySet:
        """Those of any of its versions."""
        return rows.filter(workflow=self.owner)


class RunsOfAgent(RunsOf):
    """The runs in which an agent works on a step."""

    owner_model = Agent

    def of_owner(self, rows: QuerySet) -> QuerySet:
        """Found from the steps, which have an index by agent."""
        steps = Step.objects.filter(agent_id=self.owner.pk)
        return rows.filter(project_id=self.owner.project_id, pk__in=steps.values("run_id"))
