"""What the admin needs on tables of millions, and files in and out of it."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from django.utils.module_loading import import_string

from controlplane.kit import audit
from controlplane.kit.pagination import bounded_count
from controlplane.kit.sheets import FILES

ROWS_A_PIECE = 1_000
# Loaded at the first import: a process that never sees one need not hold it.
IMPORT_MIXIN = "import_export.admin.ImportMixin"


class BoundedPaginator(Paginator):
    """Pages that are counted to 10,000 rows only."""

    @cached_property
    def count(self) -> int:
        """How many rows, at most what is counted."""
        rows: Any = self.object_list
        return bounded_count(rows)[0]


def columns(model_admin: Any) -> list[str]:
    """The key and the listed columns as they are stored: a relation as its raw id. What a list does
    not show (a hash, a password, a secret) is in no file either."""
    names = [model_admin.model._meta.pk.attname]
    for name in model_admin.list_display:
        try:
            names.append(model_admin.model._meta.get_field(name).attname)
        except (FieldDoesNotExist, AttributeError):
            continue
    return list(dict.fromkeys(names))


def _pieces(queryset: QuerySet, names: list[str], file: Any) -> Iterator[bytes]:
    with transaction.atomic():  # so that the rows come from a cursor on the server
        yield file.head()
        rows = []
        for row in queryset.values_list(*names).iterator(chunk_size=ROWS_A_PIECE):
            rows.append(row)
            if len(rows) == ROWS_A_PIECE:
                yield file.rows(rows)
                rows = []
        yield file.rows(rows)
        yield from file.end()


def export_action(kind: str, label: str) -> Callable[..., StreamingHttpResponse]:
    """An action of every list of the admin: the chosen rows as a file, streamed."""

    @admin.action(description=f"Export as {label}", permissions=["view"])
    def export(model_admin: Any, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        meta = model_admin.model._meta
        names = columns(model_admin)
        audit.record(
            "admin.exported",
            actor=request.user,
            project_id=None,
            target=meta.label_lower,
            target_type="model",
            after={"format": kind, "columns": names},
        )
        file = FILES[kind](names)
        return StreamingHttpResponse(
            _pieces(queryset.select_related(None), names, file),
            content_type=file.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{meta.model_name}.{kind}"',
                "Cache-Control": "no-store",
            },
        )

    return export


class ImportedAdmin(admin.ModelAdmin):
    """Rows may come from a file here, with a dry run and the faults of each row, by
    django-import-export. For models without rules of their own in a service."""

    change_list_template = "admin/imported_list.html"

    def get_urls(self) -> list[Any]:
        """With the two pages of an import."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        doors = [
            path(f"{step}/", self.admin_site.admin_view(self._door(method)), name=f"{name}_{step}")
            for step, method in (("import", "import_action"), ("process_import", "process_import"))
        ]
        return [*doors, *super().get_urls()]

    def _door(self, method: str) -> Callable[..., Any]:
        def door(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return getattr(self._importer, method)(request, *args, **kwargs)

        return door

    @cached_property
    def _importer(self) -> Any:
        """The same admin with the pages of django-import-export."""
        mixin = import_string(IMPORT_MIXIN)

        def process_result(importer: Any, result: Any, request: HttpRequest) -> Any:
            self.imported(request, result)
            return mixin.process_result(importer, result, request)

        hooks = {
            "has_import_permission": lambda importer, request: self.has_add_permission(request),
            "process_result": process_result,
        }
        return type("Importer", (mixin, type(self)), hooks)(self.model, self.admin_site)

    def imported(self, request: HttpRequest, result: Any) -> None:
        """Rows have come: an audit row; override to do more."""
        totals = {name: count for name, count in result.totals.items() if count}
        audit.record(
            "admin.imported",
            actor=request.user,
            project_id=None,
            target=self.model._meta.label_lower,
            target_type="model",
            after=totals,
        )
