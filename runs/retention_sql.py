"""The SQL of retention: set-based, by index, passing by what others hold."""

_TERMINAL = "('succeeded', 'failed', 'cancelled', 'timed_out')"
_ALIVE = "('queued', 'running', 'waiting', 'paused', 'cancelling')"

RULES = """
SELECT p.id AS project, p.retention_days AS run_days, p.log_retention_days AS log_days,
  p.payload_retention_days AS payload_days, t.logs_to, t.payloads_to
FROM project p LEFT JOIN retention t ON t.project_id = p.id ORDER BY p.id
"""

# Of no tree with a live run in it, and without a call in doubt.
_IS_FREE = f"""
  r.root_id NOT IN (SELECT a.root_id FROM run a WHERE a.status IN {_ALIVE})
  AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.run_id = r.id AND e.state = 'unknown')
"""  # noqa: S608 (constants only)

OLD_RUNS = f"""
SELECT r.id FROM run r
WHERE r.project_id = %(project)s AND r.created_at < %(cutoff)s AND r.ended_at < %(cutoff)s
  AND r.status IN {_TERMINAL} AND {_IS_FREE}
ORDER BY r.created_at, r.id LIMIT %(most)s
"""  # noqa: S608 (constants only)

# In the order of their start; those that are not over, or not free, hold the mark back.
RUNS_TO_WALK = f"""
SELECT r.id, r.created_at,
  (r.status IN {_TERMINAL} AND r.ended_at < %(cutoff)s AND {_IS_FREE}) AS is_over
FROM run r WHERE r.project_id = %(project)s AND r.created_at < %(cutoff)s
  AND (%(at)s::timestamptz IS NULL OR (r.created_at, r.id) > (%(at)s::timestamptz,
    coalesce(%(id)s::uuid, '00000000-0000-0000-0000-000000000000')))
ORDER BY r.created_at, r.id LIMIT %(most)s
"""  # noqa: S608 (constants only)

_LOCKED = f"""
SELECT r.id FROM run r WHERE r.id = ANY(%s) AND r.status IN {_TERMINAL} AND {_IS_FREE}
"""  # noqa: S608 (constants only)
LOCK_OLD = f"{_LOCKED} ORDER BY r.id FOR UPDATE OF r SKIP LOCKED"
LOCK_UNCLEARED = f"{_LOCKED} AND NOT r.pins ? 'cleared' ORDER BY r.id FOR UPDATE OF r SKIP LOCKED"

DELETE_LINES = """
DELETE FROM log_line USING (
  SELECT run_id, seq FROM log_line WHERE run_id = ANY(%(runs)s) ORDER BY run_id, seq
  LIMIT %(most)s) old
WHERE log_line.run_id = old.run_id AND log_line.seq = old.seq
"""

_FORGET_QUESTIONS = """
UPDATE approval SET packet = '{}', arguments = NULL, edited_arguments = NULL
WHERE run_id = ANY(%s) AND status <> 'pending'
"""
_STEPS = "(SELECT id FROM step WHERE run_id = ANY(%s))"

# What calls cost stays, in their own records.
DELETE_RUNS = (
    "UPDATE run SET parent_id = NULL WHERE parent_id = ANY(%s)",
    "DELETE FROM log_line WHERE run_id = ANY(%s)",
    "DELETE FROM event WHERE subject_id = ANY(%s)",
    "DELETE FROM signal WHERE run_id = ANY(%s)",
    "DELETE FROM effect WHERE run_id = ANY(%s)",
    f"DELETE FROM checkpoint WHERE step_id IN {_STEPS}",  # noqa: S608
    f"DELETE FROM attempt WHERE step_id IN {_STEPS}",  # noqa: S608
    "DELETE FROM step WHERE run_id = ANY(%s)",
    _FORGET_QUESTIONS,
    "DELETE FROM run WHERE id = ANY(%s)",
)

CLEAR_PAYLOADS = (
    """UPDATE step SET input = NULL, output = NULL, state = NULL WHERE run_id = ANY(%s)
    AND (input IS NOT NULL OR output IS NOT NULL OR state IS NOT NULL)""",
    "UPDATE effect SET arguments = NULL, result = NULL WHERE run_id = ANY(%s)",
    "UPDATE signal SET body = NULL WHERE run_id = ANY(%s)",
    f"DELETE FROM checkpoint WHERE step_id IN {_STEPS}",  # noqa: S608
    _FORGET_QUESTIONS,
    """UPDATE run SET input = '{}', output = NULL, updated_at = clock_timestamp(),
    pins = pins || jsonb_build_object('cleared', clock_timestamp()) WHERE id = ANY(%s)""",
)

_PLACE = """
INSERT INTO retention (project_id, {mark}, runs_deleted, lines_deleted, payloads_cleared)
VALUES (%(project)s, %(to)s, 0, 0, 0)
ON CONFLICT (project_id) DO UPDATE SET {mark} = coalesce(excluded.{mark}, retention.{mark})
"""
KEEP_PLACE = {mark: _PLACE.format(mark=mark) for mark in ("logs_to", "payloads_to")}

COUNT = """
INSERT INTO retention (project_id, runs_deleted, lines_deleted, payloads_cleared, swept_at)
VALUES (%(project)s, %(runs)s, %(lines)s, %(payloads)s, clock_timestamp())
ON CONFLICT (project_id) DO UPDATE SET runs_deleted = retention.runs_deleted + %(runs)s,
  lines_deleted = retention.lines_deleted + %(lines)s,
  payloads_cleared = retention.payloads_cleared + %(payloads)s, swept_at = clock_timestamp()
"""
