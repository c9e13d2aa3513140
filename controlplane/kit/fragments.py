"""Fragments and pages share URLs: which of the two is wanted, and how a change is answered."""

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page.

    Not when it is boosted, and not when it restores history: then HX-Request is sent too, but a
    whole page is needed (django-htmx #410).
    """
    htmx = getattr(request, "htmx", False)
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def fragment_target(request: HttpRequest) -> str:
    """The id of the element that htmx is about to replace; empty for a page."""
    return (request.htmx.target or "") if wants_fragment(request) else ""


def announce_done(
    request: HttpRequest,
    text: str,
    *,
    events: Mapping[str, Any] | None = None,
    go_to: str | None = None,
    back_to: str = "/",
) -> HttpResponse:
    """The answer to a verb that was carried out.

    htmx: 204 with a toast and `events` for the page, or a move to `go_to`. Plain form: a message
    and a redirect to `go_to`, else to `back_to`.
    """
    if not wants_fragment(request):
        messages.success(request, text)
        return HttpResponseRedirect(go_to or back_to)
    response = HttpResponse(status=204)
    if go_to is not None:
        messages.success(request, text)
        response.headers["HX-Redirect"] = go_to
    else:
        toast = {"level": "success", "text": text}
        response.headers["HX-Trigger"] = json.dumps({"toast": toast, **(events or {})})
    return response
