"""The pages of a project's settings: the project itself and its environments."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import DetailView
from projects import services
from projects.api import EnvironmentViewSet, ProjectViewSet
from projects.filters import EnvironmentFilter
from projects.models import Environment, Project
from projects.settings_base import (
    SettingsDelete,
    SettingsDialog,
    SettingsList,
    row_verbs,
    sections,
)
from projects.settings_forms import EnvironmentForm, ProjectForm


class ProjectPage(DetailView):
    """The project: what it is and what becomes of its data."""

    model = Project
    template_name = "settings/project.html"

    def get(self, request: HttpRequest, pk: str = "") -> HttpResponse:
        """The current project."""
        if self.project is None:
            return render(request, "kit/no_project.html", {"title": "Settings"})
        self.kwargs["pk"] = str(self.project.pk)
        return super().get(request, self.kwargs["pk"])

    def get_context(self) -> dict[str, Any]:
        """With the sections and the facts."""
        project = self.row
        pairs = [
            ("Name", project.name),
            ("Slug", project.slug),
            ("Id", project.pk),
            ("Description", project.description or None),
            ("Keep prompts and answers", project.get_content_capture_display()),
            ("Keep runs for", f"{project.retention_days} days"),
        ]
        return {**super().get_context(), "sections": sections(self), "pairs": pairs}

    def get_actions(self) -> list[Verb]:
        """Changing, archiving, deleting, leaving."""
        project = self.row
        verbs = [Verb("Leave", reverse("settings:leave", args=[project.pk]), post=True)]
        if self.may("delete", project):
            url = reverse("settings:delete", args=[project.pk])
            verbs.append(Verb("Delete", url, icon="trash", dialog=True, kind="danger"))
        if self.may("archive", project):
            archived = project.status == Project.Status.ARCHIVED
            name = "activate" if archived else "archive"
            url = reverse(f"settings:{name}", args=[project.pk])
            verbs.append(Verb(name.capitalize(), url, post=True))
        if self.may("change", project):
            url = reverse("settings:edit", args=[project.pk])
            verbs.append(Verb("Edit", url, icon="pencil", dialog=True, kind="primary"))
        return verbs


class ProjectEdit(SettingsDialog):
    """Changing the project."""

    model = Project
    verb = "change"
    form_class = ProjectForm
    viewset_class = ProjectViewSet


class ProjectDelete(SettingsDelete):
    """Deleting the project: to the trash, or with everything in it."""

    model = Project
    viewset_class = ProjectViewSet

    def get_hangers(self, row: Project) -> list[dict[str, Any]]:
        """What goes with it."""
        names = ("memberships", "environments", "secrets", "tools", "agents", "workflows", "runs")
        return [{"label": name.capitalize(), "count": getattr(row, name).count()} for name in names]

    def get_list_url(self, row: Project) -> str:
        """The projects that are left."""
        return reverse("projects:list")


class ProjectArchive(ActionView):
    """Making the project read-only."""

    model = Project
    verb = "archive"
    archived = True

    def perform(self, row: Project) -> tuple[str, str | None]:
        """Archive or wake it."""
        services.set_archived(row, self.archived, actor=self.request.user)
        done = "is archived: it can be read, not changed" if self.archived else "is active again"
        return f"{row.name} {done}.", reverse("settings:project")


class ProjectLeave(ActionView):
    """Ending one's own membership."""

    model = Project
    verb = "view"

    def perform(self, row: Project) -> tuple[str, str | None]:
        """Leave."""
        membership = row.memberships.get(user=self.request.user)
        services.remove_member(membership, actor=self.request.user)
        return f"You have left {row.name}.", "/"


class EnvironmentList(SettingsList):
    """Environments by rank."""

    model = Environment
    filterset_class = EnvironmentFilter
    ordering = "rank"
    columns = (
        Column("name", "Name", narrow="lead", sort="name"),
        Column("rank", "Rank", kind="count", sort="rank"),
        Column("protected", "Protected", template="settings/_yes.html", narrow="side"),
        Column("variables", "Variables", template="settings/_names.html"),
        Column("updated_at", "Changed", kind="ago"),
    )

    def get_actions(self) -> list[Verb]:
        """A new one."""
        url = reverse("settings:environment_new")
        new = Verb("New environment", url, icon="plus", dialog=True, kind="primary")
        return [new] if self.may("add", self.project) else []

    def get_menu(self, row: Environment) -> list[Verb]:
        """Changing and deleting."""
        return row_verbs(self, row, "environment")


class EnvironmentNew(SettingsDialog):
    """A new environment."""

    model = Environment
    verb = "add"
    form_class = EnvironmentForm
    viewset_class = EnvironmentViewSet


class EnvironmentEdit(EnvironmentNew):
    """Changing an environment."""

    verb = "change"


class EnvironmentDelete(SettingsDelete):
    """Deleting an environment that nothing uses."""

    model = Environment
    viewset_class = EnvironmentViewSet
