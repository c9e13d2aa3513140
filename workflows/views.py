"""The pages of workflows."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse

from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.fragments import announce_done
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import DetailView, ListView
from workflows import services
from workflows.api import WorkflowViewSet
from workflows.filters import WorkflowFilter
from workflows.forms import PublishForm, WorkflowForm
from workflows.models import Workflow

VERSIONS_SHOWN = 100


class WorkflowList(ListView):
    """All workflows of the project."""

    model = Workflow
    title = "Workflows"
    filterset_class = WorkflowFilter
    ordering = "name"
    bulk = "workflows"
    columns = (
        Column("name", "Name", kind="lead", sort="name", narrow="lead"),
        Column("slug", "Slug", kind="code"),
        Column("status", "Status", kind="status", narrow="side"),
        Column("released.number", "Released", kind="count", narrow="wide-only"),
        Column("head.number", "Newest", kind="count", narrow="wide-only"),
        Column("head.state", "State of the newest", template="workflows/_state.html"),
        Column("tags", "Tags", kind="tags", narrow="wide-only"),
        Column("updated_at", "Changed", kind="ago", sort="updated_at"),
    )
    exported = (
        "id", "slug", "name", "status", "description", "tags", "head.number", "head.state",
        "released.number", ("head.drawn", "definition"), "created_at", "updated_at",
    )  # fmt: skip
    empty = {
        "title": "No workflows yet",
        "text": "A workflow is a graph of steps that call tools, agents and people.",
        "icon": "sitemap",
    }

    def get_queryset(self) -> QuerySet:
        """With the numbers of their versions."""
        rows = super().get_queryset().select_related("head", "released")
        return rows.defer(
            "head__definition", "released__definition", "head__layout", "released__layout"
        )

    def get_exported(self) -> QuerySet:
        """With the newest definition."""
        rows = super().get_queryset().select_related("head", "released")
        return rows.defer("released__definition", "released__layout")

    def get_actions(self) -> list[Verb]:
        """A new workflow."""
        if not self.may("add", self.project):
            return []
        url = reverse("workflows:create")
        bring = Verb("Import", reverse("workflows:import"), icon="upload", dialog=True)
        return [bring, Verb("New workflow", url, icon="plus", dialog=True, kind="primary")]

    def get_menu(self, row: Workflow) -> list[Verb]:
        """Running, changing, deleting."""
        return workflow_verbs(row, self.may, self.request.user)


def workflow_verbs(workflow: Workflow, may: Any, user: Any) -> list[Verb]:
    """What this user may do to a workflow; the most likely one last."""
    verbs, args = [], [workflow.pk]
    if may("delete", workflow):
        url = reverse("workflows:delete", args=args)
        verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True, kind="danger"))
    if may("change", workflow):
        url = reverse("workflows:edit", args=args)
        verbs.append(Verb("Edit", url, icon="pencil", dialog=True))
    is_draft = workflow.head is not None and workflow.head.state == "draft"
    if is_draft and may("publish", workflow):
        url = reverse("workflows:publish", args=args)
        verbs.append(Verb("Publish", url, icon="rocket", dialog=True))
    if workflow.released_id and user.has_perm("runs.add_run", workflow):
        url = f"{reverse('runs:start')}?workflow={workflow.pk}"
        verbs.append(Verb("Run", url, icon="player-play", dialog=True, kind="primary"))
    return verbs


class WorkflowPage(DetailView):
    """One workflow: its steps, definition and versions."""

    model = Workflow
    crumb = ("Workflows", "/workflows/")
    tabs = {
        "steps": ("Steps", "workflows/_steps.html"),
        "definition": ("Definition", "workflows/_definition.html"),
        "versions": ("Versions", "workflows/_versions.html"),
    }

    def rows(self) -> QuerySet:
        """With the newest and the released version."""
        return super().rows().select_related("head", "released")

    def get_counts(self) -> Mapping[str, int]:
        """Steps and versions."""
        nodes = self.row.head.definition.get("nodes") if self.row.head else None
        return {
            "steps": len(nodes) if isinstance(nodes, list) else 0,
            "versions": self.row.head.number if self.row.head else 0,
        }

    def get_actions(self) -> list[Verb]:
        """What can be done now."""
        return workflow_verbs(self.row, self.may, self.request.user)

    def get_facts(self) -> list[dict[str, Any]]:
        """Which version is which."""
        head, released = self.row.head, self.row.released
        found = [{"label": "Slug", "value": self.row.slug}]
        if released:
            found.append({"label": "Released", "value": released.number})
        if head and (released is None or head.pk != released.pk):
            found.append({"label": "Newest", "value": head.number, "note": head.state})
        if limit := self.row.concurrency_limit:
            found.append({"label": "Runs at once", "value": limit})
        if self.row.concurrency_key and (limit := self.row.concurrency_key_limit):
            note = f"of {self.row.concurrency_key}"
            found.append({"label": "Runs at once", "value": limit, "note": note})
        return found

    def get_context(self) -> dict[str, Any]:
        """And what the tab shows."""
        context = super().get_context()
        head = self.row.head
        if self.tab == "versions":
            context["versions"] = self.row.versions.defer("definition")[:VERSIONS_SHOWN]
        elif head and self.tab == "definition":
            context["definition"] = head.drawn
        elif head:
            context["steps"] = steps_of(head.definition)
            context["faults"] = [
                fault.as_dict() for fault in services.faults_of(self.row, head.drawn)
            ]
        return context


def steps_of(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a definition for people, bodies under their node; a draft may be broken."""
    found: list[dict[str, Any]] = []
    _add_steps(definition, 0, found)
    return found


