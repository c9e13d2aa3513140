"""Columns of a list: what is shown, how, and by what it is sorted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

RIGHT = {"money", "cost", "ms", "count"}


@dataclass(frozen=True)
class Column:
    """One column. `name` is a path of attributes (`workflow.name`). `kind` says how a value is
    drawn (controlplane.templatetags.cells), unless the column has a `template` of its own. `sort`
    is a field to order by, `narrow` the cell's place on a narrow screen: lead, side, meta or
    wide-only."""

    name: str
    label: str
    kind: str = "text"
    sort: str = ""
    narrow: str = "meta"
    template: str = ""

    @property
    def css(self) -> str:
        """Classes of its cells."""
        return f"{self.narrow} number" if self.kind in RIGHT else self.narrow

    def value(self, row: Any) -> Any:
        """What this column shows of `row`; None where the path breaks off."""
        for part in self.name.split("."):
            row = row.get(part) if isinstance(row, dict) else getattr(row, part, None)
            if row is None:
                return None
        return row


@dataclass(frozen=True)
class Verb:
    """An entry of a row's menu, or an action of a page."""

    label: str
    url: str
    icon: str = ""
    dialog: bool = False
    post: bool = False
    danger: bool = False
    kind: str = ""


@dataclass
class Table:
    """A table ready to be drawn by components/_table.html."""

    caption: str
    columns: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    has_menus: bool = field(default=False)
    # Whether rows can be ticked for what is done in bulk.
    selects: bool = field(default=False)


def head(columns: Iterable[Column], ordering: Sequence[str]) -> list[dict[str, Any]]:
    """The heads of columns: how each is sorted now, and what its link asks for."""
    first = ordering[0] if ordering else ""
    heads = []
    for column in columns:
        ascending, descending = first == column.sort, first == f"-{column.sort}"
        sorted_now = ""
        if column.sort and (ascending or descending):
            sorted_now = "ascending" if ascending else "descending"
        heads.append(
            {
                "label": column.label,
                "css": f"{column.narrow} right" if column.kind in RIGHT else column.narrow,
                "sort": column.sort,
                "sorted": sorted_now,
                "next": f"-{column.sort}" if ascending else column.sort,
            }
        )
    return heads


def body_row(columns: Iterable[Column], row: Any, menu: Sequence[Verb] = ()) -> dict[str, Any]:
    """One row of the body."""
    return {
        "id": row.pk,
        "object": row,
        "url": row.get_absolute_url(),
        "menu": list(menu),
        "menu_label": f"Actions of {row}",
        "cells": [
            {"kind": c.kind, "template": c.template, "value": c.value(row), "css": c.css}
            for c in columns
        ],
    }
