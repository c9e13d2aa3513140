"""The one statement that writes a decision, made of the parts that the decision needs.

Rows travel as one JSON array a part. Each run is guarded by the `last_seq` it was seen with: every
change of a run or of its steps raises it, so an unchanged one means an unchanged run. Runs that
changed meanwhile, or are locked, are left alone with all their rows; the answer names those that
were written. A part that is not there costs nothing: each would have to be set up by every
execution, with rows or without.
"""

from collections.abc import Iterable
from functools import cache

from runs.statements import MODEL_CALLS, TOOL_CALLS

_GUARD = """
WITH c AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(%(runs)s::jsonb) AS c(id uuid, was bigint, status text,
    "end" text, reason text, seq bigint, open int, busy int, output jsonb, error jsonb, it bigint,
    ot bigint, cost numeric, un int, ended boolean)),
g AS MATERIALIZED (
  SELECT r.id FROM run r JOIN c ON c.id = r.id WHERE r.last_seq = c.was
  FOR NO KEY UPDATE OF r SKIP LOCKED)"""

_RUNS = """
UPDATE run r SET status = c.status, end_status = c."end", reason = c.reason, last_seq = c.seq,
  open_steps = c.open, busy_steps = c.busy, output = coalesce(c.output, r.output),
  error = coalesce(c.error, r.error), updated_at = clock_timestamp(),
  input_tokens = r.input_tokens + c.it, output_tokens = r.output_tokens + c.ot,
  cost = CASE WHEN c.cost IS NULL THEN r.cost ELSE coalesce(r.cost, 0) + c.cost END,
  unpriced_calls = r.unpriced_calls + c.un,
  ended_at = CASE WHEN c.ended THEN coalesce(r.ended_at, clock_timestamp()) ELSE r.ended_at END
FROM c JOIN g ON g.id = c.id WHERE r.id = c.id
RETURNING r.id
"""

