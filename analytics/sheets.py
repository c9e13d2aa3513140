"""Reports as tables: CSV of one table, a workbook of all of them."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string
from rest_framework.renderers import BaseRenderer

from controlplane.kit.errors import InvalidInput
from controlplane.kit.json import money

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Loaded at the first workbook: a web process that never makes one need not hold it.
WORKBOOK = "openpyxl.Workbook"
CELL = "openpyxl.cell.WriteOnlyCell"
# Spreadsheets take text that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Table:
    """A heading and rows of values."""

    columns: list[str]
    rows: list[list[Any]]


def tables(report: Mapping[str, Any], serializer: Any = None) -> dict[str, Table]:
    """Every list of a report as a table of flat rows, then its totals as one of a single row. The
    serializer of the report tells the columns of a list that is empty."""
    found: dict[str, Table] = {}
    single: dict[str, Table] = {}
    for name, value in report.items():
        if isinstance(value, list):
            found[name] = _table(value, serializer.fields[name].child if serializer else None)
        elif name == "figures":
            rows = [{"figure": figure, **row} for figure, row in value.items()]
            found[name] = _table(rows)
        elif isinstance(value, Mapping):
            single[name] = _table([value])
    return found | single


def _table(rows: list[Any], serializer: Any = None) -> Table:
    flat = [_flat(row) for row in rows]
    columns = list(flat[0]) if flat else _columns(serializer)
    return Table(columns, [list(row.values()) for row in flat])


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _columns(serializer: Any, prefix: str = "") -> list[str]:
    columns: list[str] = []
    for name, field in serializer.fields.items() if serializer else ():
        inner = _columns(field, f"{prefix}{name}.") if hasattr(field, "fields") else None
        columns += inner or [f"{prefix}{name}"]
    return columns


def as_csv(table: Table) -> bytes:
    """A heading and the rows, comma separated; nothing in it is taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in table.rows)
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
        for values in (table.columns, *table.rows):
            sheet.append([_xlsx_cell(cell, sheet, value) for value in values])
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


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
        found = tables(data, context["view"].serializer())
        return as_csv(chosen(found, context["request"].query_params.get("table")))


class XlsxRenderer(BaseRenderer):
    """All tables of a report."""

    media_type = XLSX_TYPE
    format = "xlsx"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None):
        """The tables as a workbook."""
        return as_xlsx(tables(data, (renderer_context or {})["view"].serializer()))


def chosen(found: Mapping[str, Table], name: str | None) -> Table:
    """The table of that name, the first without one; 422 where there is none."""
    if not name:
        return next(iter(found.values()))
    if name not in found:
        message = f"table is one of {', '.join(found)}."
        raise InvalidInput.of("table", message, "invalid_choice")
    return found[name]
