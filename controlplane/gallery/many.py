"""Specimens of what is done to many rows at once, of saved views, and of conflicts."""

from typing import Any

from controlplane.gallery.samples import AT, HOSTILE
from controlplane.gallery.specimen import Specimen

ACTS = [
    {"name": "retry", "label": "Retry", "icon": "rotate-clockwise", "done": "retried"},
    {"name": "cancel", "label": "Cancel", "icon": "ban", "danger": True, "done": "cancelled"},
]
BAR: dict[str, Any] = {
    "url": "/bulk/runs/",
    "acts": ACTS,
    "query": "status=failed",
    "back": "/runs/?status=failed",
    "count": 1_204,
    "exact": True,
    "on_page": 25,
    "noun": "run",
    "plural": "runs",
    "export": "/runs/",
}
CANCEL = {
    "label": "Cancel",
    "done": "cancelled",
    "danger": True,
    "note": "Nothing new starts in them from now on; what runs is told to stop.",
}
PREVIEW: dict[str, Any] = {"total": 3, "exact": True, "doable": 3, "refused": 0, "refusals": []}
REASONS = [("The run has failed already.", 12), (HOSTILE, 1)]


def _job(**facts: Any) -> dict[str, Any]:
    job: dict[str, Any] = {
        "status": "running",
        "total": 1_204,
        "done": 311,
        "refused": 0,
        "looked_at": 311,
        "error": "",
        "refusals": [],
        "stop_requested": False,
        "has_ended": False,
    }
    return job | facts


REFUSALS = [{"id": "0192c4f1", "name": "Claim intake …7f3a91c2", "reason": REASONS[0][0]}]
ENDED = {"has_ended": True, "looked_at": 1_204}

VIEWS: dict[str, Any] = {
    "items": [],
    "active": "",
    "opens": False,
    "whole": "/runs/?view=all",
    "save": "/views/new/?table=runs%3Alist",
}
VIEW = {
    "name": "Failed today",
    "url": "/runs/?status=failed",
    "active": True,
    "opens": True,
    "own": True,
    "shared": True,
    "owner": "Ana Nilsen",
    "edit": "/views/1/edit/",
    "delete": "/views/1/delete/",
}
THEIRS = VIEW | {"name": HOSTILE, "active": False, "opens": False, "own": False}

DISPUTE = {
    "name": "name",
    "label": "Name",
    "mine": "Packer",
    "theirs": HOSTILE,
    "take": "mine",
    "both": True,
}
THEIR_TAGS = {"name": "tags", "label": "Tags", "mine": "", "theirs": "eu", "take": "theirs"}

MANY = (
    Specimen(
        "_conflict",
        {
            "two fields": {"disputes": [DISPUTE, THEIR_TAGS], "row": {"updated_at": AT}},
            "the same": {"disputes": [], "row": {"updated_at": AT}},
        },
    ),
    Specimen(
        "_views_menu",
        {
            "none yet": {"views": VIEWS},
            "own and shared": {
                "views": VIEWS | {"items": [VIEW, THEIRS], "active": VIEW["name"], "opens": True}
            },
        },
    ),
    Specimen(
        "_bulk_bar",
        {
            "some chosen": {"bulk": BAR, "csrf_token": "token", "open": True},
            "nothing allowed": {
                "bulk": BAR | {"acts": [], "count": 7, "on_page": 7},
                "csrf_token": "token",
                "open": True,
            },
        },
    ),
    Specimen(
        "_bulk_preview",
        {
            "all": {"preview": PREVIEW, "act": CANCEL, "plural": "runs"},
            "some refused": {
                "preview": PREVIEW
                | {"total": 10_000, "exact": False, "refused": 13, "refusals": REASONS},
                "act": CANCEL,
                "plural": "runs",
                "in_background": True,
            },
            "none": {
                "preview": PREVIEW | {"doable": 0, "refused": 3, "refusals": REASONS[:1]},
                "act": CANCEL,
                "plural": "runs",
            },
        },
    ),
    Specimen(
        "_bulk_report",
        {
            "queued": {"job": _job(status="queued", total=None), "act": CANCEL},
            "under way": {"job": _job(), "act": CANCEL},
            "stopping": {"job": _job(stop_requested=True), "act": CANCEL},
            "ended": {
                "job": _job(status="succeeded", done=1_191, refused=13, refusals=REFUSALS, **ENDED),
                "act": CANCEL,
                "reasons": REASONS,
                "list_url": "/runs/",
            },
            "stopped": {
                "job": _job(status="cancelled", **ENDED),
                "act": CANCEL,
                "not_reached": 893,
            },
            "failed": {
                "job": _job(
                    status="failed", error="Whoever started this may not sign in any more.", **ENDED
                ),
                "act": CANCEL,
            },
        },
    ),
)
