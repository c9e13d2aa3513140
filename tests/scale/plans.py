"""`python -m tests.scale.plans EMAIL`: the plan of every query that lists ask, against the database
of the environment. Prints a JSON list of {path, seconds, queries, reads_in_full, sql}."""

import json
import re
import sys
import time
from typing import Any

import django
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

LARGE_ROWS = 10_000
SCAN = re.compile(r"Seq Scan on (\w+)")
COST = re.compile(r"cost=[\d.]+\.\.([\d.]+)")
# A scan that a limit ends early costs less; reading a million rows costs forty times more.
CHEAP = 2_000
FILTERS = {
    "runs": (
        "", "status=failed", "status=failed&status=timed_out&period=7d", "environment=dev",
        "environment=prod&status=succeeded", "trigger=schedule", "tag=finance",
        "tag=legal&status=failed", "tag=nothing", "search=order", "search=nobody", "period=24h",
        "created_before=2026-11-01", "page=400", "ordering=created_at", "workflow={workflow}",
        "workflow={workflow}&status=failed&environment=dev", "agent={agent}",
        "parent={workflow}",
    ),
    "audit": ("", "action=tool.created", "search=tool", "actor_type=user", "period=24h"),
    "workflows": ("", "search=order", "ordering=-updated_at"),
    "agents": ("", "search=writer", "status=active", "ordering=-updated_at"),
    "tools": ("", "search=crm", "kind=python", "ordering=-updated_at"),
    "approvals": ("", "status=approved"),
    "exports": ("", "status=done"),
}  # fmt: skip
# Only the API offers these.
ORDERINGS = ("status", "-cost", "priority", "-started_at", "-ended_at")


def large_tables() -> set[str]:
    """The tables that must not be read in full."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [LARGE_ROWS]
        )
        return {name for (name,) in cursor.fetchall()}


def plan_of(sql: str) -> str:
    """The plan the database makes for it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


def read_in_full(plan: str) -> set[str]:
    """The tables that a plan reads from end to end."""
    cost = COST.search(plan)
    return set(SCAN.findall(plan)) if cost and float(cost[1]) > CHEAP else set()


def looked_at(browser: Client, path: str, large: set[str]) -> dict[str, Any]:
    """One request: its time, its queries, and the large tables that one of them reads in full."""
    browser.get(path)
    began = time.perf_counter()
    answer = browser.get(path, HTTP_ACCEPT="application/json")
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    with CaptureQueriesContext(connection) as caught:
        browser.get(path, HTTP_ACCEPT="application/json")
    asked = [q["sql"] for q in caught.captured_queries if q["sql"].startswith("SELECT")]
    read = [(sql, read_in_full(plan_of(sql)) & large) for sql in asked]
    return {
        "path": path,
        "seconds": seconds,
        "queries": len(caught),
        "reads_in_full": sorted({table for _, tables in read for table in tables}),
        "sql": [sql for sql, tables in read if tables],
    }


def main(email: str) -> None:
    """Ask every list in every way, as page and by the API."""
    # Known only once Django is set up.
    people = django.apps.apps.get_model("projects", "User")
    user = people.objects.get(email=email)
    project = next(iter(user.project_roles()))
    ids = {
        "workflow": django.apps.apps.get_model("workflows", "Workflow").objects.get(
            project_id=project, slug="order-intake"
        ).pk,
        "agent": django.apps.apps.get_model("agents", "Agent").objects.get(
            project_id=project, slug="writer"
        ).pk,
    }  # fmt: skip
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    large = large_tables()
    paths = []
    for name, queries in FILTERS.items():
        page = f"/{name}/history/" if name == "approvals" else f"/{name}/"
        for query in queries:
            asked = query.format(**ids)
            paths += [f"/api/v1/{name}?{asked}", f"{page}?{asked}"]
    paths += [f"/api/v1/runs?ordering={order}" for order in ORDERINGS]
    paths += ["/"]
    found = [looked_at(browser, path, large) for path in paths]
    sys.stdout.write(json.dumps({"large": sorted(large), "pages": found}))


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1])
