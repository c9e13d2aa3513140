"""Log lines of running steps: gathered, numbered and written in batches by one thread."""

import logging
import queue
import re
import threading
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from controlplane.kit.events import announce, subject_group
from controlplane.kit.json import dumps
from controlplane.kit.storable import problem
from runs import statements as sql

logger = logging.getLogger(__name__)
LINES_A_BATCH = 500
LONGEST_MESSAGE = 8_000
LARGEST_DATA_BYTES = 16_000
MOST_WAITING = 20_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
LEVELS = ("debug", "info", "warning", "error")


def storable_text(text: str) -> str:
    """Text without what the database refuses: NUL and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text[:LONGEST_MESSAGE])


def log_line(run_id: UUID, step_id: UUID, level: str, message: str, data: Any) -> dict[str, Any]:
    """A line as the writing statement takes it."""
    if data is not None and problem(data, LARGEST_DATA_BYTES) is not None:
        data = {"omitted": "too large or not storable"}
    return {
        "run": run_id,
        "step": step_id,
        "level": level if level in LEVELS else "info",
        "at": datetime.now(UTC),
        "message": storable_text(message),
        "data": data,
    }


class LogBuffer:
    """Lines wait here until the writer takes them; a writer that is too slow slows the step."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.lines: queue.Queue[dict[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="engine-logs", daemon=True)
        self._conn: psycopg.Connection | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        with suppress(queue.Full):
            self.lines.put(None, timeout=1)
        if self._thread.is_alive():
            self._thread.join(3)
        self._stopping.set()

    def add(
        self, run_id: UUID, project_id: UUID, step_id: UUID, level: str, message: str, data: Any
    ) -> None:
        """One line. Blocks while too many wait."""
        self.lines.put(log_line(run_id, step_id, level, message, data))

    def _run(self) -> None:
        while (line := self.lines.get()) is not None:
            batch = [line]
            while len(batch) < LINES_A_BATCH:
                try:
                    more = self.lines.get(timeout=0.05 if len(batch) == 1 else 0.01)
                except queue.Empty:
                    break
                if more is None:
                    self._write(batch)
                    return
                batch.append(more)
            self._write(batch)

    def _write(self, batch: list[dict[str, Any]]) -> None:
        """Runs are written one by one in key order: each takes its own row's lock only."""
        by_run: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for line in batch:
            by_run[line["run"]].append(line)
        for run_id in sorted(by_run):
            rows = [{**line, "nth": n} for n, line in enumerate(by_run[run_id])]
            if self._written(run_id, dumps(rows).decode()):
                announce([subject_group(run_id)])

    def _written(self, run_id: UUID, rows: str) -> bool:
        """Write the lines of one run. A database that is away is waited for, while steps that log
        more are held up by the full queue."""
        while True:
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = psycopg.connect(self.conninfo, autocommit=True)
                self._conn.execute(sql.WRITE_LOGS, [rows])
            except psycopg.OperationalError as exc:
                logger.warning("log lines of run %s wait for the database: %s", run_id, exc)
                self._conn = None
                if self._stopping.wait(0.5):
                    return False
            except psycopg.Error as exc:
                logger.warning("log lines of run %s lost: %s", run_id, exc)
                self._conn = None
                return False
            else:
                return True
