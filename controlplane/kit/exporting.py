"""Lists as files, as filtered: sent at once, piece by piece, or made in the background where they
are large. Which rows and columns is told by the list's own view."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, reverse
from django.utils.module_loading import import_string
from django.utils.text import slugify
from rest_framework.response import Response

from controlplane.kit import audit, pages
from controlplane.kit.errors import InvalidInput
from controlplane.kit.fragments import announce_done
from controlplane.kit.lookup import ordered
from controlplane.kit.pagination import EXACT_TO, total_order
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.sheets import FILES
from controlplane.kit.tables import Column

ROWS_A_PIECE = 1_000
# A workbook cannot be sent while it is made; so many rows take about a second.
SHEET_AT_ONCE = 2_000
MOST_SELECTED = 1_000
# What belongs to the page and not to the list.
OF_THE_PAGE = ("export", "page", "page_size", "rows", "cursor")


@dataclass
class NoSession:
    """The place of a list that nobody looks at: its project, and no choice of the top bar."""

    project: Any
    projects: Sequence[Any] = ()
    environments: Sequence[Any] = ()
    environment: Any = None


@dataclass
class Listing:
    """What is to be exported: a list's view, set up with a request, and the kind of file."""

    view: Any
    kind: str
    columns: list[Column] = field(default_factory=list)

    def __post_init__(self) -> None:
        paths = self.view.exported or ("id", *(column.name for column in self.view.columns))
        pairs = [path if isinstance(path, tuple) else (path, path) for path in paths]
        self.columns = [Column(path, name.replace(".", "_")) for path, name in pairs]

    def rows(self) -> QuerySet:
        """The rows of the list, filtered and ordered; of a selection only those."""
        view = self.view
        queryset, _ = view.narrowed(view.in_project(view.get_exported()))
        if selected := view.request.GET.getlist("selected"):
            queryset = queryset.filter(pk__in=_keys(view.model, selected))
        order = pages.ordering_of(
            view.request, [c.sort for c in view.columns if c.sort], view.ordering
        )
        return ordered(queryset, total_order(queryset.order_by(*order)))

    def count(self, most: int) -> int:
        """How many rows, counted to one more than `most`."""
        return self.rows().order_by().values("pk")[: most + 1].count()

    def values(self) -> Iterator[list[list[Any]]]:
        """The rows' values, some at a time, from a cursor on the server."""
        rows = self.rows().iterator(chunk_size=ROWS_A_PIECE)
        while piece := list(itertools.islice(rows, ROWS_A_PIECE)):
            prepared = self.view.prepare(piece)
            yield [[column.value(row) for column in self.columns] for row in prepared]

    def file(self) -> Any:
        """The empty file of this kind."""
        return FILES[self.kind]([column.label for column in self.columns])

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{slugify(self.view.get_title())}.{self.kind}"

    @property
    def query(self) -> str:
        """The filters, as they must be asked to get the same rows without a session."""
        query = self.view.request.GET.copy()
        for name in OF_THE_PAGE:
            query.pop(name, None)
        environment = self.view.request.place.environment
        if self.view.environment_path and environment and "environment" not in query:
            query["environment"] = environment.name
        return str(query.urlencode())


def _keys(model: Any, texts: Sequence[str]) -> list[Any]:
    keys = []
    for text in texts[:MOST_SELECTED]:
        try:
            keys.append(model._meta.pk.to_python(text))
        except ValidationError:
            continue
    return keys


def kind_of(text: str) -> str:
    """The kind of file; 422 for one that is not made."""
    if text not in FILES:
        raise InvalidInput.of("export", f"export is one of {', '.join(FILES)}.", "invalid_choice")
    return text


@cache
def _exporter() -> Any:
    return import_string(settings.EXPORTER)


