"""Which rows a report is about: projects, environments, a range of time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from agents.metrics import Range, read_range
from controlplane.kit.errors import InvalidInput
from controlplane.kit.ids import parse_uuid
from projects.models import Environment
from projects.roles import allows

REPORTS = "analytics.view_report"
# Costs are added up in one currency; what was paid in others is told apart.
CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of these projects, of these environments (None: of all), in this range."""

    projects: tuple[UUID, ...]
    span: Range
    environments: tuple[UUID, ...] | None = None

    def of_project(self, project_id: UUID) -> "Scope":
        """The same of one project only."""
        return replace(self, projects=(project_id,))

    def parameters(self) -> dict[str, Any]:
        """What the statements are given; `before` begins a period of the same length before."""
        start, end = self.span.start, self.span.end
        return {
            "projects": list(self.projects),
            "environments": list(self.environments or ()),
            "start": start,
            "end": end,
            "before": start - (end - start),
            "bucket": self.span.bucket,
            "currency": CURRENCY,
        }


def environments_named(projects: Iterable[UUID], names: Iterable[str]) -> tuple[UUID, ...] | None:
    """The environments of these names, None where no name is given."""
    names = [name for name in names if name]
    if not names:
        return None
    if any("\x00" in name for name in names):
        raise InvalidInput.of("environment", "A name holds no NUL character.")
    rows = Environment.objects.filter(project_id__in=list(projects), name__in=names)
    return tuple(rows.values_list("pk", flat=True))


def read_scope(user: Any, query: Any) -> Scope:
    """The scope of ?project=&environment=&from=&to=&bucket=, of what `user` may see reports of.
    A foreign project is an empty scope; 422 where a value is malformed."""
    roles = user.project_roles()
    projects = [pk for pk, role in roles.items() if allows(role, REPORTS)]
    if wanted := [text for text in query.getlist("project") if text]:
        keys = {parse_uuid(text) for text in wanted}
        if None in keys:
            raise InvalidInput.of("project", "project must be an id.")
        projects = [pk for pk in projects if pk in keys]
    environments = environments_named(projects, query.getlist("environment"))
    return Scope(tuple(projects), read_range(query, bucket="day"), environments)
