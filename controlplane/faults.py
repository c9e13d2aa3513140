"""What Django answers where no view does: problem+json below /api/, pages elsewhere."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults

from controlplane.kit.errors import problem

TOLD = {
    400: ("bad_request", "The request makes no sense to us."),
    403: ("forbidden", "You may not do this."),
    404: ("not_found", "There is nothing here, or you may not see it."),
    500: ("internal_error", "Something broke on our side; it has been written down."),
}


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _problem(request: HttpRequest, status: int) -> HttpResponse:
    code, detail = TOLD[status]
    body = problem(status, detail, code, request_id=getattr(request, "request_id", ""))
    return JsonResponse(body, status=status, content_type="application/problem+json")


def bad_request(request: HttpRequest, exception: Any) -> HttpResponse:
    """400"""
    if _is_api(request):
        return _problem(request, 400)
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Any) -> HttpResponse:
    """403"""
    if _is_api(request):
        return _problem(request, 403)
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Any) -> HttpResponse:
    """404"""
    if _is_api(request):
        return _problem(request, 404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, without details: they are in the log, by the request's id. The page asks nothing that
    could have failed, so no context processors."""
    if _is_api(request):
        return _problem(request, 500)
    return HttpResponse(render_to_string("500.html", {"request": request}), status=500)
