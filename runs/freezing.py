"""Freezing: nothing of a frozen project or environment is begun until it is thawed.

The switch is a fact of the project; a claim and a declared call look at it themselves, so that it
holds from the moment it is turned. Runs are held besides (paused with the reason `frozen`, their
ready steps out of the queue), so that queues stay short and every run says why. What this misses,
or what another turn of the switch overtook, the sweep mends.
"""

from collections import Counter
from typing import Any

import psycopg
from django.db import connection

from projects.freezing import set_frozen
from projects.models import Environment, Project
from runs import statements as sql
from runs.lifecycle import Ledger, read_rows
from runs.release import tell
from runs.states import RunStatus

REASON = "frozen"
BATCH = 500
# So many batches are held while the person waits; the sweep goes on with the rest.
AT_ONCE = 4


def freeze(
    project: Project, environment: Environment | None = None, *, actor: Any, reason: str = ""
) -> bool:
    """Begin nothing more: at once. Running steps finish the call they are in. False where it is
    frozen already. Not to be called inside a transaction."""
    changed = set_frozen(project, environment, True, actor=actor, reason=reason)
    _now(hold)
    return changed


def thaw(project: Project, environment: Environment | None = None, *, actor: Any) -> bool:
    """Let everything go on by itself. False where it was not frozen."""
    changed = set_frozen(project, environment, False, actor=actor)
    _now(let_go)
    return changed


def _now(work: Any) -> None:
    connection.ensure_connection()
    for _ in range(AT_ONCE):
        if not work(connection.connection):
            return


def hold(conn: psycopg.Connection) -> bool:
    """Hold some live runs that are frozen; whether there may be more."""
    ids = [row[0] for row in conn.execute(sql.TO_HOLD, {"most": BATCH}).fetchall()]
    if not ids:
        return False
    with conn.transaction():
        ledger = Ledger(conn)
        locked = ledger.lock(ids)
        held = Counter(
            row["run_id"] for row in read_rows(conn, sql.HOLD_STEPS, [[r.id for r in locked]])
        )
        for run in locked:
            if run.status not in HOLDABLE or run.end_status:
                continue
            run.status, run.reason = RunStatus.PAUSED, REASON
            run.busy_steps -= held[run.id]
            ledger.event(run, "run.paused", data={"status": "paused", "reason": REASON})
        ledger.write()
    tell(ledger.groups(), ())
    return bool(locked) and len(ids) == BATCH


HOLDABLE = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING)


def let_go(conn: psycopg.Connection) -> bool:
    """Let some held runs go on that are frozen no more; whether there may be more."""
    rows = conn.execute(sql.TO_LET_GO, {"most": BATCH}).fetchall()
    if not rows:
        return False
    has_begun = dict(rows)
    queues: set[str] = set()
    with conn.transaction():
        ledger = Ledger(conn)
        locked = {run.id: run for run in ledger.lock(has_begun)}
        for row in read_rows(conn, sql.LET_GO_STEPS, [list(locked)]):
            run = locked[row["run_id"]]
            run.busy_steps += 1
            queues.add(row["queue"])
            ledger.event(run, "step.ready", row["id"], {"node": row["node"]})
        for run in locked.values():
            if run.status != RunStatus.PAUSED or run.reason != REASON:
                continue
            going = RunStatus.RUNNING if run.busy_steps else RunStatus.WAITING
            run.status, run.reason = going if has_begun[run.id] else RunStatus.QUEUED, ""
            ledger.event(run, "run.resumed", data={"status": run.status})
        ledger.write()
    tell(ledger.groups(), queues)
    return bool(locked) and len(rows) == BATCH
