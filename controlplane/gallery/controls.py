"""Specimens of what is pressed, chosen and confirmed."""

from controlplane.gallery.samples import CHIPS, HOSTILE, PAGE, ROWS, TABLE
from controlplane.gallery.specimen import Specimen
from controlplane.templatetags.formats import LOOKS

CONTROLS = (
    Specimen(
        "_button",
        {
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
        },
    ),
    Specimen(
        "_icon_button",
        {
            "plain": {"label": "Refresh", "icon": "refresh"},
            "quiet": {"label": "More", "icon": "dots", "kind": "quiet"},
            "disabled": {"label": "Delete", "icon": "trash", "disabled": True},
            "link": {"label": "Edit", "icon": "pencil", "dialog": "/runs/new/"},
        },
    ),
    Specimen(
        "_badge",
        {
            tone: {"label": tone, "tone": tone}
            for tone in ("grey", "green", "blue", "amber", "red", "accent")
        },
    ),
    Specimen(
        "_status_pill",
        {word: {"status": word} for word in LOOKS}
        | {
            "unknown word": {"status": "somewhere_else"},
            "own label": {"status": "waiting", "label": "1 of 2", "why": "One more approval"},
        },
    ),
    Specimen(
        "_tabs",
        {
            "three": {
                "tabs": [
                    {"label": "Timeline", "url": "?tab=timeline", "active": True},
                    {"label": "Logs", "url": "?tab=logs", "count": 212},
                    {"label": "Events", "url": "?tab=events", "count": 0},
                ],
                "label": "Sections of the sample",
            }
        },
    ),
    Specimen(
        "_table",
        {
            "rows": {"table": TABLE, "target": "#list", "csrf_token": "token"},
            "no rows": {"table": TABLE | {"rows": [], "caption": "No runs"}, "target": "#list"},
        },
    ),
    Specimen(
        "_row_menu",
        {
            "three": {
                "id": "sample",
                "label": "Actions of sample",
                "items": ROWS[0]["menu"],
                "csrf_token": "token",
            }
        },
    ),
    Specimen(
        "_filter_bar",
        {
            "some chosen": {
                "bar": {"search": "", "chips": CHIPS, "active": True, "clear_url": "?"},
                "kept": [("ordering", "-started_at")],
                "target": "#list",
                "url": "/runs/",
            },
        },
    ),
    Specimen(
        "_pagination",
        {
            "middle": {"page": PAGE, "target": "#list"},
            "only one": {
                "label": "Pages of one",
                "page": PAGE
                | {
                    "first": 1,
                    "last": 7,
                    "count": 7,
                    "exact": True,
                    "numbers": [1],
                    "previous": None,
                    "next": None,
                },
            },
            "nothing": {"label": "No pages", "page": {"count": 0, "numbers": []}},
        },
    ),
    Specimen("_dialog_head", {"plain": {"title": "Start a run"}}),
    Specimen(
        "_confirm_delete",
        {
            "to the trash": {
                "kind": "workflow",
                "name": "Claim intake",
                "soft": True,
                "hangers": [{"label": "Runs", "count": 12_408}, {"label": "Schedules", "count": 2}],
            },
            "for good": {
                "kind": "secret",
                "name": "openai",
                "name_error": "This is another name.",
                "typed": "opena",
            },
            "blocked": {"kind": "agent", "name": "Packer", "blocked": ["workflow Pack list"]},
        },
    ),
    Specimen(
        "_toast",
        {
            level: {"level": level, "text": f"A {level} notice"}
            for level in ("success", "info", "warning", "error")
        }
        | {"with request": {"level": "error", "text": HOSTILE, "request_id": "0192c4f1"}},
    ),
)
