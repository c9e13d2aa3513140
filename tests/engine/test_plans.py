"""What is asked every moment must find its few rows by an index, however many runs there were."""

import re
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from controlplane.kit.database import conninfo
from runs import statements as sql

LARGE = re.compile(r"Seq Scan on (step|run|event|attempt|effect|log_line|checkpoint)\b")

ASKED = {
    "claim": (
        sql.CLAIM,
        {"queue": "shared", "worker": uuid4(), "cpu": 16, "io": 200, "inline": 100},
    ),
    "held": (sql.HELD_BY_WORKER, [uuid4()]),
    "orphans": (sql.ORPHANS, None),
    "due": (sql.DUE_RUNS, None),
    "next due": (sql.NEXT_DUE, None),
    "waiting queues": (sql.WAITING_QUEUES, None),
    "undecided": (sql.UNDECIDED_RUNS, None),
    "missed": (sql.MISSED, None),
    "overdue": (sql.OVERDUE_RUNS, None),
    "stubborn": (sql.STUBBORN_RUNS, None),
    "idle": (sql.IDLE_RUNNING_RUNS, None),
    "open steps": (
        sql.CANCEL_OPEN_STEPS,
        {"reason": "", "run": uuid4(), "ending": [], "under": None, "at": None},
    ),
    "scopes": (sql.SCOPES, [[uuid4()], ["m[1]"]]),
    "words": (sql.SCOPE_WORDS, [[uuid4()], ["m[1]"]]),
    "close scopes": (sql.CLOSE_SCOPES, {"run": uuid4(), "under": "m["}),
    "next item": (sql.NEXT_PENDING_SCOPE, [uuid4(), 3]),
    "results": (sql.SCOPE_RESULTS, [uuid4()]),
    "kept items": (sql.KEPT_ITEMS, {"run": uuid4(), "under": "m["}),
    "parent": (sql.WAITING_PARENT, [uuid4()]),
    "forsaken": (sql.FORSAKEN_RUNS, None),
    "leased": (sql.LEASED_RUNS, {"worker": uuid4(), "steps": None}),
    "count": (sql.COUNT_STEPS, [uuid4()]),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_frequent_question_reads_no_table_in_full(committed: None, name: str) -> None:
    statement, params = ASKED[name]
    with psycopg.connect(conninfo()) as conn:
        # Small tables are read in full anyway, so forbid it where there is another way.
        conn.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        rows: Any = conn.execute(f"EXPLAIN {statement}", params).fetchall()
        conn.rollback()
    plan = "\n".join(row[0] for row in rows)
    assert not LARGE.search(plan), plan
