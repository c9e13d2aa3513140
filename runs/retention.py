"""Removing what projects no longer keep by their rules: ended runs, log lines, inputs and outputs.

In small batches, each a transaction of its own that passes by locked rows, so that nobody waits for
it. Never touched: a run that has not ended, whatever belongs to the tree of one (its root, those it
goes on from), and a run with a call in doubt.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from controlplane.kit import audit
from runs import retention_sql as sql
from runs.lifecycle import read_rows

logger = logging.getLogger(__name__)
RUNS_A_BATCH = 50
RUNS_A_LOOK = 500
LINES_A_BATCH = 5_000
# Between two batches, so that the work of others goes first.
BREATH_SECONDS = 0.02


@dataclass(slots=True)
class Removed:
    """What one pass removed of a project."""

    runs: int = 0
    lines: int = 0
    payloads: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.lines or self.payloads)


@dataclass(slots=True)
class Rule:
    """How long a project keeps what, and how far it has been swept. None: as long as the run."""

    project: UUID
    run_days: int
    log_days: int | None
    payload_days: int | None
    logs_to: datetime | None
    payloads_to: datetime | None


class Pruner:
    """One pass after the other over all projects, on a connection in autocommit of its own.
    `stopping` ends a pass between two batches."""

    def __init__(self, conn: psycopg.Connection, stopping: threading.Event | None = None) -> None:
        self.conn = conn
        self.stopping = stopping or threading.Event()

    def prune(self, now: datetime | None = None) -> dict[UUID, Removed]:
        """One pass: what was removed of which project; each has its audit row."""
        moment = now or datetime.now(UTC)
        found = {}
        for row in read_rows(self.conn, sql.RULES, []):
            rule = Rule(**row)
            try:
                removed = self._sweep(rule, moment)
            except psycopg.OperationalError:
                raise
            except psycopg.Error:
                # One project that cannot be swept keeps no other waiting.
                logger.exception("project %s is not swept", rule.project)
                continue
            if removed:
                found[rule.project] = removed
                _tell(rule, removed)
            if self.stopping.is_set():
                break
        return found

    def _sweep(self, rule: Rule, now: datetime) -> Removed:
        removed = Removed()
        cutoff = now - timedelta(days=rule.run_days)
        for ids in self._batches(sql.OLD_RUNS, rule, cutoff):
            removed.lines += self._delete_lines(ids)
            removed.runs += self._delete(ids)
        if rule.log_days is not None and rule.log_days < rule.run_days:
            cutoff = now - timedelta(days=rule.log_days)
            removed.lines += self._walk(rule, cutoff, rule.logs_to, "logs_to", self._delete_lines)
        if rule.payload_days is not None and rule.payload_days < rule.run_days:
            cutoff = now - timedelta(days=rule.payload_days)
            removed.payloads += self._walk(
                rule, cutoff, rule.payloads_to, "payloads_to", self._clear
            )
        params = {
            "project": rule.project, "runs": removed.runs, "lines": removed.lines,
            "payloads": removed.payloads,
        }  # fmt: skip
        self.conn.execute(sql.COUNT, params)
        return removed

    def _batches(self, statement: str, rule: Rule, cutoff: datetime) -> Iterator[list[UUID]]:
        """Runs to be deleted, as long as there are any; those that another holds come again with
        the next pass."""
        before: list[UUID] = []
        params = {"project": rule.project, "cutoff": cutoff, "most": RUNS_A_BATCH}
        while not self.stopping.is_set():
            ids = [row[0] for row in self.conn.execute(statement, params).fetchall()]
            if not ids or ids == before:
                return
            yield ids
            before = ids
            time.sleep(BREATH_SECONDS)

    def _walk(
        self, rule: Rule, cutoff: datetime, since: datetime | None, mark: str, work: Any
    ) -> int:
        """Do the work for the ended runs begun from `since` to `cutoff`, and keep how far all of
        them are done: up to the first that is left out."""
        count, is_complete = 0, True
        place: Any = {"at": since, "id": None}
        while not self.stopping.is_set():
            params = {"project": rule.project, "cutoff": cutoff, "most": RUNS_A_LOOK, **place}
            rows = read_rows(self.conn, sql.RUNS_TO_WALK, params)
            if not rows:
                break
            for first in range(0, len(rows), RUNS_A_BATCH):
                part = rows[first : first + RUNS_A_BATCH]
                if ids := [row["id"] for row in part if row["is_over"]]:
                    count += work(ids)
                for row in part:
                    is_complete = is_complete and row["is_over"]
                    if is_complete:
                        since = row["created_at"]
            place = {"at": rows[-1]["created_at"], "id": rows[-1]["id"]}
            params = {"project": rule.project, "to": since}
            self.conn.execute(sql.KEEP_PLACE[mark], params)
        return count

    def _delete_lines(self, ids: list[UUID]) -> int:
        """The log lines of runs, some thousand at a time."""
        count = 0
        params = {"runs": ids, "most": LINES_A_BATCH}
        while not self.stopping.is_set():
            done = self.conn.execute(sql.DELETE_LINES, params).rowcount
            count += done
            if done < LINES_A_BATCH:
                return count
            time.sleep(BREATH_SECONDS)
        return count

    def _delete(self, ids: list[UUID]) -> int:
        """Runs with all that hangs on them; those that are locked, or have got a live child in the
        meantime, stay."""
        with self.conn.transaction():
            free = [row[0] for row in self.conn.execute(sql.LOCK_OLD, [ids]).fetchall()]
            for statement in sql.DELETE_RUNS if free else ():
                self.conn.execute(statement, [free])
        return len(free)

    def _clear(self, ids: list[UUID]) -> int:
        """What went in and out of runs; what they did, when, and what it cost stays."""
        with self.conn.transaction():
            free = [row[0] for row in self.conn.execute(sql.LOCK_UNCLEARED, [ids]).fetchall()]
            for statement in sql.CLEAR_PAYLOADS if free else ():
                self.conn.execute(statement, [free])
        time.sleep(BREATH_SECONDS)
        return len(free)


def _tell(rule: Rule, removed: Removed) -> None:
    rules = {
        "retention_days": rule.run_days,
        "log_retention_days": rule.log_days,
        "payload_retention_days": rule.payload_days,
    }
    counts = {"runs": removed.runs, "log_lines": removed.lines, "payloads": removed.payloads}
    audit.record(
        "project.pruned",
        actor=None,
        project_id=rule.project,
        target=rule.project,
        target_type="project",
        after={**counts, **rules},
    )
