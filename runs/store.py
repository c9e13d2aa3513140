"""Writes a step makes while it works: effects, checkpoints, its input; and late decisions.

Each call takes a pooled connection for the length of one statement; none is held during a call to
the outside. A database that is away for a moment is waited for: what a call did must not be
forgotten because of it.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from runs import statements as sql
from runs.advance import follow, settle
from runs.dispatch import remember, render_output
from runs.facts import Facts, LoadedFrontier
from runs.lifecycle import Ledger, read_rows
from runs.undecided import undecided_end
from runs.work import LeaseLost, StepCancelled, StepFrozen, StepWork, is_database_away

T = TypeVar("T")
PATIENCE_SECONDS = 30.0


def _json(value: Any) -> str:
    return dumps(value).decode()


class Store:
    """The pooled connections of one worker's running steps."""

    def __init__(self, conninfo: str) -> None:
        self.pool = ConnectionPool(
            conninfo,
            min_size=0,
            max_size=6,
            open=True,
            kwargs={"autocommit": True},
            timeout=PATIENCE_SECONDS,
        )

    def close(self) -> None:
        """Close the connections."""
        self.pool.close(timeout=1)

    def _ask(
        self, step: StepWork, work: Callable[[psycopg.Connection], T], *, is_owed: bool = False
    ) -> T:
        """Do one statement, again while the database is away and the step is ours (or even then,
        where it is owed to whoever goes on with it). Each may be done twice, since the answer of
        the first may have got lost."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self.pool.connection() as conn:
                    return work(conn)
            except psycopg.Error as exc:
                is_ours = is_owed or not step.is_abandoned
                if not is_database_away(exc) or time.monotonic() > until or not is_ours:
                    raise
            time.sleep(0.2)

    def declare(self, step: StepWork, ordinal: int, effect: dict[str, Any]) -> dict[str, Any]:
        """Write the intent of an outside effect under the lease, before the call; LeaseLost where
        the lease is gone, StepCancelled where the run is to end, StepFrozen where it is frozen.
        Returns the row: an older intent of the same call where there is one."""
        params = {
            **effect,
            "id": uuid7(),
            "run": step.run.id,
            "step": step.id,
            "lease": step.lease,
            "ordinal": ordinal,
            "arguments": _json(effect["arguments"]),
        }
        step.open_effects[ordinal] = effect["effect_class"]
        rows = self._ask(step, lambda conn: read_rows(conn, sql.DECLARE_EFFECT, params))
        if not rows:
            del step.open_effects[ordinal]
            raise self._refusal(step)
        if rows[0]["state"] in ("done", "resolved"):
            del step.open_effects[ordinal]
        return rows[0]

    def fulfil(self, step: StepWork, ordinal: int, result: Any) -> None:
        """The declared effect happened, with this result. True even when the lease is lost: then
        nobody needs to be asked."""
        params = [_json(result), step.id, ordinal]
        self._ask(step, lambda conn: conn.execute(sql.FULFIL_EFFECT, params), is_owed=True)
        step.open_effects.pop(ordinal, None)

    def note_check(self, step: StepWork, effect_id: UUID, note: dict[str, Any]) -> None:
        """Keep what a tool's check said of a call in doubt."""
        params = [_json(note), effect_id]
        self._ask(step, lambda conn: conn.execute(sql.NOTE_CHECK, params))

    def reopen(self, step: StepWork, ordinal: int, effect_id: UUID) -> None:
        """A call in doubt did not happen and is about to be made: its intent stands again, under
        the lease. As `declare` where that is gone or the run is to end; LeaseLost also where a
        person said something of it meanwhile, for then the step is to look again."""
        params = {"id": effect_id, "step": step.id, "lease": step.lease}
        if self._ask(step, lambda conn: conn.execute(sql.REOPEN_EFFECT, params).rowcount):
            return
        raise self._refusal(step)

    def _refusal(self, step: StepWork) -> Exception:
        """Why no call of a step may be made now."""
        lease = [step.id, step.lease]
        found = self._ask(step, lambda conn: conn.execute(sql.IS_ENDING, lease).fetchone())
        is_ending, is_frozen = found or (False, False)
        if is_ending:
            return StepCancelled()
        return StepFrozen() if is_frozen else LeaseLost()

    def withdraw(self, step: StepWork, ordinal: int) -> None:
        """The declared effect certainly did not happen: the call was refused before it left."""
        params = [step.id, ordinal, step.lease]
        self._ask(step, lambda conn: conn.execute(sql.WITHDRAW_EFFECT, params))
        step.open_effects.pop(ordinal, None)

    def save_checkpoint(self, step: StepWork, ordinal: int, kind: str, content: Any) -> None:
        """Keep one finished model or tool call of an agent's loop, under the lease."""
        params = [step.id, ordinal, kind, _json(content), step.id, step.lease]
        done = self._ask(step, lambda conn: conn.execute(sql.SAVE_CHECKPOINT, params).rowcount)
        if done == 0:
            raise LeaseLost

    def take_signal(self, step: StepWork, name: str) -> tuple[bool, Any]:
        """(whether one has come, its body): the oldest signal of that name nobody has taken."""
        params = {"step": step.id, "run": step.run.id, "name": name}
        with self.pool.connection() as conn:
            rows = read_rows(conn, sql.TAKE_SIGNAL, params)
        return (True, rows[0]["body"]) if rows else (False, None)

    def scope_results(self, step: StepWork) -> list[dict[str, Any]]:
        """How each item of a map ended, in order: {index, status, output, error}."""
        return self._ask(step, lambda conn: read_rows(conn, sql.SCOPE_RESULTS, [step.id]))

    def kept_items(self, step: StepWork, under: str) -> list[dict[str, Any]]:
        """What the run that this one retries made of the same map: {index, words, output}."""
        params = {"run": step.run.id, "under": under}
        return self._ask(step, lambda conn: read_rows(conn, sql.KEPT_ITEMS, params))

    def checkpoints(self, step: StepWork) -> list[dict[str, Any]]:
        """The checkpoints of earlier attempts, in order."""
        return self._ask(step, lambda conn: read_rows(conn, sql.CHECKPOINTS, [step.id]))


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
        frontier = LoadedFrontier(conn, facts)
        for row in read_rows(conn, sql.TAKE_UNDECIDED, [run_id]):
            ended = undecided_end(run_id, row)
            remember(facts, ended)
            ledger.note_end(run, ended)
            follow(ledger, run, graph, ended, frontier)
        settle(ledger, run, graph, lambda run, graph: render_output(conn, facts, run, graph))
        ledger.write()
    return ledger.groups(), {step.queue for step in ledger.became_ready}


def wake_parent(conn: psycopg.Connection, run_id: UUID) -> tuple[list[str], set[str]]:
    """A run has ended that a step of another may wait for: that step goes on. In a transaction of
    its own, for no two runs are ever locked in one. Returns the live groups and the queues to
    ring; what is missed here the sweep finds."""
    row = conn.execute(sql.WAITING_PARENT, [run_id]).fetchone()
    if row is None:
        return [], set()
    parent_id, step_id = row
    queues: set[str] = set()
    with conn.transaction():
        ledger = Ledger(conn)
        for run in ledger.lock([parent_id], wait=True):
            queues = ledger.resume_steps(run, [step_id], {})
        ledger.write()
    return ledger.groups(), queues