def _add_steps(graph: Mapping[str, Any], depth: int, found: list[dict[str, Any]]) -> None:
    nodes, edges = graph.get("nodes"), graph.get("edges")
    nodes = [n for n in nodes if isinstance(n, Mapping)] if isinstance(nodes, list) else []
    edges = [e for e in edges if isinstance(e, Mapping)] if isinstance(edges, list) else []
    for node in nodes:
        after = [e for e in edges if e.get("to") == node.get("id")]
        found.append(
            {
                "id": node.get("id"),
                "name": node.get("name") or node.get("id"),
                "kind": node.get("kind"),
                "works_with": node.get("tool") or node.get("agent") or node.get("workflow"),
                "after": [{"id": e.get("from"), "when": e.get("when")} for e in after],
                "retry": node.get("retry"),
                "on_error": node.get("on_error"),
                "timeout_seconds": node.get("timeout_seconds"),
                "depth": min(depth, 3),
            }
        )
        if isinstance(node.get("body"), Mapping) and depth < 20:
            _add_steps(node["body"], depth + 1, found)


class WorkflowCreate(FormDialog):
    """A new workflow, as a draft."""

    model = Workflow
    verb = "add"
    form_class = WorkflowForm
    viewset_class = WorkflowViewSet
    wide = True


class WorkflowEdit(WorkflowCreate):
    """Changing a workflow; another definition goes into the draft."""

    verb = "change"

    def rows(self) -> QuerySet:
        """With the newest version."""
        return super().rows().select_related("head", "released")


class WorkflowPublish(FormDialog):
    """Releasing the draft, or telling what is wrong with it."""

    model = Workflow
    verb = "publish"
    form_class = PublishForm
    submit = "Publish"

    def rows(self) -> QuerySet:
        """With the newest version."""
        return super().rows().select_related("head", "released")

    def get_title(self) -> str:
        """Which version of what."""
        return f"Publish version {self.row.head.number} of {self.row}" if self.row.head else ""

    def save(self, form: PublishForm) -> Workflow:
        """Runs use it from now on."""
        note = form.cleaned_data["note"]
        services.publish(self.row, actor=self.request.user, note=note)
        return self.row

    def done(self, row: Workflow) -> HttpResponse:
        """Everything on the page may have changed."""
        url = row.get_absolute_url()
        text = f"Version {row.released.number} of {row} is released."
        return announce_done(self.request, text, go_to=url, back_to=url)


class WorkflowDelete(DeleteDialog):
    """Deleting a workflow."""

    model = Workflow
    viewset_class = WorkflowViewSet

    def get_hangers(self, row: Workflow) -> list[dict[str, Any]]:
        """What goes with it for good."""
        return [{"label": "Versions", "count": row.versions.count()}]
