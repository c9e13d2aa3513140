"""Steps that their worker does not hold any more: given back, or counted as crashed."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from django.db import transaction

from controlplane.kit.events import announce
from controlplane.kit.json import dumps
from controlplane.kit.queue import ring
from runs import statements as sql
from runs.advance import settle_ending
from runs.lifecycle import Ledger, read_rows
from runs.rows import LockedRun
from runs.states import StepStatus

MOST_CRASHES = 3
LOST = {"code": "worker_lost", "message": "The worker died in the middle of this step."}


def give_back(
    conn: psycopg.Connection,
    worker_id: UUID,
    reason: str,
    step_ids: Iterable[UUID] | None = None,
    *,
    is_crash: bool = False,
) -> int:
    """Put leased steps back into the queue: all of a worker's, or the named ones. How many. Each
    run is one commit under its lock; in a run that is ending they are cancelled instead. With
    `is_crash` it counts as one, so that a step nobody can start is parked in the end."""
    steps = None if step_ids is None else list(step_ids)
    params = {"worker": worker_id, "steps": steps}
    count = 0
    for (run_id,) in conn.execute(sql.LEASED_RUNS, params).fetchall():
        with conn.transaction():
            ledger = Ledger(conn)
            run = next(iter(ledger.lock([run_id], wait=True)), None)
            if run is None:
                continue
            leased = read_rows(conn, sql.LEASED_STEPS, {**params, "run": run_id})
            if is_crash or run.end_status:
                queues = crash(ledger, run, leased, reason)
            else:
                queues = _requeue(ledger, run, leased, reason)
            settle_ending(ledger, run)
            ledger.write()
        count += len(leased)
        tell(ledger.groups(), queues)
    return count


def _requeue(ledger: Ledger, run: LockedRun, steps: list[dict[str, Any]], reason: str) -> set[str]:
    ledger.conn.execute(sql.GIVE_BACK, [reason, [step["id"] for step in steps]])
    ledger.doubt(step["id"] for step in steps)
    for step in steps:
        ledger.event(run, "step.ready", step["id"], {"node": step["node"], "reason": reason})
    return {step["queue"] for step in steps}


def crash(
    ledger: Ledger,
    run: LockedRun,
    steps: list[dict[str, Any]],
    reason: str = "worker_lost",
    error: dict[str, Any] = LOST,
) -> set[str]:
    """Steps of a locked run whose worker is gone go back to the queue; after three crashes they are
    parked; one with an open effect that cannot be repeated waits for a person. The queues to
    ring."""
    effects = read_rows(ledger.conn, sql.OPEN_EFFECTS, [[s["id"] for s in steps]])
    unsafe = {e["step_id"] for e in effects if e["effect_class"] == "unsafe"}
    rows, queues = [], set()
    for step in steps:
        status, why = StepStatus.READY, reason
        if run.end_status:
            status, why = StepStatus.CANCELLED, run.reason
        elif step["id"] in unsafe:
            status, why = StepStatus.WAITING, "reconcile"
        elif step["crash_count"] + 1 >= MOST_CRASHES:
            status, why = StepStatus.PARKED, "crashed"
        rows.append({"id": step["id"], "status": status, "reason": why, "error": error})
        data = {"node": step["node"], "reason": why}
        if status == StepStatus.READY:
            queues.add(step["queue"])
            ledger.event(run, "step.retrying", step["id"], {**data, "error": error})
        else:
            run.touch()
            run.busy_steps -= 1
            run.open_steps -= status == StepStatus.CANCELLED
            ledger.event(run, f"step.{status}", step["id"], data)
    if rows:
        ledger.conn.execute(sql.CRASH_STEPS, [dumps(rows).decode()])
    # Those of idempotent calls stay intents.
    ledger.doubt(s["id"] for s in rows)
    return queues


def tell_on_commit(groups: Iterable[str], queues: Iterable[str]) -> None:
    """`tell` once Django's running transaction has committed."""
    transaction.on_commit(lambda: tell(groups, queues))


def tell(groups: Iterable[str], queues: Iterable[str]) -> None:
    """After commit: ring the live doorbells of groups and wake a worker of each queue."""
    groups = list(groups)
    if groups:
        announce(groups)
    for queue_name in queues:
        ring("wake", queue_name)
