"""Choosing the project and the environment that pages show."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View

from controlplane.kit.ids import parse_uuid


class Choose(View):
    """A choice of the top bar by POST, kept in the session; back to where it was made."""

    http_method_names = ("post", "options")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep the choice."""
        self.keep(request, request.place)
        return HttpResponseRedirect(self.next_url(request))

    def keep(self, request: HttpRequest, place: Any) -> None:
        """Write the choice into the session."""
        raise NotImplementedError

    def next_url(self, request: HttpRequest) -> str:
        """The page it was made on, if that is one of ours."""
        url = request.POST.get("next", "/")
        own = url_has_allowed_host_and_scheme(
            url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )
        return url if own else "/"


class ChooseProject(Choose):
    """The project of all pages."""

    def keep(self, request: HttpRequest, place: Any) -> None:
        """Only a project one is a member of."""
        key = parse_uuid(request.POST.get("project"))
        if key not in {project.pk for project in place.projects}:
            raise Http404
        place.choose(key)

    def next_url(self, request: HttpRequest) -> str:
        """The list one was on; what was open belongs to the other project."""
        parts = super().next_url(request).split("?")[0].strip("/").split("/")
        return f"/{parts[0]}/" if parts[0] else "/"


class ChooseEnvironment(Choose):
    """The environment lists are narrowed to; an empty name means all."""

    def keep(self, request: HttpRequest, place: Any) -> None:
        """Only one of the current project."""
        name = request.POST.get("environment", "")
        if name and name not in {environment.name for environment in place.environments}:
            raise Http404
        request.session["environment"] = name
