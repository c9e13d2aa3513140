"""Settings › data: how long the project keeps what, what is there, what was removed."""

from typing import Any

from django.db.models import Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from controlplane.kit.fragments import announce_done
from controlplane.kit.pagination import bounded_count
from controlplane.kit.permissions import require
from controlplane.kit.tables import Verb
from controlplane.kit.views import KitView
from projects.api import ProjectViewSet
from projects.models import Project
from projects.settings_base import SettingsDialog, sections
from projects.settings_forms import DataForm
from runs.models import Retention, Run


def facts_of(project: Project) -> dict[str, Any]:
    """The rules of a project, how much it keeps, and what was removed by them."""
    kept = Retention.objects.filter(project=project).first() or Retention(project=project)
    runs = Run.objects.filter(project=project)
    count, is_exact = bounded_count(runs)
    return {
        "retention_days": project.retention_days,
        "log_retention_days": project.log_retention_days,
        "payload_retention_days": project.payload_retention_days,
        "runs": count,
        "runs_exact": is_exact,
        "oldest_run_at": runs.aggregate(oldest=Min("created_at"))["oldest"],
        "runs_deleted": kept.runs_deleted,
        "log_lines_deleted": kept.lines_deleted,
        "payloads_cleared": kept.payloads_cleared,
        "swept_at": kept.swept_at,
    }


class DataPage(KitView):
    """The rules and what came of them."""

    model = Project

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page."""
        if self.project is None:
            return render(request, "kit/no_project.html", {"title": "Data"})
        require(request.user, "projects.view_project", self.project)
        facts = facts_of(self.project)
        actions = []
        if self.may("change", self.project):
            url = reverse("settings-data:edit", args=[self.project.pk])
            actions = [Verb("Edit", url, icon="pencil", dialog=True, kind="primary")]
        context = {"facts": facts, "sections": sections(self), "actions": actions}
        return render(request, "settings/data.html", context)


class DataEdit(SettingsDialog):
    """Changing the rules, by the API's own serializer."""

    model = Project
    verb = "change"
    form_class = DataForm
    viewset_class = ProjectViewSet
    title = "How long is what kept?"

    def done(self, row: Project) -> HttpResponse:
        """The page shows them anew."""
        url = reverse("settings-data:page")
        return announce_done(self.request, "The rules about data are saved.", go_to=url)
