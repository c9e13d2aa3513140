"""The one place reports are read from: rows of runs, steps and calls, aggregated by the database.

Durations in ms, shares from 0 to 1 (None where nothing ended), costs in CURRENCY as Decimal (None
where nothing was priced: an unpriced call is counted apart, never as zero).
"""

import calendar
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from agents.health import OUTCOME_WINDOW
from agents.metrics import TOTAL, Key, Range, Work
from agents.models import Agent
from agents.wellbeing import Outcome
from analytics import statements as sql
from analytics.scope import CURRENCY, Scope
from projects.models import Environment, Project
from tools.models import Tool
from workflows.models import Workflow

Row = dict[str, Any]
PERCENTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
# Steps are measured over at most this many runs, the newest of the range.
MOST_RUNS = 5_000
NOTHING_SPENT = {
    "cost": None, "model_calls": 0, "unpriced_calls": 0, "input_tokens": 0, "output_tokens": 0,
}  # fmt: skip
COUNTS = ("runs", "succeeded", "failed", "cancelled", "unfinished")
NO_RUNS = {**dict.fromkeys(COUNTS, 0), "success_rate": None, **dict.fromkeys(PERCENTILES)}


def ask(statement: str, scope: Scope, joined: str = "", **more: Any) -> list[Row]:
    """The rows of a statement in a scope. `joined` is the column that leads to the run, for rows
    that do not name their environment themselves."""
    narrow = scope.environments is not None
    column = "r.environment_id" if joined and "{joined_environments}" not in statement else ""
    marks = {
        "joined": f"JOIN run r ON r.id = {joined}" if joined and narrow else "",
        "environments": _narrowed(column or "environment_id") if narrow else "",
        "joined_environments": _narrowed("r.environment_id") if narrow else "",
    }
    for name, text in marks.items():
        statement = statement.replace(f"{{{name}}}", text)
    with connection.cursor() as cursor:
        cursor.execute(statement, scope.parameters() | more)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _narrowed(column: str) -> str:
    return f"AND {column} = ANY(%(environments)s::uuid[])"


def _ended(row: Mapping[str, Any]) -> Row:
    """Counts, success and lengths of runs."""
    counts = {
        name: row[name] for name in ("runs", "succeeded", "failed", "cancelled", "unfinished")
    }
    return counts | {"success_rate": share(row["succeeded"], row["failed"])} | lengths(row)


def share(succeeded: int, failed: int) -> float | None:
    """What part of the ended ones succeeded."""
    return round(succeeded / (succeeded + failed), 6) if succeeded + failed else None


def lengths(row: Mapping[str, Any]) -> Row:
    """The percentiles by name; all None where nothing ended."""
    values = row["lengths"] or [None] * len(PERCENTILES)
    return {
        name: None if value is None else round(value, 3)
        for name, value in zip(PERCENTILES, values, strict=True)
    }


def change(now: Any, before: Any) -> float | None:
    """By what part `now` is more than `before` (0.5: half as much again); None against nothing."""
    if now is None or not before:
        return None
    return round(float(now) / float(before) - 1, 6)


def overview(scope: Scope) -> Row:
    """{from, to, before_from, figures}: each figure as {value, before, change} against the period
    of the same length before. `change` is a part, of the success rate the difference."""
    parameters = scope.parameters()
    runs = {row["is_now"]: _ended(row) for row in ask(sql.OVERVIEW_RUNS, scope)}
    calls = {row["is_now"]: row for row in ask(sql.OVERVIEW_CALLS, scope)}
    agents = ask(sql.OVERVIEW_AGENTS, scope, joined="s.run_id")[0]
    approvals = ask(sql.OVERVIEW_APPROVALS, scope, joined="a.run_id")[0]
    pairs: dict[str, tuple[Any, Any]] = {
        name: tuple(runs.get(is_now, NO_RUNS)[name] for is_now in (True, False))
        for name in ("runs", "succeeded", "failed", "success_rate", "p50_ms", "p95_ms")
    }
    empty = {"cost": None, "unpriced_calls": 0}
    for name in empty:
        pairs[name] = tuple(calls.get(is_now, empty)[name] for is_now in (True, False))
    pairs["active_agents"] = agents["now"], agents["before"]
    pairs["pending_approvals"] = approvals["now"], approvals["before"]
    figures = {
        name: {"value": now, "before": before, "change": change(now, before)}
        for name, (now, before) in pairs.items()
    }
    now, before = pairs["success_rate"]
    known = now is not None and before is not None
    figures["success_rate"]["change"] = round(now - before, 6) if known else None
    return {
        "from": parameters["start"],
        "to": parameters["end"],
        "before_from": parameters["before"],
        "currency": CURRENCY,
        "figures": figures,
    }


def _over_time(span: Range, found: Mapping[datetime, Row], nothing: Row) -> list[Row]:
    """Every bucket of the range, also those without rows."""
    return [{"at": at, **found.get(at, nothing)} for at in span.moments()]


def _frame(scope: Scope) -> Row:
    return {"from": scope.span.start, "to": scope.span.end, "bucket": scope.span.bucket}


