"""Every component in every state, with invented content: for the gallery page and its tests."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django import forms
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from controlplane.templatetags.formats import LOOKS


class Specimen(NamedTuple):
    """One component (its template under components/) and the states to show it in."""

    template: str
    states: dict[str, dict[str, Any]]


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
    "amount": "4180.00", "currency": "USD", "count": 12345678901234567890, "ok": True,
    "nested": {"list": [1, 2.5, None], "text": HOSTILE}, "empty": {},
}
LINES = [
    {"seq": n, "at": AT + timedelta(milliseconds=137 * n), "level": level, "step_name": step,
     "message": text}
    for n, (level, step, text) in enumerate(
        [
            ("debug", "fetch", "resolving claims.internal"),
            ("info", "fetch", "GET https://claims.internal/claims/20418 200 in 398 ms"),
            ("warning", "assess", "answer was cut at 4,096 tokens"),
            ("error", "assess", HOSTILE),
        ]
    )
]
TIMELINE = [
    {"id": "a", "url": "?step=a", "name": "Fetch claim", "kind": "tool · claims.get", "depth": 0,
     "status": "succeeded", "status_label": "Succeeded", "x": "0.00", "width": "3.30",
     "length": "412 ms"},
    {"id": "b", "url": "?step=b", "name": "Read documents", "kind": "map · 6 of 6", "depth": 0,
     "status": "succeeded", "status_label": "Succeeded", "x": "3.50", "width": "21.00",
     "length": "2.48 s"},
    {"id": "c", "url": "?step=c", "name": "documents[0]", "kind": "agent · extractor", "depth": 1,
     "status": "failed", "status_label": "Failed", "x": "3.60", "width": "8.80",
     "length": "1.06 s"},
    {"id": "d", "url": "?step=d", "name": "Assess", "kind": "agent · assessor", "depth": 0,
     "status": "running", "status_label": "Running", "x": "25.00", "width": "31.00",
     "length": "3.66 s", "live": True},
    {"id": "e", "url": "?step=e", "name": "Approve payout", "kind": "approval · 2 people",
     "depth": 0, "status": "waiting", "status_label": "Waiting", "x": "57.00", "width": "43.00",
     "length": "2 m 41 s", "chosen": True},
    {"id": "f", "url": "?step=f", "name": "Pay out", "kind": "tool · ledger.transfer", "depth": 0,
     "status": "pending", "status_label": "Pending", "x": None, "width": None, "length": "–"},
]
TICKS = [{"x": x, "label": label} for x, label in ((0, "0 s"), (25, "2 s"), (50, "4 s"))]
PAGE = {"first": 26, "last": 50, "count": 10_000, "exact": False, "number": 2,
        "numbers": [1, 2, 3, None, 400], "previous": 1, "next": 3, "size": 25,
        "sizes": [25, 50, 100]}
STATUSES = [
    {"value": word, "label": LOOKS[word].label, "checked": word == "failed"}
    for word in ("running", "failed", "cancelled")
]
CHIPS = [
    {"name": "period", "label": "Last 24 hours", "kind": "period", "chosen": "", "clear_url": "?",
     "options": [{"value": "24h", "label": "Last 24 hours", "checked": True}], "after": "",
     "before": ""},
    {"name": "status", "label": "Status", "kind": "many", "chosen": "failed, timed out +3",
     "clear_url": "?", "options": STATUSES, "looks": True},
    {"name": "workflow", "label": "Workflow", "kind": "many", "chosen": "", "clear_url": "?",
     "options": []},
]


class Thing(NamedTuple):
    """What a table row is made from."""

    pk: str
    currency: str = "USD"
    duration_share: int | None = 43


def _cells(*cells: tuple[str, Any, str]) -> list[dict[str, Any]]:
    return [
        {"template": f"kit/cells/_{kind}.html", "value": value, "css": css}
        for kind, value, css in cells
    ]


ROWS = [
    {"id": name, "url": f"?row={name}", "object": Thing(f"0192c4f1-0000-7000-8000-0000{name}"),
     "selected": name == "c09d4417", "menu_label": f"Actions of {workflow}",
     "menu": [
         {"label": "Open", "icon": "eye", "url": "?"},
         {"label": "Edit", "icon": "pencil", "url": "?", "dialog": True},
         {"label": "Cancel", "icon": "ban", "url": "?", "post": True, "danger": True},
     ],
     "cells": _cells(
         ("status", status, "side"), ("lead_id", workflow, "lead"), ("text", "webhook", "meta"),
         ("ago", AT, "meta"), ("duration", 169_000, "meta"), ("money", cost, "number meta"),
         ("tags", ["demo"], "wide-only"),
     )}
    for name, status, workflow, cost in (
        ("b81e02d7", "running", "Claim intake", "0.0062"),
        ("c09d4417", "failed", "Ledger reconcile", None),
        ("08ac63f5", "cancelled", "Backfill", "0"),
    )
]
COLUMNS = [
    {"label": "Status", "css": "side"},
    {"label": "Workflow", "css": "lead", "sort": "workflow", "sorted": "ascending",
     "next": "-workflow"},
    {"label": "Trigger", "css": "meta"},
    {"label": "Started", "css": "meta", "sort": "started_at", "sorted": "", "next": "-started_at"},
    {"label": "Duration", "css": "meta"},
    {"label": "Cost", "css": "right meta"},
    {"label": "Tags", "css": "wide-only"},
]
TABLE = {"caption": "Runs", "columns": COLUMNS, "rows": ROWS, "has_menus": True}


def _fields() -> dict[str, dict[str, Any]]:
    fresh = SampleForm(initial={"name": "Claim intake"})
    wrong = SampleForm(
        {"wrong-slug": "not a slug"}, prefix="wrong"
    )
    states = {f"{field.name} fresh": {"field": field} for field in fresh}
    return states | {f"{field.name} sent": {"field": field} for field in wrong}


SPECIMENS = (
    Specimen("_button", {
        "plain": {"label": "Export", "icon": "download"},
        "primary": {"label": "Start a run", "kind": "primary"},
        "danger": {"label": "Cancel run", "kind": "danger"},
        "delete": {"label": "Delete", "kind": "danger primary"},
        "small": {"label": "Retry", "kind": "small"},
        "disabled": {"label": "Retry", "disabled": True, "why": "The run is still going on."},
        "busy": {"label": "Saving", "busy": True, "kind": "primary"},
        "link": {"label": "Open", "href": "/runs/"},
        "dialog": {"label": "Edit", "dialog": "/runs/new/"},
        "post": {"label": "Pause", "post": "/runs/1/pause/", "csrf_token": "token"},
    }),
    Specimen("_icon_button", {
        "plain": {"label": "Refresh", "icon": "refresh"},
        "quiet": {"label": "More", "icon": "dots", "kind": "quiet"},
        "disabled": {"label": "Delete", "icon": "trash", "disabled": True},
        "link": {"label": "Edit", "icon": "pencil", "dialog": "/runs/new/"},
    }),
    Specimen("_badge", {tone: {"label": tone, "tone": tone} for tone in
                        ("grey", "green", "blue", "amber", "red", "accent")}),
    Specimen("_status_pill", {word: {"status": word} for word in LOOKS}
             | {"unknown word": {"status": "somewhere_else"}, "own label": {
                 "status": "waiting", "label": "1 of 2", "why": "One more approval"}}),
    Specimen("_tabs", {"three": {"tabs": [
        {"label": "Timeline", "url": "?tab=timeline", "active": True},
        {"label": "Logs", "url": "?tab=logs", "count": 212},
        {"label": "Events", "url": "?tab=events", "count": 0},
    ], "label": "Sections of the sample"}}),
    Specimen("_table", {
        "rows": {"table": TABLE, "target": "#list", "csrf_token": "token"},
        "no rows": {"table": TABLE | {"rows": [], "caption": "No runs"}, "target": "#list"},
    }),
    Specimen("_row_menu", {"three": {
        "id": "sample", "label": "Actions of sample", "items": ROWS[0]["menu"],
        "csrf_token": "token"}}),
    Specimen("_filter_bar", {
        "some chosen": {"bar": {"search": "", "chips": CHIPS, "active": True, "clear_url": "?"},
                        "kept": [("ordering", "-started_at")], "target": "#list", "url": "/runs/"},
    }),
    Specimen("_pagination", {
        "middle": {"page": PAGE, "target": "#list"},
        "only one": {"label": "Pages of one", "page": PAGE | {"first": 1, "last": 7, "count": 7, "exact": True,
                                     "numbers": [1], "previous": None, "next": None}},
        "nothing": {"label": "No pages", "page": {"count": 0, "numbers": []}},
    }),
    Specimen("_dialog_head", {"plain": {"title": "Start a run"}}),
    Specimen("_confirm_delete", {
        "to the trash": {"kind": "workflow", "name": "Claim intake", "soft": True,
                         "hangers": [{"label": "Runs", "count": 12_408},
                                     {"label": "Schedules", "count": 2}]},
        "for good": {"kind": "secret", "name": "openai", "name_error": "This is another name.",
                     "typed": "opena"},
        "blocked": {"kind": "agent", "name": "Packer", "blocked": ["workflow Pack list"]},
    }),
    Specimen("_toast", {level: {"level": level, "text": f"A {level} notice"} for level in
                        ("success", "info", "warning", "error")}
             | {"with request": {"level": "error", "text": HOSTILE, "request_id": "0192c4f1"}}),
    Specimen("_empty", {
        "with action": {"title": "No runs yet", "text": "Start one to see it here.",
                        "icon": "player-play", "action_label": "Start a run",
                        "action_dialog": "/runs/new/", "action_kind": "primary"},
        "filtered": {"title": "Nothing matches", "text": "Take a filter away."},
    }),
    Specimen("_error", {"with retry": {"text": "The database did not answer.", "retry": "?",
                                       "target": "#list", "request_id": "0192c4f1"},
                        "plain": {"title": "No logs could be read"}}),
    Specimen("_skeleton", {"plain": {"label": "Loading runs"}}),
    Specimen("_progress", {"half": {"label": "Cancelling runs", "done": 50, "total": 120},
                           "unknown": {"label": "Exporting"},
                           "noted": {"label": "Importing", "done": 3, "total": 4,
                                     "note": "1 refused"}}),
    Specimen("_key_values", {"plain": {"pairs": [("Asked by", "Payouts over $1,000"),
                                                 ("Approved", None), ("Text", HOSTILE)]}}),
    Specimen("_facts", {"plain": {"facts": [
        {"label": "Duration", "value": "2 m 49 s"}, {"label": "Cost", "value": "$0.0418"},
        {"label": "Version", "value": "14", "note": "released 3 d ago"}]}}),
    Specimen("_short_id", {"copy": {"id": "0192c4f1-0000-7000-8000-00007f3a91c2"},
                           "plain": {"id": "0192c4f1-0000-7000-8000-00007f3a91c2", "plain": True}}),
    Specimen("_copy", {"plain": {"text": HOSTILE}}),
    Specimen("_code", {"framed": {"text": HOSTILE + "\nsecond line", "framed": True},
                       "plain": {"text": "plain", "label": "Answer"}}),
    Specimen("_json", {"object": {"value": JSON, "framed": True, "label": "Input"},
                       "null": {"value": None, "label": "Output"}}),
    Specimen("_json_editor", {"fresh": {"name": "input", "id": "sample-input", "text": "{}",
                                        "label": "Input of the sample"},
                              "wrong": {"name": "input", "id": "sample-wrong", "text": "{}",
                                        "invalid": True, "label": "Wrong input",
                                        "faults": '[{"path": "", "message": "city is missing"}]'}}),
    Specimen("_field", _fields()),
    Specimen("_avatar", {"person": {"name": "Ada King"}, "e-mail": {"name": "ops@example.org"},
                         "small": {"name": "Bo", "small": True}}),
    Specimen("_tooltip", {"plain": {"word": "p95", "text": "95 of 100 runs took less than this.",
                                    "id": "sample"}}),
    Specimen("_log", {"lines": {"lines": LINES}, "none": {"lines": []}}),
    Specimen("_timeline", {"six steps": {"rows": TIMELINE, "ticks": TICKS, "target": "#facet"}}),
    Specimen("_duration", {"with bar": {"ms": 169_000, "share": 43}, "plain": {"ms": 412},
                           "none": {"ms": None}}),
)


def rendered(request: HttpRequest | None) -> list[tuple[str, dict[str, SafeString]]]:
    """Each component's name with the HTML of each of its states."""
    return [
        (specimen.template, {
            state: render_to_string(f"components/{specimen.template}.html", dict(context), request)
            for state, context in specimen.states.items()
        })
        for specimen in SPECIMENS
    ]
