"""Ends of steps whose run was locked by another: kept in the steps' rows, and read back."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from runs import statements as sql
from runs.rows import Ended, as_json, end_row


def write_undecided(conn: psycopg.Connection, ends: Sequence[Ended]) -> None:
    """Ends of steps whose run is locked by another: written now, decided right after."""
    calls = [call for ended in ends for call in ended.calls]
    params = {
        "tool": as_json([call["row"] for call in calls if call["kind"] == "tool"]),
        "model": as_json([call["row"] for call in calls if call["kind"] == "model"]),
        "ends": as_json([{**end_row(e), "state": _untold(e)} for e in ends]),
    }
    conn.execute(sql.END_UNDECIDED, params)
    if doubted := [e.step_id for e in ends if e.is_in_doubt]:
        conn.execute(sql.MARK_UNKNOWN, [doubted])


def _untold(ended: Ended) -> dict[str, Any]:
    """What the run has still to be told of an undecided end, besides the step's own row."""
    return {
        "fatal": ended.is_fatal,
        "it": ended.input_tokens,
        "ot": ended.output_tokens,
        "cost": ended.cost,
        "un": ended.unpriced_calls,
        "calls": [{"kind": call["kind"], "event": call["event"]} for call in ended.calls],
    }


def undecided_end(run_id: UUID, row: Mapping[str, Any]) -> Ended:
    """The end that `write_undecided` kept, from its row. Its calls are written already."""
    untold = row["state"]
    cost = untold.get("cost")
    return Ended(
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
        is_fatal=untold.get("fatal", False),
        input_tokens=untold.get("it", 0),
        output_tokens=untold.get("ot", 0),
        cost=None if cost is None else Decimal(str(cost)),
        unpriced_calls=untold.get("un", 0),
        calls=[{**call, "row": None} for call in untold.get("calls", ())],
    )
