"""How many runs of a workflow are at work at once: those over its limits are held back, in order.

A run of a limited workflow knows the value of the workflow's key over its input. It begins held:
its first steps wait with the reason `concurrency` until `admit` lets it in, which counts under a
lock of the workflow. Runs of workflows without limits pay nothing for this.
"""

from collections import Counter
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, transaction

from controlplane.kit.errors import InvalidInput
from controlplane.kit.expressions import ExpressionError, compile_expression
from controlplane.kit.json import dumps
from runs import statements as sql
from runs.lifecycle import Ledger, read_rows
from runs.states import RunStatus
from workflows.models import Workflow

HELD = "concurrency"
LONGEST_KEY = 200


def key_of(workflow: Workflow, value: Any) -> str | None:
    """By what a run of this input is counted; None where the workflow has no limit. 422 where the
    key cannot be read from the input."""
    has_key = bool(workflow.concurrency_key and workflow.concurrency_key_limit)
    if not has_key:
        return "" if workflow.concurrency_limit else None
    try:
        found = compile_expression(workflow.concurrency_key).evaluate({"input": value})
    except ExpressionError as exc:
        message = f"The workflow's concurrency key cannot be read from it: {exc.message}"
        raise InvalidInput.of("input", message, exc.code) from None
    text = found if isinstance(found, str) else dumps(found).decode()
    return text[:LONGEST_KEY]


def admit(conn: psycopg.Connection, workflow_id: UUID) -> tuple[list[str], set[str]]:
    """Let in as many held runs of a workflow as its limits allow now, those of higher priority and
    then the older first. Within the running transaction; returns the live groups and the queues to
    ring after it."""
    conn.execute(sql.LOCK_WORKFLOW, [str(workflow_id)])
    limits = read_rows(conn, sql.WORKFLOW_LIMITS, [workflow_id])
    if not limits:
        return [], set()
    most, most_of_key = limits[0]["most"], limits[0]["most_of_key"]
    at_work = Counter(dict(conn.execute(sql.RUNS_AT_WORK, [workflow_id]).fetchall()))
    full = [key for key, count in at_work.items() if most_of_key and count >= most_of_key]
    chosen = []
    for run_id, key in conn.execute(sql.HELD_RUNS, [workflow_id, full]).fetchall():
        if most is not None and at_work.total() >= most:
            break
        if most_of_key is None or at_work[key] < most_of_key:
            at_work[key] += 1
            chosen.append(run_id)
    return _let_in(conn, chosen)


def _let_in(conn: psycopg.Connection, run_ids: list[UUID]) -> tuple[list[str], set[str]]:
    if not run_ids:
        return [], set()
    ledger, queues = Ledger(conn), set()
    runs = {run.id: run for run in ledger.lock(run_ids)}
    held = [r for r in runs.values() if r.status == RunStatus.QUEUED and r.reason == HELD]
    for run in held:
        run.reason = ""
        run.touch()
    rows = conn.execute(sql.LET_IN, [[run.id for run in held]]).fetchall()
    for run_id, step_id, node, queue_name in rows:
        runs[run_id].busy_steps += 1
        ledger.event(runs[run_id], "step.ready", step_id, {"node": node})
        queues.add(queue_name)
    ledger.write()
    return ledger.groups(), queues


def admit_now(workflow_id: UUID) -> tuple[list[str], set[str]]:
    """`admit` on Django's connection, in a transaction of its own."""
    with transaction.atomic():
        return admit(connection.connection, workflow_id)
