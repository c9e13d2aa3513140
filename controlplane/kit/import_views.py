"""The dialog of an import: choose a file, see what would become of each row, confirm."""

import secrets
from typing import Any, ClassVar

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from rest_framework.exceptions import ParseError

from controlplane.kit import importing
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import announce_done, wants_fragment
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.views import KitView

KEPT_SECONDS = 900
MOST_SHOWN = 200
GONE = "The file is no longer kept; choose it again."


class ImportDialog(KitView):
    """Rows of a file into the registry of the current project."""

    verb = "add"
    viewset_class: ClassVar[Any]
    # A file of the list is the best example of one.
    list_url: ClassVar[str] = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask at the door."""
        if self.project is None:
            raise Http404
        require(request.user, permission_name(self.verb, self.model), self.project)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """The choice of a file."""
        return self.show({})

    def post(self, request: HttpRequest) -> HttpResponse:
        """A file: the dry run. Its token: the real one."""
        try:
            if token := request.POST.get("token", ""):
                return self.confirm(token)
            return self.try_out()
        except (DomainError, ParseError) as error:
            text = str(error).replace("The body", "The file", 1)
            return self.show({"fault": text}, 422)

    def try_out(self) -> HttpResponse:
        """What would become of each row; the file is kept for a while."""
        file = self.request.FILES.get("file")
        if file is None:
            return self.show({"fault": "Choose a file."}, 422)
        if (file.size or 0) > importing.MOST_BYTES:
            return self.show({"fault": "The file is larger than 5 MB."}, 422)
        kind = str(file.name).rpartition(".")[2].lower()
        rows = importing.read(file.read(), kind)
        report = importing.run(rows, self.viewset_class, self.request, dry=True)
        token = secrets.token_urlsafe(24)
        if report.is_right:
            cache.set(self.key(token), rows, KEPT_SECONDS)
        return self.show({"report": report, "token": token, "file_name": file.name})

    def confirm(self, token: str) -> HttpResponse:
        """All rows, or none where one has become wrong meanwhile."""
        rows = cache.get(self.key(token))
        if rows is None:
            raise DomainError(GONE)
        report = importing.run(rows, self.viewset_class, self.request, dry=False)
        if not report.is_right:
            return self.show({"report": report, "token": "", "file_name": ""}, 422)
        cache.delete(self.key(token))
        new, changed = report.count(importing.NEW), report.count(importing.CHANGED)
        text = f"Imported: {new} new, {changed} changed."
        return announce_done(self.request, text, go_to=self.list_url)

    def key(self, token: str) -> str:
        """Where the file is kept; another person or project does not find it there."""
        return f"import:{self.request.user.pk}:{self.project.pk}:{token}"

    def show(self, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """The dialog, or a page of its own."""
        report = context.get("report")
        if report is not None:
            wrong = [fate for fate in report.fates if fate.what == importing.WRONG]
            right = [fate for fate in report.fates if fate.what != importing.WRONG]
            context |= {
                "fates": (wrong + right)[:MOST_SHOWN],
                "counts": [(word, report.count(word)) for word in
                           (importing.NEW, importing.CHANGED, importing.SAME, importing.WRONG)],
                "hidden": max(0, len(report.fates) - MOST_SHOWN),
            }  # fmt: skip
        context |= {
            "title": f"Import {self.model._meta.verbose_name_plural}",
            "action": self.request.path,
            "list_url": self.list_url,
        }
        name = "kit/_import_dialog.html" if wants_fragment(self.request) else "kit/import.html"
        return render(self.request, name, context, status=status)
