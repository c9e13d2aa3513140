"""What must hold for every run at rest, asked of the database itself."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg

TERMINAL = "('succeeded', 'failed', 'cancelled', 'timed_out')"
STEP_TERMINAL = "('succeeded', 'failed', 'skipped', 'cancelled')"

# ruff: noqa: S608 (constants only)
RULES = {
    "a run has neither an outcome nor a live step": f"""
SELECT r.id, r.status FROM run r WHERE r.id = ANY(%(runs)s) AND r.status NOT IN {TERMINAL}
  AND NOT EXISTS (SELECT 1 FROM step s WHERE s.run_id = r.id
    AND s.status IN ('ready', 'running', 'waiting', 'parked'))""",
    "a run has ended with open steps": f"""
SELECT r.id, s.node, s.status FROM run r JOIN step s ON s.run_id = r.id
WHERE r.id = ANY(%(runs)s) AND r.status IN {TERMINAL} AND s.status NOT IN {STEP_TERMINAL}""",
    "a run that is over has not exactly one terminal event": f"""
SELECT r.id, r.status, count(e.seq) FROM run r LEFT JOIN event e ON e.subject_id = r.id
  AND e.type IN ('run.succeeded', 'run.failed', 'run.cancelled', 'run.timed_out')
WHERE r.id = ANY(%(runs)s) GROUP BY r.id, r.status
HAVING count(e.seq) <> (r.status IN {TERMINAL})::int
  OR bool_or(e.type <> 'run.' || r.status)""",
    "the seq of a run's events has gaps or differs from last_seq": """
SELECT r.id, r.last_seq, count(e.seq), min(e.seq), max(e.seq)
FROM run r LEFT JOIN event e ON e.subject_id = r.id
WHERE r.id = ANY(%(runs)s) GROUP BY r.id, r.last_seq
HAVING count(e.seq) <> r.last_seq OR min(e.seq) <> 1 OR max(e.seq) <> r.last_seq""",
    "events are not in the order of their time": """
SELECT subject_id, seq FROM (
  SELECT subject_id, seq, at, lag(at) OVER (PARTITION BY subject_id ORDER BY seq) AS before
  FROM event WHERE subject_id = ANY(%(runs)s)) e WHERE at < before""",
    "open_steps or busy_steps are miscounted": f"""
SELECT r.id, r.status, r.open_steps, c.open, r.busy_steps, c.busy FROM run r JOIN LATERAL (
  SELECT count(*) FILTER (WHERE s.status NOT IN {STEP_TERMINAL} OR s.undecided) AS open,
    count(*) FILTER (WHERE s.status IN ('ready', 'running') OR s.undecided) AS busy
  FROM step s WHERE s.run_id = r.id) c ON true
WHERE r.id = ANY(%(runs)s) AND (r.open_steps <> c.open OR r.busy_steps <> c.busy)""",
    "the open steps of an item are miscounted": f"""
SELECT c.path, c.open_steps, count(s.id) FROM scope c JOIN run r ON r.id = c.run_id
LEFT JOIN step s ON s.run_id = c.run_id AND s.path = c.path
  AND (s.status NOT IN {STEP_TERMINAL} OR s.undecided)
WHERE c.run_id = ANY(%(runs)s) AND c.status = 'open' AND r.end_status = ''
GROUP BY c.path, c.open_steps HAVING c.open_steps <> count(s.id)""",
    "a map has more open items than its state says, or fewer": f"""
SELECT s.node, s.state, count(c.index) FROM step s LEFT JOIN scope c ON c.step_id = s.id
  AND c.status = 'open' JOIN run r ON r.id = s.run_id
WHERE s.run_id = ANY(%(runs)s) AND s.kind IN ('map', 'loop') AND s.status = 'waiting'
  AND r.end_status = '' AND r.status NOT IN {TERMINAL}
GROUP BY s.id, s.node, s.state HAVING count(c.index) <> (s.state ->> 'open')::int""",
    "a step that is over kept its lease, or has no end": f"""
SELECT id, node, status FROM step WHERE run_id = ANY(%(runs)s) AND (
  (status IN {STEP_TERMINAL} AND (lease IS NOT NULL OR ended_at IS NULL OR undecided))
  OR (status NOT IN {STEP_TERMINAL} AND ended_at IS NOT NULL))""",
    "a running step has no lease": """
SELECT id, node FROM step WHERE run_id = ANY(%(runs)s) AND status = 'running'
  AND (lease IS NULL OR worker_id IS NULL)""",
    "two running steps share a lease": """
