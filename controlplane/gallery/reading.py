"""Specimens of what is read and typed: texts, figures, forms, logs, timelines."""

from typing import Any

from controlplane.gallery.samples import HOSTILE, JSON, LINES, TICKS, TIMELINE, SampleForm
from controlplane.gallery.specimen import Specimen


def _fields() -> dict[str, dict[str, Any]]:
    fresh = SampleForm(initial={"name": "Claim intake"})
    wrong = SampleForm({"wrong-slug": "not a slug"}, prefix="wrong")
    states = {f"{field.name} fresh": {"field": field} for field in fresh}
    return states | {f"{field.name} sent": {"field": field} for field in wrong}


READING = (
    Specimen(
        "_empty",
        {
            "with action": {
                "title": "No runs yet",
                "text": "Start one to see it here.",
                "icon": "player-play",
                "action_label": "Start a run",
                "action_dialog": "/runs/new/",
                "action_kind": "primary",
            },
            "filtered": {"title": "Nothing matches", "text": "Take a filter away."},
        },
    ),
    Specimen(
        "_error",
        {
            "with retry": {
                "text": "The database did not answer.",
                "retry": "?",
                "target": "#list",
                "request_id": "0192c4f1",
            },
            "plain": {"title": "No logs could be read"},
        },
    ),
    Specimen("_skeleton", {"plain": {"label": "Loading runs"}}),
    Specimen(
        "_progress",
        {
            "half": {"label": "Cancelling runs", "done": 50, "total": 120},
            "unknown": {"label": "Exporting"},
            "noted": {"label": "Importing", "done": 3, "total": 4, "note": "1 refused"},
        },
    ),
    Specimen(
        "_key_values",
        {
            "plain": {
                "pairs": [
                    ("Asked by", "Payouts over $1,000"),
                    ("Approved", None),
                    ("Text", HOSTILE),
                ]
            }
        },
    ),
    Specimen(
        "_facts",
        {
            "plain": {
                "facts": [
                    {"label": "Duration", "value": "2 m 49 s"},
                    {"label": "Cost", "value": "$0.0418"},
                    {"label": "Version", "value": "14", "note": "released 3 d ago"},
                ]
            }
        },
    ),
    Specimen(
        "_short_id",
        {
            "copy": {"id": "0192c4f1-0000-7000-8000-00007f3a91c2"},
            "plain": {"id": "0192c4f1-0000-7000-8000-00007f3a91c2", "plain": True},
        },
    ),
    Specimen("_copy", {"plain": {"text": HOSTILE}}),
    Specimen(
        "_code",
        {
            "framed": {"text": HOSTILE + "\nsecond line", "framed": True},
            "plain": {"text": "plain", "label": "Answer"},
        },
    ),
    Specimen(
        "_json",
        {
            "object": {"value": JSON, "framed": True, "label": "Input"},
            "null": {"value": None, "label": "Output"},
        },
    ),
    Specimen(
        "_json_editor",
        {
            "fresh": {
                "name": "input",
                "id": "sample-input",
                "text": "{}",
                "label": "Input of the sample",
            },
            "wrong": {
                "name": "input",
                "id": "sample-wrong",
                "text": "{}",
                "invalid": True,
                "label": "Wrong input",
                "faults": '[{"path": "", "message": "city is missing"}]',
            },
        },
    ),
    Specimen("_field", _fields()),
    Specimen(
        "_avatar",
        {
            "person": {"name": "Ada King"},
            "e-mail": {"name": "ops@example.org"},
            "small": {"name": "Bo", "small": True},
        },
    ),
    Specimen(
        "_tooltip",
        {"plain": {"word": "p95", "text": "95 of 100 runs took less than this.", "id": "sample"}},
    ),
    Specimen(
        "_cost",
        {
            "priced": {"object": {"cost": "0.0418", "currency": "USD"}},
            "partly": {"object": {"cost": "0.0418", "currency": "USD", "unpriced_calls": 2}},
            "unpriced": {"object": {"cost": None, "unpriced_calls": 1}},
            "none": {"object": {"cost": None}},
        },
    ),
    Specimen("_log", {"lines": {"lines": LINES}, "none": {"lines": []}}),
    Specimen(
        "_timeline",
        {"six steps": {"rows": TIMELINE, "ticks": TICKS, "base": "/runs/1/", "target": "#facet"}},
    ),
    Specimen(
        "_duration",
        {"with bar": {"ms": 169_000, "share": 43}, "plain": {"ms": 412}, "none": {"ms": None}},
    ),
)
