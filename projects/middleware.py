"""The current project and environment, chosen once in the top bar and kept in the session."""

from collections.abc import Callable
from functools import cached_property
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from controlplane.kit.ids import parse_uuid
from projects import saved_views
from projects.models import Environment, Project, SavedView


class Place:
    """Where the user is: read from the session when first asked."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self._views: dict[str, list[SavedView]] = {}

    @cached_property
    def projects(self) -> list[Project]:
        """The projects the user is a member of."""
        return list(Project.objects.visible_to(self.request.user).order_by("name"))

    @cached_property
    def project(self) -> Project | None:
        """The chosen project, else the first; None for a user without any."""
        wanted = parse_uuid(self.request.session.get("project"))
        by_id = {p.pk: p for p in self.projects}
        return by_id.get(wanted) or next(iter(self.projects), None)

    @cached_property
    def environments(self) -> list[Environment]:
        """The environments of the chosen project, by rank."""
        if self.project is None:
            return []
        return list(Environment.objects.filter(project=self.project))

    @cached_property
    def environment(self) -> Environment | None:
        """The environment pages are narrowed to; None means all."""
        wanted = self.request.session.get("environment")
        return next((e for e in self.environments if e.name == wanted), None)

    def saved_views(self, table: str) -> list[SavedView]:
        """The saved views of a list of the chosen project: own and shared ones."""
        if self.project is None:
            return []
        if table not in self._views:
            self._views[table] = saved_views.views_of(self.request.user, self.project, table)
        return self._views[table]

    def default_view(self, table: str) -> SavedView | None:
        """The view a list opens with."""
        views = self.saved_views(table)
        if self.project is None or not any(view.is_default for view in views):
            return None
        admins = saved_views.admins_of(self.project)
        return saved_views.default_of(views, self.request.user, admins)

    def choose(self, project_id: UUID) -> None:
        """Make another project the current one, from this request on."""
        self.request.session["project"] = str(project_id)
        for name in ("project", "environments", "environment"):
            self.__dict__.pop(name, None)


class CurrentProjectMiddleware:
    """Puts `place` on the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Lazy, so that API calls and fragments pay for nothing they do not use."""
        request.place = Place(request)
        return self.get_response(request)