# Of grouping(): the bit of a column is 0 where the row is grouped by it.
def _by(rows: list[Row], columns: int, place: int) -> list[Row]:
    return [row for row in rows if row["kind"] == (1 << columns) - 1 - (1 << (columns - 1 - place))]


def _total(rows: list[Row], columns: int) -> Row | None:
    return next((row for row in rows if row["kind"] == (1 << columns) - 1), None)


def runs(scope: Scope) -> Row:
    """Runs over time, and by status, workflow and environment."""
    rows = ask(sql.RUNS, scope)
    total = _total(rows, 4)
    workflows = _by(rows, 4, 1)
    environments = _by(rows, 4, 2)
    at = {row["at"]: _ended(row) for row in _by(rows, 4, 0)}
    return {
        **_frame(scope),
        "totals": _ended(total) if total else NO_RUNS,
        "buckets": _over_time(scope.span, at, NO_RUNS),
        "statuses": sorted(
            ({"status": row["status"], "runs": row["runs"]} for row in _by(rows, 4, 3)),
            key=lambda row: -row["runs"],
        ),
        "workflows": _named(Workflow, "workflow", "workflow_id", workflows, _ended, "runs"),
        "environments": _named(
            Environment, "environment", "environment_id", environments, _ended, "runs"
        ),
    }


def _named(
    model: type[Model], word: str, column: str, rows: Iterable[Row], shape: Any, order: str
) -> list[Row]:
    """The rows that name something, with its name, the largest first. What was deleted for good
    has none any more."""
    rows = [row for row in rows if row[column] is not None]
    names = _names(model, (row[column] for row in rows))
    told = [{word: row[column], "name": names.get(row[column]), **shape(row)} for row in rows]
    return sorted(told, key=lambda row: (-(row[order] or 0), row["name"] or ""))


def _names(model: type[Model], keys: Iterable[UUID]) -> dict[UUID, str]:
    rows = model._default_manager.filter(pk__in=list(keys))
    return dict(rows.values_list("pk", "name"))


def _spent(row: Mapping[str, Any]) -> Row:
    return {name: row[name] for name in NOTHING_SPENT} | {"unpriced_tokens": row["unpriced_tokens"]}


def costs(scope: Scope) -> Row:
    """What model calls, and tool calls with a price, cost: over time, by project, agent, workflow,
    model and tool; what has no price, what was paid in other currencies, a forecast."""
    rows = ask(sql.COSTS, scope, joined="t.run_id")
    by = [_by(rows, 7, place) for place in range(7)]
    total = _total(rows, 7)
    nothing = {**NOTHING_SPENT, "unpriced_tokens": 0}
    models = [row for row in by[4] if row["model"] is not None]
    return {
        **_frame(scope),
        "currency": CURRENCY,
        "totals": _spent(total) if total else nothing,
        "buckets": _over_time(scope.span, {row["at"]: _spent(row) for row in by[0]}, nothing),
        "projects": _named(Project, "project", "project_id", by[1], _spent, "cost"),
        "agents": _named(Agent, "agent", "agent_id", by[2], _spent, "cost"),
        "workflows": _named(Workflow, "workflow", "workflow_id", by[3], _spent, "cost"),
        "models": [
            {"provider": row["provider"], "model": row["model"], **_spent(row)}
            for row in sorted(models, key=lambda row: (-(row["cost"] or 0), row["model"]))
        ],
        "tools": _named(
            Tool, "tool", "tool_id", by[5], lambda row: {"cost": row["any_cost"]}, "cost"
        ),
        "other_currencies": [
            {"currency": row["currency"], "cost": row["any_cost"]}
            for row in by[6]
            if row["currency"] != CURRENCY and row["any_cost"]
        ],
        "forecast": forecast(scope, timezone.now()),
    }