def answer(view: Any) -> HttpResponseBase:
    """The answer of a list's page to ?export=: the file, or the page where it will be ready."""
    listing = Listing(view, kind_of(view.request.GET["export"]))
    most = SHEET_AT_ONCE if listing.kind == "xlsx" else EXACT_TO
    count = listing.count(most)
    if count <= most:
        return stream(listing)
    made = _exporter()(listing, actor=view.request.user)
    said = "The export is being made; it will be ready for download here."
    return announce_done(view.request, said, go_to=made.get_absolute_url())


def stream(listing: Listing) -> HttpResponseBase:
    """The file, sent while it is read. Its audit row is written before the first byte."""
    view = listing.view
    if view.project is not None:
        audit.record(
            "list.exported",
            actor=view.request.user,
            project_id=view.project.pk,
            target=view.project,
            after={"list": view.request.path, "query": listing.query, "format": listing.kind},
        )
    file = listing.file()
    return StreamingHttpResponse(
        _pieces(listing, file),
        content_type=file.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{listing.name}"',
            "Cache-Control": "no-store",
        },
    )


def _pieces(listing: Listing, file: Any) -> Iterator[bytes]:
    # One transaction, so that the cursor sees one moment and leaves nothing behind on the server.
    # It only reads, so it holds up nobody.
    with transaction.atomic():
        yield file.head()
        for rows in listing.values():
            yield file.rows(rows)
        yield from file.end()


def listing_of(
    path: str, *, kind: str, user: Any, project: Any, query: str, given: HttpRequest | None = None
) -> Listing:
    """The list of a page, by its path, as `user` sees it in `project`; PermissionDenied where the
    role forbids it, 422 where there is no such list. `given` is the request that asks, if any."""
    try:
        match = resolve(path)
    except Resolver404:
        match = None
    view_class = getattr(getattr(match, "func", None), "view_class", None)
    if match is None or view_class is None or not hasattr(view_class, "exported"):
        raise InvalidInput.of("list", "There is no such list.", "does_not_exist")
    request = HttpRequest()
    request.method, request.path = "GET", path
    request.GET = QueryDict(query)
    request.user, request.place = user, NoSession(project)
    request.request_id = getattr(given, "request_id", "")
    request.htmx = False
    view = view_class()
    view.setup(request, *match.args, **match.kwargs)
    require(user, permission_name(view.verb, view.model), project)
    return Listing(view, kind)


def api_answer(viewset: Any, kind: str) -> HttpResponse | HttpResponseBase:
    """The answer of a collection of the API to ?export=: a file of the list its page shows. CSV and
    JSON are sent at any size; a large workbook is made in the background, then 202 says where."""
    request, query = viewset.request, viewset.request.query_params.copy()
    project = _project_of(viewset, query.get("project", ""))
    query.pop("project", None)
    listing = listing_of(
        reverse(viewset.page), kind=kind_of(kind), user=request.user, project=project,
        query=query.urlencode(), given=request,
    )  # fmt: skip
    if kind != "xlsx" or listing.count(SHEET_AT_ONCE) <= SHEET_AT_ONCE:
        return stream(listing)
    made = _exporter()(listing, actor=request.user)
    where = f"/api/v1/exports/{made.pk}"
    body = {"id": str(made.pk), "status": made.status, "url": where}
    return Response(body, status=202, headers={"Location": where})


class ExportedList:
    """What a collection of the API needs to answer ?export=csv|xlsx|json."""

    # The name of the page that lists the same rows, whose columns the file has; without: no file.
    page: ClassVar[str] = ""

    def list(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """A page of rows, or a file of all of them."""
        kind = request.query_params.get("export")
        if kind is not None and self.page:
            return api_answer(self, kind)
        return super().list(request, *args, **kwargs)


def _project_of(viewset: Any, text: str) -> Any:
    """The one project a file is made of: the named one, or the only one of the caller."""
    projects = viewset.request._request.place.projects
    if not text and len(projects) == 1:
        return projects[0]
    found = next((project for project in projects if str(project.pk) == text.lower()), None)
    if found is None:
        code = "does_not_exist" if text else "required"
        raise InvalidInput.of("project", "Name the project whose rows to export.", code)
    return found
