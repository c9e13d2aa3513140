"""Rows as files, piece by piece: CSV, JSON, and a workbook; what is text is never a formula."""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.utils.module_loading import import_string

from controlplane.kit.json import dumps, money

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Loaded at the first workbook: a process that never makes one need not hold it.
WORKBOOK = "openpyxl.Workbook"
CELL = "openpyxl.cell.WriteOnlyCell"
# Spreadsheets take text that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONGEST_CELL = 32_767
ROWS_A_SHEET = 1_000_000
PIECE_BYTES = 256 * 1024


def moment_text(value: datetime) -> str:
    """ISO 8601 in UTC, as the API writes times."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """What a cell holds of a value: lists as words between commas, objects as JSON."""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(item) for item in value)
    return dumps(value).decode() if isinstance(value, dict) else value


def csv_cell(value: Any) -> Any:
    """A value for a CSV; text that a spreadsheet would take for a formula gets an apostrophe."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def xlsx_cell(cell: Any, sheet: Any, value: Any) -> Any:
    """A value for a workbook; text is typed as text, whatever it begins with."""
    value = plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        made = cell(sheet, "".join(c for c in value if c.isprintable())[:LONGEST_CELL])
        made.data_type = "s"
        return made
    return value if isinstance(value, bool | int | float | Decimal | date | None) else str(value)


class CsvFile:
    """A heading and a line each."""

    media_type: ClassVar[str] = "text/csv; charset=utf-8"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def head(self) -> bytes:
        """The heading."""
        return self._lines([self.names])

    def rows(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """The lines of some rows."""
        return self._lines([csv_cell(value) for value in row] for row in rows)

    def end(self) -> Iterator[bytes]:
        """Nothing more."""
        return iter(())

    def _lines(self, rows: Any) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        # Lone surrogates cannot be stored, but a property may still make text of anything.
        return text.getvalue().encode("utf-8", "replace")


class JsonFile:
    """A list of objects, one a line; values keep their types."""

    media_type: ClassVar[str] = "application/json"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.is_first = True

    def head(self) -> bytes:
        """The opening bracket."""
        return b"["

    def rows(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """The objects of some rows."""
        text = b",\n".join(dumps(dict(zip(self.names, row, strict=True))) for row in rows)
        if not text:
            return b""
        before, self.is_first = (b"\n" if self.is_first else b",\n"), False
        return before + text

    def end(self) -> Iterator[bytes]:
        """The closing bracket."""
        yield b"\n]\n"


class XlsxFile:
    """A workbook, with another sheet for each million rows. It is written to a temporary file as it
    grows, so it needs no memory, but nothing of it can be sent before its end."""

    media_type: ClassVar[str] = XLSX_TYPE

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.book = import_string(WORKBOOK)(write_only=True)
        self.cell = import_string(CELL)
        self.left = 0

    def head(self) -> bytes:
        """The first sheet."""
        self._next_sheet()
        return b""

    def rows(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Put some rows in."""
        for row in rows:
            if not self.left:
                self._next_sheet()
            self.sheet.append([xlsx_cell(self.cell, self.sheet, value) for value in row])
            self.left -= 1
        return b""

    def end(self) -> Iterator[bytes]:
        """The workbook, in pieces."""
        with tempfile.TemporaryFile() as file:
            self.book.save(file)
            file.seek(0)
            while piece := file.read(PIECE_BYTES):
                yield piece

    def _next_sheet(self) -> None:
        self.sheet = self.book.create_sheet(f"Rows {len(self.book.worksheets) + 1}")
        self.sheet.append(list(self.names))
        self.left = ROWS_A_SHEET


FILES: dict[str, Any] = {"csv": CsvFile, "xlsx": XlsxFile, "json": JsonFile}
