"""What DRF asks at every request: who, how often, which rows. Named in settings, so it imports no
views (DRF reads its settings while those load)."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework import permissions, throttling
from rest_framework.request import Request

from controlplane.kit import rates
from controlplane.kit.errors import DomainError, InvalidInput, from_django
from controlplane.kit.filters import parameters
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import permission_name
from controlplane.kit.rates import client_address


class RolePermission(permissions.BasePermission):
    """Signed in, and the role allows the verb on the object; querysets already hide the rest.

    The scopes of an API key are asked first, for lists and new rows too. A view without a model
    names its `permission`, or says `any_scope = True`; else keys with scopes are refused.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether there is a principal at all, and its key reaches so far."""
        user = request.user
        if not (user and user.is_authenticated):
            return False
        if user.api_key is None or not user.api_key.scopes or getattr(view, "any_scope", False):
            return True
        permission = getattr(view, "permission", "")
        if model := getattr(view, "model", None):
            permission = permission_name(view.verb_for(view.action), model)
        self.message = "The scopes of this API key do not allow this."
        return user.in_scope(permission)

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Whether the role allows this action on this row."""
        verb = view.verb_for(view.action) if hasattr(view, "verb_for") else "view"
        allowed = request.user.has_perm(permission_name(verb, type(obj)), obj)
        if not allowed:
            self.message = request.user.refusal(obj)
        return allowed


class PrincipalThrottle(throttling.SimpleRateThrottle):
    """Requests a second of one principal; of one address where nobody is signed in."""

    scope = "principal"
    # How much of a window one process counts alone before it asks the shared counter.
    alone = 0.125

    def get_ident(self, request: Request) -> str:
        """Whose requests are counted together."""
        user = request.user
        return str(user.pk) if user and user.is_authenticated else client_address(request)

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether the limit leaves room; `wait` then says for how long it does not."""
        key = f"{self.scope}:{self.get_ident(request)}"
        alone = int(self.num_requests * self.alone)
        self.seconds = rates.hit(key, limit=self.num_requests, seconds=self.duration, alone=alone)
        return not self.seconds

    def wait(self) -> float | None:
        """Seconds until the next request is taken."""
        return self.seconds


class SignInThrottle(PrincipalThrottle):
    """Sign-ins and registrations a minute of one address."""

    scope = "sign_in"
    alone = 0.0

    def get_ident(self, request: Request) -> str:
        """The address, whoever is signed in."""
        return client_address(request)

    @classmethod
    def count(cls, address: str) -> None:
        """Count one by page; DomainError 429 over the limit."""
        throttle = cls()
        key, limit = f"{cls.scope}:{address}", throttle.num_requests
        if wait := rates.hit(key, limit=limit, seconds=throttle.duration):
            raise DomainError(
                f"Too many tries from your address; wait {wait} s.",
                code="throttled",
                status=429,
                extra={"retry_after": wait},
            )


class FilterBackend:
    """Runs the viewset's FilterSet (shared with the page), ?search= and ?ordering=."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        """The filtered and ordered rows; 422 where a value is bad."""
        filterset_class = getattr(view, "filterset_class", None)
        if filterset_class is not None:
            filterset = filterset_class(request.query_params, queryset=queryset, request=request)
            if not filterset.is_valid():
                raise from_django(DjangoValidationError(filterset.errors.as_data()))
            queryset = filterset.qs
        if project := request.query_params.get("project"):
            if parse_uuid(project) is None:
                raise InvalidInput.of("project", "project must be an id.")
            queryset = queryset.of_project(project)
        ordering = request.query_params.get("ordering")
        if not ordering:
            return queryset
        names = ordering.split(",")
        allowed = set(getattr(view, "ordering_fields", ("created_at",)))
        if unknown := [n for n in names if n.lstrip("-") not in allowed]:
            message = f"Cannot order by {unknown[0]}; use one of {', '.join(sorted(allowed))}."
            raise InvalidInput.of("ordering", message)
        return queryset.order_by(*names)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """OpenAPI of project, ordering, and the filters of the list."""
        allowed = ", ".join(sorted(getattr(view, "ordering_fields", ("created_at",))))
        found = [
            {"name": "project", "in": "query", "schema": {"type": "string", "format": "uuid"}},
            {
                "name": "ordering",
                "in": "query",
                "schema": {"type": "string"},
                "description": f"Several with commas, - for the reverse: {allowed}.",
            },
        ]
        filterset_class = getattr(view, "filterset_class", None)
        return found + (parameters(filterset_class) if filterset_class else [])
