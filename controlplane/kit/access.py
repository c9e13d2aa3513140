"""What DRF asks at every request: who, how often, which rows. Named in settings, so it imports no
views (DRF reads its settings while those load)."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework import permissions, throttling
from rest_framework.request import Request

from controlplane.kit.errors import InvalidInput, from_django
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import permission_name


class RolePermission(permissions.BasePermission):
    """Signed in, and the role allows the verb on the object; querysets already hide the rest."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether there is a principal at all."""
        return bool(request.user and request.user.is_authenticated)

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Whether the role allows this action on this row."""
        verb = view.verb_for(view.action) if hasattr(view, "verb_for") else "view"
        return request.user.has_perm(permission_name(verb, type(obj)), obj)


class PrincipalThrottle(throttling.UserRateThrottle):
    """Requests a second of one principal."""

    scope = "principal"


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
            queryset = queryset.filter(**{view.project_lookup(): project})
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
        """OpenAPI of ordering, search and project."""
        return [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
            for name in ("ordering", "search", "project")
        ]
