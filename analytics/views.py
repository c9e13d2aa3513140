"""The pages of exports: the list with its progress, the file, throwing away."""

import gzip
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import resolve, reverse

from analytics import exports
from analytics.filters import ExportFilter
from analytics.models import Export, ExportPart
from controlplane.kit.errors import DomainError
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.sheets import FILES
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import KitView, ListView


class ExportList(ListView):
    """One's own exports of the project, the newest first; those in the making show how far."""

    model = Export
    title = "Exports"
    filterset_class = ExportFilter
    columns = (
        Column("title", "List", template="analytics/_export_name.html", narrow="lead"),
        Column("status", "Status", kind="status", narrow="side"),
        Column("rows", "Rows", template="analytics/_export_rows.html"),
        Column("get_format_display", "Format", template="analytics/_export_format.html"),
        Column("size_bytes", "Size", template="analytics/_export_size.html"),
        Column("created_at", "Asked for", kind="ago", sort="created_at"),
        Column("expires_at", "Deleted", kind="ago", narrow="wide-only"),
    )
    exported = (
        "id", "title", "path", "query", "format", "status", "rows", "size_bytes", "created_at",
        "ended_at", "expires_at",
    )  # fmt: skip
    empty = {
        "title": "No exports yet",
        "text": "Every list can be exported. Small files come at once; large ones are made in the "
        "background and wait here for a week.",
        "icon": "download",
    }

    def get_menu(self, row: Export) -> list[Verb]:
        """Taking it or throwing it away."""
        verbs = []
        if row.status == "done":
            url = reverse("exports:file", args=[row.pk])
            verbs.append(Verb("Download", url, icon="download"))
        if self.may("delete", row):
            url = reverse("exports:delete", args=[row.pk])
            verbs.append(Verb("Delete", url, icon="trash", post=True, danger=True))
        return verbs


class ExportProgress(KitView):
    """How far an export is; the cell of its row asks while it is made, and once it is ready the
    list fetches itself anew."""

    model = Export

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The cell."""
        row = self.get_row()
        answer = render(request, "analytics/_export_rows.html", {"object": row})
        if not row.is_open:
            answer.headers["HX-Trigger"] = self.event
        return answer


def file_of(export: Export, user: Any) -> HttpResponseBase:
    """The file, part by part. The right to see the list is asked again: a role may be less now.
    DomainError where it is not ready."""
    if export.status != "done":
        raise DomainError("This export is not ready.", code="not_ready")
    view_class: Any = resolve(export.path).func.view_class  # type: ignore[attr-defined]
    require(user, permission_name(view_class.verb, view_class.model), export.project)
    return StreamingHttpResponse(
        _parts(export),
        content_type=FILES[export.format].media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{export.file_name}"',
            "Content-Length": str(export.size_bytes),
            "Cache-Control": "no-store",
        },
    )


def _parts(export: Export) -> Iterator[bytes]:
    number = 1
    while part := ExportPart.objects.filter(export=export, number=number).first():
        yield gzip.decompress(part.content)
        number += 1


class ExportFile(KitView):
    """The file of an export."""

    model = Export

    def get(self, request: HttpRequest, pk: str) -> HttpResponseBase:
        """For download."""
        return file_of(self.get_row(), request.user)


class ExportDelete(ActionView):
    """Throwing an export away."""

    model = Export
    verb = "delete"

    def perform(self, row: Export) -> tuple[str, str | None]:
        """With its file."""
        exports.throw_away(row, actor=self.request.user)
        return f"{row} was deleted.", None
