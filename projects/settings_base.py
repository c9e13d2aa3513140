"""What the pages of settings share: the sections above them, and dialogs inside a project."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify

from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.fragments import wants_fragment
from controlplane.kit.tables import Verb
from controlplane.kit.views import KitView, ListView

SECTIONS = (
    ("Project", "settings:project", "projects.view_project"),
    ("Members", "settings:members", "projects.view_membership"),
    ("Invitations", "settings:invitations", "projects.view_invitation"),
    ("Environments", "settings:environments", "projects.view_environment"),
    ("Secrets", "settings:secrets", "projects.view_secret"),
    ("API keys", "settings:keys", "projects.view_apikey"),
    ("Data", "settings-data:page", "projects.view_project"),
)


def sections(view: KitView) -> list[dict[str, Any]]:
    """The sections this user may see, the current one marked."""
    return [
        {"label": label, "url": reverse(name), "active": view.request.path == reverse(name)}
        for label, name, permission in SECTIONS
        if view.request.user.has_perm(permission, view.project)
    ]


class ChangeEvent:
    """Lists listen to the event that is named by the noun."""

    @property
    def event(self) -> str:
        """The event that tells a page that a row changed."""
        return f"{slugify(self.noun)}-changed"


class SettingsList(ChangeEvent, ListView):
    """A list among the settings."""

    template_name = "settings/list.html"

    def get_context(self, queryset: Any) -> dict[str, Any]:
        """With the sections."""
        return {**super().get_context(queryset), "sections": sections(self)}


def row_verbs(view: Any, row: Any, name: str) -> list[Verb]:
    """Edit and delete of a row, as far as the role allows."""
    verbs = []
    if view.may("change", row):
        url = reverse(f"settings:{name}_edit", args=[row.pk])
        verbs.append(Verb("Edit", url, icon="pencil", dialog=True))
    if view.may("delete", row):
        url = reverse(f"settings:{name}_delete", args=[row.pk])
        verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True))
    return verbs


class SettingsDialog(ChangeEvent, FormDialog):
    """A dialog over a row of the current project, which the API names in the path."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """The viewset finds the project where it looks for it."""
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and request.place.project is not None:
            self.kwargs = {**self.kwargs, "project_pk": str(request.place.project.pk)}


class SettingsDelete(ChangeEvent, DeleteDialog):
    """Deleting a row of the settings leads back to its list."""

    def get_list_url(self, row: Any) -> str:
        """The list it stood in."""
        return row.get_absolute_url()


class ShownOnce(SettingsDialog):
    """A dialog that ends with something that is shown this once: a key, a link."""

    once_title: ClassVar[str]
    once_text: ClassVar[str]
    once = ""

    def done(self, row: Any) -> HttpResponse:
        """What is shown once, or the usual end where there is nothing."""
        if not self.once:
            return super().done(row)
        name = "settings/_once.html" if wants_fragment(self.request) else "settings/once.html"
        context = {
            "title": self.once_title,
            "text": self.once_text,
            "once": self.once,
            "back": row.get_absolute_url(),
        }
        response = render(self.request, name, context)
        response.headers["HX-Trigger"] = self.event
        response.headers["Cache-Control"] = "no-store"
        return response
