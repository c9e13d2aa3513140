"""The pages about projects as such, and about oneself."""

from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.views import View

from controlplane.kit.dialogs import FormDialog
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import announce_done
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import ListView
from projects import accounts, services
from projects.filters import ProjectFilter
from projects.models import Project
from projects.settings_forms import NewProjectForm, ProfileForm


class ProjectList(ListView):
    """Every project one is a member of; the name makes it the current one."""

    model = Project
    filterset_class = ProjectFilter
    ordering = "name"
    columns = (
        Column("name", "Name", template="settings/_choose.html", narrow="lead", sort="name"),
        Column("slug", "Slug", kind="code", sort="slug"),
        Column("role", "Your role", kind="badge"),
        Column("status", "Status", kind="status", narrow="side"),
        Column("members", "Members", kind="count"),
        Column("created_at", "Since", kind="ago", sort="created_at"),
    )

    def in_project(self, queryset: QuerySet) -> QuerySet:
        """All of them."""
        return queryset

    def get_queryset(self) -> QuerySet:
        """With the number of members."""
        return super().get_queryset().annotate(members=Count("memberships"))

    def prepare(self, rows: list[Project]) -> list[Project]:
        """With one's own role."""
        roles = self.request.user.project_roles()
        for row in rows:
            row.role = roles[row.pk].split()[-1]
            row.csrf_token = get_token(self.request)
        return rows

    def get_actions(self) -> list[Verb]:
        """A new one."""
        url = reverse("projects:create")
        gone = reverse("trash:list", args=["projects"])
        return [
            Verb("Deleted projects", gone, icon="trash"),
            Verb("New project", url, icon="plus", dialog=True, kind="primary"),
        ]


class ProjectNew(FormDialog):
    """A project of one's own; it becomes the current one."""

    model = Project
    form_class = NewProjectForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Everybody who is signed in may have projects."""
        self.row = None
        return View.dispatch(self, request, *args, **kwargs)

    def save(self, form: Any) -> Project:
        """Make it."""
        project = services.create_project(actor=self.request.user, **form.body())
        self.request.place.choose(project.pk)
        return project


class ProfilePage(View):
    """Oneself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form."""
        return self.show(request, ProfileForm(initial={"name": request.user.name}))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Change one's name."""
        form = ProfileForm(request.POST)
        if form.is_valid():
            try:
                accounts.change_profile(request.user, **form.cleaned_data)
            except DomainError as error:
                form.add_error("name", error.message)
        if not form.is_valid():
            return self.show(request, form, 422)
        return announce_done(request, "Your profile is saved.", go_to=request.path)

    def show(self, request: HttpRequest, form: ProfileForm, status: int = 200) -> HttpResponse:
        """The page."""
        memberships = request.user.memberships.filter(project__deleted_at=None)
        context = {
            "form": form,
            "memberships": memberships.select_related("project").order_by("project__name"),
        }
        return render(request, "settings/profile.html", context, status=status)
