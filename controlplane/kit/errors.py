"""The family of refusals, and their one translation to problem+json (RFC 9457)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Unprocessable",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


@dataclass(frozen=True)
class FieldProblem:
    """One fault of one field: dotted `field`, machine `code`, human `message`."""

    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """The shape of an entry of `errors` in problem+json."""
        return {"field": self.field, "code": self.code, "message": self.message}


class DomainError(Exception):
    """A rule refused a request: `code` for machines, one sentence for people, HTTP `status`."""

    status = 409
    code = "conflict"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        errors: Iterable[FieldProblem] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.status = status or self.status
        self.errors = list(errors)
        self.extra = dict(extra or {})


class InvalidInput(DomainError):
    """Something in the body breaks a rule; 422 with a list of fields."""

    status = 422
    code = "invalid"

    @classmethod
    def of(cls, field: str, message: str, code: str = "invalid") -> "InvalidInput":
        """The refusal of one field."""
        return cls(message, errors=[FieldProblem(field, code, message)])


class InUse(DomainError):
    """Something still hangs on the row."""

    code = "in_use"


class InvalidTransition(DomainError):
    """The row is not in a state from which this verb is possible."""

    code = "invalid_state"


class PreconditionFailed(DomainError):
    """If-Match named another version than the stored one."""

    status = 412
    code = "version_conflict"


def _flatten(detail: Any, prefix: str = "") -> list[FieldProblem]:
    if isinstance(detail, Mapping):
        found = []
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            found += _flatten(value, f"{prefix}.{name}".strip(".") if name else prefix)
        return found
    if isinstance(detail, list):
        found = []
        for index, value in enumerate(detail):
            nested = isinstance(value, Mapping | list)
            found += _flatten(value, f"{prefix}.{index}".strip(".") if nested else prefix)
        return found
    return [FieldProblem(prefix, getattr(detail, "code", None) or "invalid", str(detail))]


def from_django(error: DjangoValidationError) -> InvalidInput:
    """Model validation as a 422; `__all__` becomes the empty field name."""
    if hasattr(error, "error_dict"):
        pairs = [(f, e) for f, errs in error.error_dict.items() for e in errs]
    else:
        pairs = [("", e) for e in error.error_list]
    found = [
        FieldProblem("" if field == "__all__" else field, item.code or "invalid", text)
        for field, item in pairs
        for text in item.messages
    ]
    return InvalidInput(found[0].message if found else "Invalid.", errors=found)


def problem(
    status_code: int,
    detail: str,
    code: str,
    *,
    errors: Iterable[FieldProblem] = (),
    request_id: str = "",
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a problem+json answer."""
    return {
        "type": f"urn:sparkops:problem:{code}",
        "title": TITLES.get(status_code, "Error"),
        "status": status_code,
        "detail": detail,
        "code": code,
        "errors": [e.as_dict() for e in errors],
        "request_id": request_id,
        **(extra or {}),
    }


def as_domain_error(exc: BaseException) -> DomainError | None:
    """Any refusal we know, as one DomainError; None where `exc` is a real fault."""
    if isinstance(exc, DomainError):
        return exc
    if isinstance(exc, DjangoValidationError):
        return from_django(exc)
    if isinstance(exc, Http404):
        return DomainError(
            "There is nothing here, or you may not see it.", code="not_found", status=404
        )
    if isinstance(exc, PermissionDenied):
        return DomainError(
            str(exc) or "Your role does not allow this.", code="forbidden", status=403
        )
    if isinstance(exc, RequestDataTooBig):
        return DomainError("The body is too large.", code="too_large", status=413)
    if isinstance(exc, exceptions.ValidationError):
        found = _flatten(exc.detail)
        text = found[0].message if found else "Invalid."
        return InvalidInput(text, errors=found)
    if isinstance(exc, exceptions.APIException):
        detail = exc.detail
        code = getattr(detail, "code", None) or exc.default_code
        if isinstance(exc, exceptions.PermissionDenied):
            code = "forbidden"
        return DomainError(str(detail), code=code, status=exc.status_code)
    return None


def problem_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal leaves as problem+json; faults go on to Django."""
    error = as_domain_error(exc)
    if error is None:
        return None
    request = context.get("request")
    body = problem(
        error.status,
        error.message,
        error.code,
        errors=error.errors,
        request_id=getattr(request, "request_id", ""),
        extra=error.extra,
    )
    headers = {}
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(max(1, round(wait)))
    elif retry_after := error.extra.get("retry_after"):
        headers["Retry-After"] = str(retry_after)
    if error.status == status.HTTP_401_UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    # The browsable API draws the same body as a page.
    is_page = getattr(getattr(request, "accepted_renderer", None), "format", "") == "api"
    kind = None if is_page else "application/problem+json"
    return Response(body, status=error.status, headers=headers, content_type=kind)
