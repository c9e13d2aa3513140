"""Writes a step makes while it works: effects, checkpoints, its input; and late decisions.

Each call takes a pooled connection for the length of one statement; none is held during a call to
the outside.
"""

from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from runs import statements as sql
from runs.advance import follow, settle
from runs.dispatch import remember, render_output
from runs.facts import Facts, LoadedFrontier
from runs.lifecycle import Ended, Ledger, read_rows
from runs.work import LeaseLost, StepWork


def _json(value: Any) -> str:
    return dumps(value).decode()


class Store:
    """The pooled connections of one worker's running steps."""

    def __init__(self, conninfo: str) -> None:
        self.pool = ConnectionPool(
            conninfo, min_size=0, max_size=6, open=True, kwargs={"autocommit": True}
        )

    def close(self) -> None:
        """Close the connections."""
        self.pool.close(timeout=1)

    def declare(self, step: StepWork, ordinal: int, effect: dict[str, Any]) -> dict[str, Any]:
        """Write the intent of an outside effect under the lease, before the call; LeaseLost where
        the lease is gone. Returns the row: an older intent of the same call where there is one."""
        params = {
            **effect,
            "id": uuid7(),
            "run": step.run.id,
            "step": step.id,
            "lease": step.lease,
            "ordinal": ordinal,
            "arguments": _json(effect["arguments"]),
        }
        with self.pool.connection() as conn:
            rows = read_rows(conn, sql.DECLARE_EFFECT, params)
        if not rows:
            raise LeaseLost
        step.open_effects += 1
        return rows[0]

    def fulfil(self, step: StepWork, ordinal: int, result: Any) -> None:
        """The declared effect happened, with this result."""
        with self.pool.connection() as conn:
            conn.execute(sql.FULFIL_EFFECT, [_json(result), step.id, ordinal])
        step.open_effects -= 1

    def withdraw(self, step: StepWork, ordinal: int) -> None:
        """The declared effect certainly did not happen: the call was refused before it left."""
        with self.pool.connection() as conn:
            conn.execute(sql.WITHDRAW_EFFECT, [step.id, ordinal])
        step.open_effects -= 1

    def save_checkpoint(self, step: StepWork, ordinal: int, kind: str, content: Any) -> None:
        """Keep one finished model or tool call of an agent's loop, under the lease."""
        params = [step.id, ordinal, kind, _json(content), step.id, step.lease]
        with self.pool.connection() as conn:
            if conn.execute(sql.SAVE_CHECKPOINT, params).rowcount == 0:
                raise LeaseLost

    def checkpoints(self, step: StepWork) -> list[dict[str, Any]]:
        """The checkpoints of earlier attempts, in order."""
        with self.pool.connection() as conn:
            return read_rows(conn, sql.CHECKPOINTS, [step.id])


def decide(conn: psycopg.Connection, facts: Facts, run_id: UUID) -> tuple[list[str], set[str]]:
    """Wait for the run's row and decide the steps that ended while it was busy, in a transaction of
    its own. Returns the live groups and the queues to ring."""
    with conn.transaction():
        ledger = Ledger(conn)
        locked = ledger.lock([run_id], wait=True)
        if not locked:
            return [], set()
        run = locked[0]
        graph = facts.graph(conn, run.version_id)
        frontier = LoadedFrontier(conn)
        for row in read_rows(conn, sql.TAKE_UNDECIDED, [run_id]):
            ended = Ended(
                step_id=row["id"],
                run_id=run_id,
                path=row["path"],
                node=row["node"],
                lease=row["id"],
                status=row["status"],
                reason=row["reason"],
                error=row["error"],
                output=row["output"],
                edges=tuple(row["edges"] or ()),
                is_fatal=row["fatal"],
                input_tokens=row["input_tokens"],
                output_tokens=row["output_tokens"],
                cost=row["cost"],
                unpriced_calls=row["unpriced_calls"],
            )
            remember(facts, ended)
            ledger.note_end(run, ended)
            follow(ledger, run, graph, ended, frontier)
        settle(ledger, run, graph, lambda run, graph: render_output(conn, facts, run, graph))
        ledger.write()
    return ledger.groups(), {step.queue for step in ledger.became_ready}