def forecast(scope: Scope, now: datetime) -> Row:
    """What the calendar month will have cost if the days left are like the last seven: {month,
    spent, expected}."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    week = now - timedelta(days=7)
    found = ask(sql.MONTH, scope, since=min(first, week), week=week, month=first, now=now)[0]
    days = calendar.monthrange(now.year, now.month)[1]
    left = Decimal((first + timedelta(days=days) - now).total_seconds()) / 86_400
    expected = None
    if found["last_week"] is not None:
        expected = (found["spent"] or 0) + found["last_week"] / 7 * left
        expected = expected.quantize(Decimal("0.000001"))
    return {"month": f"{first:%Y-%m}", "spent": found["spent"], "expected": expected}


def _worked(row: Mapping[str, Any]) -> Row:
    """Runs an agent worked in: it succeeded in those where none of its steps failed."""
    succeeded = row["with_success"] - row["mixed"]
    counts = {"runs": row["runs"], "succeeded": succeeded, "failed": row["failed"]}
    return counts | {"success_rate": share(succeeded, row["failed"])} | lengths(row)


def agents(scope: Scope) -> Row:
    """What each agent did, used and cost, and the resources of its live instances."""
    rows = Agent.objects.filter(project_id__in=scope.projects).only("name", "deleted_at")
    known = {agent.pk: agent for agent in rows}
    work = {row["id"]: row for row in ask(sql.AGENTS, scope, joined="s.run_id", agents=list(known))}
    spent = {row["id"]: row for row in _calls_by("agent_id", scope)}
    live = {row.pop("id"): row for row in ask(sql.RESOURCES, scope)}
    idle = {"runs": 0, "with_success": 0, "failed": 0, "mixed": 0, "lengths": None}
    nothing = {"instances": 0, "in_flight": 0, "capacity": 0, "rss_bytes": 0, "cpu_percent": 0.0}
    told = [
        {
            "agent": key,
            "name": agent.name,
            **_worked(work.get(key, idle)),
            **{name: spent.get(key, NOTHING_SPENT)[name] for name in NOTHING_SPENT},
            "resources": live.get(key, nothing),
        }
        for key, agent in known.items()
        if agent.deleted_at is None or key in work or key in spent
    ]
    told.sort(key=lambda row: (-row["runs"], row["name"]))
    return {**_frame(scope), "currency": CURRENCY, "agents": told}


def _calls_by(column: str, scope: Scope) -> list[Row]:
    statement = sql.CALLS_BY.replace("{column}", column)
    return ask(statement.replace("{owner}", "project_id = ANY(%(projects)s)"), scope)


def workflows(scope: Scope) -> Row:
    """How the runs of each workflow went, and what they cost."""
    rows = ask(sql.RUNS_BY_WORKFLOW, scope)
    spent = {row["id"]: row for row in _calls_by("workflow_id", scope)}

    def shape(row: Row) -> Row:
        cost = spent.get(row["workflow_id"], NOTHING_SPENT)
        return _ended(row) | {name: cost[name] for name in NOTHING_SPENT}

    told = _named(Workflow, "workflow", "workflow_id", rows, shape, "runs")
    return {**_frame(scope), "currency": CURRENCY, "workflows": told}


def workflow(workflow_id: UUID, scope: Scope) -> Row:
    """One workflow: its runs over time, what they cost, its steps with the slowest and the most
    failing. Steps are those of at most MOST_RUNS runs, the newest."""
    rows = ask(sql.WORKFLOW_RUNS, scope, workflow=workflow_id)
    at = {row["at"]: _ended(row) for row in rows if row["kind"] == 0}
    total = next(row for row in rows if row["kind"] == 1)
    statement = sql.CALLS_BY.replace("{column}", "workflow_id").replace(
        "{owner}", "project_id = ANY(%(projects)s) AND workflow_id = %(workflow)s"
    )
    spent = next(iter(ask(statement, scope, workflow=workflow_id)), NOTHING_SPENT)
    found = ask(sql.WORKFLOW_STEPS, scope, workflow=workflow_id, most=MOST_RUNS)
    steps = [_step(row) for row in found]
    steps.sort(key=lambda row: (-(row["p50_ms"] or 0), row["node"]))
    slowest = next((row["node"] for row in steps if row["p50_ms"] is not None), None)
    worst = max(steps, key=lambda row: (row["failed"], row["failure_rate"] or 0), default=None)
    return {
        **_frame(scope),
        "currency": CURRENCY,
        "totals": _ended(total) | {name: spent[name] for name in NOTHING_SPENT},
        "buckets": _over_time(scope.span, at, NO_RUNS),
        "steps": steps,
        "steps_of_runs": found[0]["of_runs"] if found else 0,
        "slowest_step": slowest,
        "most_failing_step": worst["node"] if worst and worst["failed"] else None,
    }


def _step(row: Row) -> Row:
    names = ("node", "name", "kind", "runs", "succeeded", "failed", "retried")
    rate = share(row["failed"], row["succeeded"])
    return (
        {name: row[name] for name in names}
        | {"failure_rate": rate}
        | lengths(row)
        | {"cost": row["cost"], "unpriced_calls": row["unpriced_calls"]}
    )


def agent_work(agent: Agent, span: Range) -> dict[Key, Work]:
    """What became of an agent's work by bucket, and over all under TOTAL: for its metrics."""
    scope = Scope((agent.project_id,), span)
    found: dict[Key, Work] = {}
    for row in ask(sql.AGENT_OVER_TIME, scope, agents=[agent.pk]):
        work = _worked(row)
        found[TOTAL if row["at"] is None else row["at"]] = Work(
            runs=work["runs"], succeeded=work["succeeded"], failed=work["failed"],
            p50_ms=work["p50_ms"], p95_ms=work["p95_ms"],
        )  # fmt: skip
    return found


def agent_outcome(agent: Agent) -> Outcome | None:
    """(ended, succeeded, p95 in ms) of an agent's steps in the window of health; None where it
    worked in no run, so that its calls elsewhere count."""
    now = timezone.now()
    scope = Scope((agent.project_id,), Range(now - OUTCOME_WINDOW, now, "hour"))
    row = ask(sql.AGENT_OUTCOME, scope, agents=[agent.pk])[0]
    return (row["ended"], row["succeeded"], row["p95"]) if row["ended"] else None
