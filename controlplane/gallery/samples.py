"""Invented content for the gallery of components."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django import forms

from controlplane.templatetags.formats import LOOKS


class SampleForm(forms.Form):
    """A field of each shape, valid or not."""

    name = forms.CharField(help_text="Shown in lists and messages.")
    slug = forms.SlugField(required=False)
    kind = forms.ChoiceField(choices=[("http", "HTTP"), ("python", "Python")])
    note = forms.CharField(widget=forms.Textarea, required=False)
    enabled = forms.BooleanField(required=False, help_text="Runs only while this is on.")
    overlap = forms.ChoiceField(
        choices=[("skip", "Skip"), ("queue", "Queue")], widget=forms.RadioSelect
    )


AT = datetime(2026, 11, 22, 9, 30, 4, 120_000, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> \x1b[31mred \u202eevil"
JSON = {
    "amount": "4180.00",
    "currency": "USD",
    "count": 12345678901234567890,
    "ok": True,
    "nested": {"list": [1, 2.5, None], "text": HOSTILE},
    "empty": {},
}
LINES = [
    {
        "seq": n,
        "at": AT + timedelta(milliseconds=137 * n),
        "level": level,
        "step_name": step,
        "message": text,
    }
    for n, (level, step, text) in enumerate(
        [
            ("debug", "fetch", "resolving claims.internal"),
            ("info", "fetch", "GET https://claims.internal/claims/20418 200 in 398 ms"),
            ("warning", "assess", "answer was cut at 4,096 tokens"),
            ("error", "assess", HOSTILE),
        ]
    )
]


def _bar(key: str, name: str, kind: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "name": name, "kind": kind, "status": status, "depth": 0, **more}


TIMELINE = [
    _bar("a", "Fetch claim", "tool · claims.get", "succeeded", x="0.00", width="3.30", ms=412),
    _bar("b", "Read documents", "map", "succeeded", x="3.50", width="21.00", ms=2_480),
    _bar("c", "documents[0]", "agent", "failed", x="3.60", width="8.80", ms=1_060) | {"depth": 1},
    {"hidden": 28, "parent": "b", "depth": 1},
    _bar(
        "d", "Assess", "agent", "running", x="25.00", width="31.00", ms=3_660, live=True, since=AT
    ),
    _bar("e", "Approve", "approval", "waiting", x="57.00", width="43.00", ms=161_000, chosen=True),
    _bar("f", "Pay out", "tool · ledger.transfer", "pending", x=None, ms=None),
]
TICKS = [
    {"x": "0.00", "ms": 0},
    {"x": "25.00", "ms": 2_000},
    {"x": "100", "ms": 169_000, "last": True, "broken": True},
]
PAGE = {
    "first": 26,
    "last": 50,
    "count": 10_000,
    "exact": False,
    "number": 2,
    "numbers": [1, 2, 3, None, 400],
    "previous": 1,
    "next": 3,
    "size": 25,
    "sizes": [25, 50, 100],
}
STATUSES = [
    {"value": word, "label": LOOKS[word].label, "checked": word == "failed"}
    for word in ("running", "failed", "cancelled")
]
CHIPS = [
    {
        "name": "period",
        "label": "Last 24 hours",
        "kind": "period",
        "chosen": "",
        "clear_url": "?",
        "options": [{"value": "24h", "label": "Last 24 hours", "checked": True}],
        "after": "",
        "before": "",
    },
    {
        "name": "status",
        "label": "Status",
        "kind": "many",
        "chosen": "failed, timed out +3",
        "clear_url": "?",
        "options": STATUSES,
        "looks": True,
    },
    {
        "name": "workflow",
        "label": "Workflow",
        "kind": "many",
        "chosen": "",
        "clear_url": "?",
        "options": [],
    },
    {
        "name": "tag",
        "label": "Tag",
        "kind": "many",
        "chosen": "eu",
        "clear_url": "?",
        "options": [{"value": "eu", "label": "eu", "checked": True}],
        "free": True,
    },
]


class Thing(NamedTuple):
    """What a table row is made from."""

    pk: str
    currency: str = "USD"
    duration_share: int | None = 43


def _cells(*cells: tuple[str, Any, str]) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "template": "", "value": value, "css": css} for kind, value, css in cells
    ]


ROWS = [
    {
        "id": name,
        "url": f"?row={name}",
        "object": Thing(f"0192c4f1-0000-7000-8000-0000{name}"),
        "selected": name == "c09d4417",
        "menu_label": f"Actions of {workflow}",
        "menu": [
            {"label": "Open", "icon": "eye", "url": "?"},
            {"label": "Edit", "icon": "pencil", "url": "?", "dialog": True},
            {"label": "Cancel", "icon": "ban", "url": "?", "post": True, "danger": True},
        ],
        "cells": _cells(
            ("status", status, "side"),
            ("lead_id", workflow, "lead"),
            ("text", "webhook", "meta"),
            ("ago", AT, "meta"),
            ("duration", 169_000, "meta"),
            ("money", cost, "number meta"),
            ("tags", ["demo"], "wide-only"),
        ),
    }
    for name, status, workflow, cost in (
        ("b81e02d7", "running", "Claim intake", "0.0062"),
        ("c09d4417", "failed", "Ledger reconcile", None),
        ("08ac63f5", "cancelled", "Backfill", "0"),
    )
]
COLUMNS = [
    {"label": "Status", "css": "side"},
    {
        "label": "Workflow",
        "css": "lead",
        "sort": "workflow",
        "sorted": "ascending",
        "next": "-workflow",
    },
    {"label": "Trigger", "css": "meta"},
    {"label": "Started", "css": "meta", "sort": "started_at", "sorted": "", "next": "-started_at"},
    {"label": "Duration", "css": "meta"},
    {"label": "Cost", "css": "right meta"},
    {"label": "Tags", "css": "wide-only"},
]
TABLE = {"caption": "Runs", "columns": COLUMNS, "rows": ROWS, "has_menus": True}