SELECT lease FROM step WHERE run_id = ANY(%(runs)s) AND status = 'running'
GROUP BY lease HAVING count(*) > 1""",
    "a step has more ends in its history than one": """
SELECT subject_id, step_id, count(*) FROM event WHERE subject_id = ANY(%(runs)s)
  AND type IN ('step.succeeded', 'step.failed', 'step.skipped', 'step.cancelled')
GROUP BY subject_id, step_id HAVING count(*) > 1""",
    "the history tells another end of a step than its row": f"""
SELECT s.id, s.node, s.status, e.type FROM step s
JOIN run r ON r.id = s.run_id
LEFT JOIN event e ON e.subject_id = s.run_id AND e.step_id = s.id
  AND e.type IN ('step.succeeded', 'step.failed', 'step.skipped', 'step.cancelled')
WHERE s.run_id = ANY(%(runs)s) AND s.status IN {STEP_TERMINAL}
  AND (e.type IS DISTINCT FROM 'step.' || s.status)
  AND NOT (e.type IS NULL AND r.relation IS NOT NULL AND s.attempt = 0)""",
    "a step started more often than it was tried": """
SELECT s.id, s.attempt, count(e.seq) FROM step s LEFT JOIN event e
  ON e.subject_id = s.run_id AND e.step_id = s.id AND e.type = 'step.started'
WHERE s.run_id = ANY(%(runs)s) GROUP BY s.id, s.attempt HAVING count(e.seq) < s.attempt""",
    "a run does not add up what its steps used": """
SELECT r.id, r.input_tokens, c.it, r.cost, c.cost FROM run r JOIN LATERAL (
  SELECT coalesce(sum(s.input_tokens), 0) AS it, coalesce(sum(s.output_tokens), 0) AS ot,
    sum(s.cost) AS cost, coalesce(sum(s.unpriced_calls), 0) AS un
  FROM step s WHERE s.run_id = r.id AND NOT s.undecided) c ON true
WHERE r.id = ANY(%(runs)s) AND (r.input_tokens <> c.it OR r.output_tokens <> c.ot
  OR r.cost IS DISTINCT FROM c.cost OR r.unpriced_calls <> c.un)""",
    "an effect of a run that is over is still an open intent": f"""
SELECT e.id, e.step_id, e.tool_name FROM effect e JOIN step s ON s.id = e.step_id
WHERE e.run_id = ANY(%(runs)s) AND e.state = 'intent' AND e.effect_class <> 'idempotent'
  AND e.undoes IS NULL
  AND s.status IN {STEP_TERMINAL}""",
    "a step waits in reconcile without an effect in doubt": """
SELECT s.id, s.node FROM step s WHERE s.run_id = ANY(%(runs)s) AND s.status = 'waiting'
  AND s.reason = 'reconcile'
  AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.step_id = s.id AND e.state = 'unknown')""",
    "the tool calls told are not the tool calls kept": """
SELECT r.id, c.kept, e.told FROM run r,
  LATERAL (SELECT count(*) AS kept FROM tool_call t WHERE t.run_id = r.id) c,
  LATERAL (SELECT count(*) AS told FROM event v WHERE v.subject_id = r.id
    AND v.type = 'tool.called') e
WHERE r.id = ANY(%(runs)s) AND c.kept <> e.told""",
}


def broken(conn: psycopg.Connection[Any], run_ids: Iterable[UUID | str]) -> list[str]:
    """Every rule that does not hold for these runs, with its first rows."""
    ids = [UUID(str(run_id)) for run_id in run_ids]
    faults = []
    for rule, query in RULES.items():
        rows = conn.execute(query, {"runs": ids}).fetchall()
        if rows:
            faults.append(f"{rule}: {len(rows)} times, as {rows[:3]}")
    return faults


def assert_invariants(
    where: psycopg.Connection[Any] | str, run_ids: Iterable[UUID | str] | None = None
) -> None:
    """No rule is broken, by these runs or by all runs of the database. `where` is a connection in
    autocommit or the address of a database."""
    conn = psycopg.connect(where, autocommit=True) if isinstance(where, str) else where
    try:
        if run_ids is None:
            run_ids = [row[0] for row in conn.execute("SELECT id FROM run").fetchall()]
        faults = broken(conn, run_ids)
        assert not faults, "\n".join(faults)
    finally:
        if isinstance(where, str):
            conn.close()
