"""Reports as tables: CSV of one table, a workbook of all of them."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string
from rest_framework.renderers import BaseRenderer

from controlplane.kit.errors import InvalidInput
from controlplane.kit.json import money

Table = list[dict[str, Any]]
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Loaded at the first workbook: a web process that never makes one need not hold it.
WORKBOOK = "openpyxl.Workbook"
CELL = "openpyxl.cell.WriteOnlyCell"
# Spreadsheets take text that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def tables(report: Mapping[str, Any]) -> dict[str, Table]:
    """Every list of a report as a table of flat rows, then its totals as one of a single row."""
    found: dict[str, Table] = {}
    for name, value in report.items():
        if isinstance(value, list):
            found[name] = [_flat(row) for row in value]
        elif name == "figures":
            found[name] = [{"figure": figure, **_flat(row)} for figure, row in value.items()]
    single = {k: v for k, v in report.items() if isinstance(v, Mapping) and k != "figures"}
    return found | {name: [_flat(row)] for name, row in single.items()}


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def as_csv(table: Table) -> bytes:
    """A heading and the rows, comma separated; nothing in it is taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    if table:
        writer.writerow(table[0])
    writer.writerows([_csv_cell(value) for value in row.values()] for row in table)
    return text.getvalue().encode()


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def as_xlsx(found: Mapping[str, Table]) -> bytes:
    """A workbook with a sheet for each table."""
    workbook = import_string(WORKBOOK)(write_only=True)
    cell = import_string(CELL)
    for name, table in found.items():
        sheet = workbook.create_sheet(name[:31])
        for values in _rows(table):
            sheet.append([_xlsx_cell(cell, sheet, value) for value in values])
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def _rows(table: Table) -> Iterator[list[Any]]:
    if table:
        yield list(table[0])
    for row in table:
        yield list(row.values())


def _xlsx_cell(cell: Any, sheet: Any, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        made = cell(sheet, "".join(c for c in value if c.isprintable()))
        made.data_type = "s"
        return made
    return value


class CsvRenderer(BaseRenderer):
    """One table of a report: `?table=`, else its first."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"
    render_style = "text"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None):
        """The table as CSV."""
        context = renderer_context or {}
        return as_csv(chosen(tables(data), context["request"].query_params.get("table")))


class XlsxRenderer(BaseRenderer):
    """All tables of a report."""

    media_type = XLSX_TYPE
    format = "xlsx"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None):
        """The tables as a workbook."""
        return as_xlsx(tables(data))


def chosen(found: Mapping[str, Table], name: str | None) -> Table:
    """The table of that name, the first without one; 422 where there is none."""
    if not name:
        return next(iter(found.values()))
    if name not in found:
        message = f"table is one of {', '.join(found)}."
        raise InvalidInput.of("table", message, "invalid_choice")
    return found[name]