# In the order in which they stand; every part is named for the parameter it reads.
_PARTS = {
    "ends": """
ended AS (
  UPDATE step s SET status = e.status, reason = e.reason, input = e.input, output = e.output,
    error = e.error, edges = e.edges, lease = NULL, wake_at = e.wake,
    state = coalesce(e.state, s.state), approval_id = coalesce(e.approval, s.approval_id),
    input_tokens = s.input_tokens + e.it, output_tokens = s.output_tokens + e.ot,
    cost = CASE WHEN e.cost IS NULL THEN s.cost ELSE coalesce(s.cost, 0) + e.cost END,
    unpriced_calls = s.unpriced_calls + e.un,
    ended_at = CASE WHEN e.status <> 'waiting' THEN clock_timestamp() END
  FROM jsonb_to_recordset(%(ends)s::jsonb) AS e(run uuid, id uuid, lease uuid, status text,
    reason text, input jsonb, output jsonb, error jsonb, edges jsonb, it bigint, ot bigint,
    cost numeric, un int, wake timestamptz, state jsonb, approval uuid) JOIN g ON g.id = e.run
  WHERE s.id = e.id AND s.lease = e.lease AND s.status = 'running')""",
    "retries": """
failed AS MATERIALIZED (
  SELECT f.* FROM jsonb_to_recordset(%(retries)s::jsonb) AS f(run uuid, id uuid, lease uuid,
    error jsonb, input jsonb, ms bigint, it bigint, ot bigint, cost numeric, un int)
  JOIN g ON g.id = f.run),
attempts AS (
  INSERT INTO attempt (step_id, n, status, started_at, ended_at, error, worker_id)
  SELECT s.id, s.attempt, 'failed', s.leased_at, clock_timestamp(), f.error, s.worker_id
  FROM failed f JOIN step s ON s.id = f.id AND s.lease = f.lease
  ON CONFLICT DO NOTHING),
retried AS (
  UPDATE step s SET status = 'waiting', reason = 'backoff', lease = NULL, input = f.input,
    -- A map or loop keeps count of what it has opened.
    state = CASE WHEN s.kind IN ('map', 'loop') THEN s.state END,
    error = f.error, wake_at = clock_timestamp() + f.ms * interval '1 ms',
    input_tokens = s.input_tokens + f.it, output_tokens = s.output_tokens + f.ot,
    cost = CASE WHEN f.cost IS NULL THEN s.cost ELSE coalesce(s.cost, 0) + f.cost END,
    unpriced_calls = s.unpriced_calls + f.un
  FROM failed f WHERE s.id = f.id AND s.lease = f.lease AND s.status = 'running')""",
    "progress": """
progressed AS (
  UPDATE step s SET status = p.status, deps_left = p."left", deps_taken = p.taken,
    lease = p.lease, worker_id = p.worker, attempt = p.attempt,
    state = coalesce(p.state, s.state),
    ready_at = CASE WHEN p.status IN ('ready', 'running') THEN clock_timestamp()
      ELSE s.ready_at END,
    started_at = CASE WHEN p.status = 'running' THEN coalesce(s.started_at, clock_timestamp())
      ELSE s.started_at END,
    leased_at = CASE WHEN p.status = 'running' THEN clock_timestamp() ELSE s.leased_at END,
    ended_at = CASE WHEN p.status = 'skipped' THEN clock_timestamp() ELSE s.ended_at END
  FROM jsonb_to_recordset(%(progress)s::jsonb) AS p(run uuid, id uuid, status text, "left" int,
    taken int, lease uuid, worker uuid, attempt int, state jsonb) JOIN g ON g.id = p.run
  WHERE s.id = p.id)""",
    "events": """
events AS (
  INSERT INTO event (subject_id, seq, project_id, at, type, step_id, data, activity_seq)
  SELECT e.s, e.n, e.p, clock_timestamp(), e.t, e.st, e.d,
    CASE WHEN e.a THEN next_activity_seq() END
  FROM jsonb_to_recordset(%(events)s::jsonb) AS e(s uuid, n bigint, p uuid, t text, st uuid,
    d jsonb, a boolean) JOIN g ON g.id = e.s)""",
    "tool": f"""
tool_calls AS ({TOOL_CALLS} JOIN g ON g.id = t.run)""",
    "model": f"""
model_calls AS ({MODEL_CALLS} JOIN g ON g.id = m.run)""",
    "steps": """
body_steps AS (
  INSERT INTO step (id, run_id, node, path, position, kind, name, status, reason, attempt,
    crash_count, deps_left, deps_taken, queue, pool, priority, ready_at, started_at, leased_at,
    undecided, input_tokens, output_tokens, unpriced_calls, agent_id, tool_id, parent_step_id,
    lease, worker_id)
  SELECT n.id, n.run, n.node, n.path, n.position, n.kind, n.name, n.status, '', n.attempt, 0,
    n."left", n.taken, n.queue, n.pool, n.priority,
    CASE WHEN n.status IN ('ready', 'running') THEN clock_timestamp() END,
    CASE WHEN n.status = 'running' THEN clock_timestamp() END,
    CASE WHEN n.status = 'running' THEN clock_timestamp() END,
    false, 0, 0, 0, n.agent, n.tool, n.parent, n.lease, n.worker
  FROM jsonb_to_recordset(%(steps)s::jsonb) AS n(id uuid, run uuid, node text, path text,
    position int, kind text, name text, status text, attempt int, "left" int, taken int,
    queue text, pool text, priority smallint, agent uuid, tool uuid, parent uuid, lease uuid,
    worker uuid) JOIN g ON g.id = n.run)""",
    "scopes": """
opened AS (
  INSERT INTO scope (step_id, index, run_id, path, status, open_steps, words, output)
  SELECT n.step, n.index, n.run, n.path, n.status, n.open, n.words, n.output
  FROM jsonb_to_recordset(%(scopes)s::jsonb) AS n(step uuid, index int, run uuid, path text,
    status text, open int, words jsonb, output jsonb) JOIN g ON g.id = n.run)""",
    "changed": """
changed AS (
  UPDATE scope c SET status = n.status, open_steps = n.open, output = n.output, error = n.error
  FROM jsonb_to_recordset(%(changed)s::jsonb) AS n(run uuid, step uuid, index int, status text,
    open int, output jsonb, error jsonb) JOIN g ON g.id = n.run
  WHERE c.step_id = n.step AND c.index = n.index)""",
}


@cache
def _statement(names: frozenset[str]) -> str:
    parts = [text for name, text in _PARTS.items() if name in names]
    return ",".join([_GUARD, *parts]) + _RUNS


def write_statement(parts: Iterable[str]) -> str:
    """The statement for the parts that have rows; the same text for the same parts, so that it is
    prepared once a connection."""
    return _statement(frozenset(parts))
