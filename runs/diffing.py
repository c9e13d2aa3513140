"""What differs between two runs: what they used, what went in and out, how their steps went."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.models import AgentVersion
from controlplane.kit.comparison import Change, compare
from controlplane.kit.json import money
from runs.models import Run, Step
from runs.states import RunStatus
from tools.models import ToolVersion
from workflows.graph.difference import difference

# A payload may be large; so many differences tell enough.
MOST_CHANGES = 200
MOST_STEPS = 2_000
FACTS = (
    "workflow", "version", "environment", "status", "reason", "trigger", "started_by", "priority",
    "tags", "duration_ms", "input_tokens", "output_tokens", "cost",
)  # fmt: skip


def last_green(run: Run) -> Run | None:
    """The newest run before this one that succeeded, of the same workflow in the same
    environment."""
    rows = Run.objects.for_list().filter(
        project_id=run.project_id,
        workflow_id=run.workflow_id,
        environment_id=run.environment_id,
        status=RunStatus.SUCCEEDED,
        created_at__lt=run.created_at,
    )
    return rows.order_by("-created_at", "-id").first()


def compare_runs(before: Run, after: Run) -> dict[str, Any]:
    """{facts, versions, definition, input, output, steps}: in each what differs, from `before` to
    `after`."""
    return {
        "facts": _facts(before, after),
        "versions": _versions(before, after),
        "definition": _definition(before, after),
        "input": _payload(before.input, after.input),
        "output": _payload(before.output, after.output),
        "steps": _steps(before, after),
    }


def _fact(run: Run, name: str) -> Any:
    if name == "workflow":
        return run.workflow.name
    if name == "version":
        return run.workflow_version.number
    if name == "environment":
        return run.environment.name
    if name == "started_by":
        return run.started_by_name
    return money(run.cost) if name == "cost" else getattr(run, name)


def _facts(before: Run, after: Run) -> list[dict[str, Any]]:
    pairs = ((name, _fact(before, name), _fact(after, name)) for name in FACTS)
    return [{"name": name, "before": old, "after": new} for name, old, new in pairs if old != new]


def _payload(before: Any, after: Any) -> list[Change]:
    """Differences of two values; ones that are no objects are compared as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return compare(before, after)[:MOST_CHANGES]
    return compare({"": before}, {"": after})


def _definition(before: Run, after: Run) -> dict[str, Any]:
    if before.workflow_version_id == after.workflow_version_id:
        return difference({}, {})
    found = difference(before.workflow_version.definition, after.workflow_version.definition)
    return {**found, "changes": found["changes"][:MOST_CHANGES]}


def _pinned(run: Run, kind: str) -> dict[str, UUID]:
    return {slug: UUID(pin["version"]) for slug, pin in run.pins.get(kind, {}).items()}


def _tool_facts(version: ToolVersion) -> dict[str, Any]:
    return {
        "config": version.config,
        "input_schema": version.input_schema,
        "output_schema": version.output_schema,
    }


def _versions(before: Run, after: Run) -> list[dict[str, Any]]:
    """The tools and agents of which the runs used different versions, and what differs in them."""
    found = []
    kinds: tuple[tuple[str, str, Any, Any], ...] = (
        ("tool", "tools", ToolVersion, _tool_facts),
        ("agent", "agents", AgentVersion, lambda version: version.config),
    )
    for kind, name, model, facts in kinds:
        old, new = _pinned(before, name), _pinned(after, name)
        slugs = sorted(slug for slug in {*old, *new} if old.get(slug) != new.get(slug))
        ids = [pins[slug] for slug in slugs for pins in (old, new) if slug in pins]
        rows = {row.pk: row for row in model.objects.filter(pk__in=ids)} if ids else {}
        for slug in slugs:
            one, two = rows.get(old.get(slug)), rows.get(new.get(slug))
            changes = compare(facts(one), facts(two)) if one and two else []
            found.append(
                {
                    "kind": kind,
                    "slug": slug,
                    "before": one.number if one else None,
                    "after": two.number if two else None,
                    "changes": changes[:MOST_CHANGES],
                }
            )
    return found


def _steps(before: Run, after: Run) -> list[dict[str, Any]]:
    """The steps that went otherwise, in the order of the graph."""
    old, new = _steps_of(before), _steps_of(after)
    found = []
    for node in [*new, *(node for node in old if node not in new)]:
        one, two = old.get(node), new.get(node)
        if _how(one) == _how(two):
            continue
        found.append(
            {
                "node": node,
                "name": (two or one).name,
                "before": _told(one),
                "after": _told(two),
                "output_differs": bool(one and two and one.output != two.output),
            }
        )
    return found


def _steps_of(run: Run) -> dict[str, Step]:
    rows = Step.objects.filter(run=run, path="").order_by("position")
    return {row.node: row for row in rows.defer("input", "state", "edges")[:MOST_STEPS]}


def _how(step: Step | None) -> Any:
    """What makes two steps the same, for this purpose: not how long they took."""
    return step and (step.status, step.reason, step.attempt, step.output, step.error)


def _told(step: Step | None) -> dict[str, Any] | None:
    if step is None:
        return None
    return {
        "step": step.pk,
        "status": step.status,
        "reason": step.reason,
        "attempt": step.attempt,
        "duration_ms": step.duration_ms,
        "error": step.error,
    }
