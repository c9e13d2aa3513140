"""Request ids, refusals as pages or toasts, and the Vary header of fragments."""

import json
import re
from collections.abc import Callable
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from controlplane.kit.errors import DomainError, as_domain_error, problem
from controlplane.kit.ids import uuid7

_SAFE_ID = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Every request has an id: the caller's when sane, else a new one; every answer carries it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Bind the id to the request, the log lines and the answer."""
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if _SAFE_ID.match(given) else uuid7().hex
        with structlog.contextvars.bound_contextvars(request_id=request.request_id):
            response = self.get_response(request)
        response.headers["X-Request-ID"] = request.request_id
        return response


class DomainErrorMiddleware:
    """A refused verb of a page becomes a toast (htmx), a message (plain) or problem+json (API)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass through; the work is in process_exception."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        """Translate a DomainError; leave everything else to Django."""
        error = as_domain_error(exc)
        if not isinstance(exc, DomainError) or error is None:
            return None
        if request.path.startswith("/api/"):
            body = problem(
                error.status,
                error.message,
                error.code,
                errors=error.errors,
                request_id=request.request_id,
            )
            return JsonResponse(body, status=error.status, content_type="application/problem+json")
        if getattr(request, "htmx", False):
            response = HttpResponse(status=error.status)
            toast = {"toast": {"level": "error", "text": error.message}}
            response.headers["HX-Trigger"] = json.dumps(toast)
            # The page keeps what it shows: 422 would else be put in its place.
            response.headers["HX-Reswap"] = "none"
            return response
        if request.method == "POST" and (back := request.headers.get("Referer")):
            messages.error(request, error.message)
            return HttpResponseRedirect(back)
        template = f"{error.status}.html" if error.status in (400, 403, 404) else "400.html"
        return render(request, template, {"detail": error.message}, status=error.status)


class HtmxAnswerMiddleware:
    """What answers to htmx need: a Vary header, because pages and fragments share URLs, and a
    sign-in that is gone to instead of being put into a part of the page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Add Vary: HX-Request to every HTML answer; turn a redirect to the sign-in around."""
        response = self.get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ("HX-Request",))
        htmx = getattr(request, "htmx", None)
        if htmx and response.headers.get("Location", "").startswith(settings.LOGIN_URL):
            query = urlencode({"next": htmx.current_url_abs_path or "/"})
            return HttpResponse(
                status=204, headers={"HX-Redirect": f"{settings.LOGIN_URL}?{query}"}
            )
        return response
