"""The hand-written SQL of the hot path. Rows travel as one JSON array a statement."""

_RUN_COLUMNS = """id, project_id, workflow_id, workflow_version_id, status, end_status, reason,
  last_seq, open_steps, busy_steps, priority"""

LOCK_RUNS = f"""
SELECT {_RUN_COLUMNS} FROM run WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""  # noqa: S608 (constants only)
LOCK_FREE_RUNS = LOCK_RUNS + " SKIP LOCKED"

# Leases that still hold. Locked after the run, so that nobody rotates them meanwhile.
HELD_STEPS = """
SELECT s.id FROM step s JOIN unnest(%s::uuid[], %s::uuid[]) AS h(id, lease)
  ON s.id = h.id AND s.lease = h.lease
WHERE s.status = 'running' FOR NO KEY UPDATE OF s
"""

_STEP_COLUMNS = """s.id, s.run_id, s.path, s.node, s.status, s.deps_left, s.deps_taken, s.queue,
  s.pool, s.kind, s.attempt, s.state"""

# All steps of runs that begin on this worker, so that nothing has to be asked for later.
WHOLE_RUNS = f"SELECT {_STEP_COLUMNS} FROM step s WHERE s.run_id = ANY(%s)"  # noqa: S608

FRONTIER = f"""
SELECT {_STEP_COLUMNS} FROM step s
JOIN unnest(%s::uuid[], %s::text[], %s::text[]) AS f(run_id, path, node)
  ON s.run_id = f.run_id AND s.path = f.path AND s.node = f.node
"""  # noqa: S608

# `ending` are steps whose own end is part of the same decision; `under` narrows it to the bodies
# below a place, and is null for the whole run.
CANCEL_OPEN_STEPS = """
WITH open AS (
  SELECT id, status FROM step
  WHERE run_id = %(run)s AND status IN ('pending', 'ready', 'waiting', 'parked')
    AND NOT id = ANY(%(ending)s::uuid[])
    AND (%(under)s::text IS NULL OR path = %(at)s OR starts_with(path, %(under)s))
  FOR NO KEY UPDATE)
UPDATE step s SET status = 'cancelled', reason = %(reason)s, ended_at = clock_timestamp(),
  wake_at = NULL, undecided = false
FROM open WHERE s.id = open.id
RETURNING s.id, s.node, open.status = 'ready' AS was_ready
"""

CLOSE_SCOPES = """
UPDATE scope SET status = 'cancelled' WHERE run_id = %(run)s AND status IN ('pending', 'open')
  AND starts_with(path, %(under)s)
"""

SCOPES = """
SELECT s.run_id, s.step_id, s.path, s.index, s.status, s.open_steps FROM scope s
JOIN unnest(%s::uuid[], %s::text[]) AS f(run_id, path) ON s.run_id = f.run_id AND s.path = f.path
"""

SCOPE_WORDS = """
SELECT s.run_id, s.path, s.words FROM scope s
JOIN unnest(%s::uuid[], %s::text[]) AS f(run_id, path) ON s.run_id = f.run_id AND s.path = f.path
"""

NEXT_PENDING_SCOPE = """
SELECT min(index) FROM scope WHERE step_id = %s AND index >= %s AND status = 'pending'
"""

SCOPE_RESULTS = """
SELECT index, status, output, error FROM scope WHERE step_id = %s ORDER BY index
"""

# What an earlier run made of the same items of the same map.
KEPT_ITEMS = """
SELECT c.index, c.words, c.output FROM run r JOIN scope c ON c.run_id = r.parent_id
WHERE r.id = %(run)s AND r.relation = 'retry' AND c.status = 'done'
  AND starts_with(c.path, %(under)s) AND strpos(substr(c.path, length(%(under)s) + 1), '.') = 0
"""

SKIP_STEP = "UPDATE step SET status = 'skipped', ended_at = clock_timestamp() WHERE id = %s"

TOOL_CALLS = """
  INSERT INTO tool_call (id, project_id, tool_id, tool_version_id, run_id, step_id, agent_id,
    workflow_id, state, error_code, latency_ms, args_sha256, idempotency_key, cost, started_at)
  SELECT t.id, t.project, t.tool, t.version, t.run, t.step, t.agent, t.workflow, t.state, t.error,
    t.ms, t.args, t.key, t.cost, clock_timestamp() - coalesce(t.ms, 0) * interval '1 ms'
  FROM jsonb_to_recordset(%(tool)s::jsonb) AS t(id uuid, project uuid, tool uuid, version uuid,
    run uuid, step uuid, agent uuid, workflow uuid, state text, error text, ms double precision,
    args text, key text, cost numeric)"""
MODEL_CALLS = """
  INSERT INTO model_call (id, project_id, agent_id, agent_version_id, run_id, step_id,
    workflow_id, environment_id, turn, provider, model, response_model, state, error_code,
    finish_reason, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    reasoning_tokens, latency_ms, first_token_ms, cost, currency, price_status, started_at)
  SELECT m.id, m.project, m.agent, m.version, m.run, m.step, m.workflow, m.environment, m.turn,
    m.provider, m.model, m.response_model, m.state, m.error, m.finish, m.it, m.ot, m.cr, m.cw,
    m.rt, m.ms, m.first_ms, m.cost, m.currency, m.price_status,
    clock_timestamp() - coalesce(m.ms, 0) * interval '1 ms'
  FROM jsonb_to_recordset(%(model)s::jsonb) AS m(id uuid, project uuid, agent uuid, version uuid,
    run uuid, step uuid, workflow uuid, environment uuid, turn int, provider text, model text,
    response_model text, state text, error text, finish text, it bigint, ot bigint, cr bigint,
    cw bigint, rt bigint, ms double precision, first_ms double precision, cost numeric,
    currency text, price_status text)"""

# Ends of steps whose run is locked by another: kept until the run can be decided. `state` carries
# what the run's row and history have to be told then.
END_UNDECIDED = f"""
WITH tool_calls AS ({TOOL_CALLS}), model_calls AS ({MODEL_CALLS})
UPDATE step s SET status = e.status, reason = e.reason, input = e.input, output = e.output,
  error = e.error, edges = e.edges, undecided = true, lease = NULL, wake_at = NULL,
  state = e.state, input_tokens = s.input_tokens + e.it, output_tokens = s.output_tokens + e.ot,
  cost = CASE WHEN e.cost IS NULL THEN s.cost ELSE coalesce(s.cost, 0) + e.cost END,
  unpriced_calls = s.unpriced_calls + e.un, ended_at = clock_timestamp()
FROM jsonb_to_recordset(%(ends)s::jsonb) AS e(id uuid, lease uuid, status text, reason text,
  input jsonb, output jsonb, error jsonb, edges jsonb, state jsonb, it bigint, ot bigint,
  cost numeric, un int)
WHERE s.id = e.id AND s.lease = e.lease AND s.status = 'running'
"""  # noqa: S608 (constants only)

# Everything a run start writes, in one statement and so in one commit.
START = """
WITH r AS (
  INSERT INTO run (id, project_id, workflow_id, workflow_version_id, environment_id, trigger,
    status, end_status, reason, input, pins, tags, priority, parent_id, relation, root_id,
    started_by_type, started_by_id, started_by_name, simulated, idempotency_key, request_sha256,
    created_at, updated_at, deadline_at, open_steps, busy_steps, input_tokens, output_tokens,
    unpriced_calls, currency, last_seq, last_log_seq, concurrency_key)
  SELECT c.id, c.project, c.workflow, c.version, c.environment, c.trigger, 'queued', '', c.reason,
    c.input, c.pins, c.tags, c.priority, c.parent, c.relation, c.root, c.by_type, c.by_id,
    c.by_name, c.simulated, c.key, c.sha, clock_timestamp(), clock_timestamp(),
    clock_timestamp() + c.deadline * interval '1 s', c.open, c.busy, 0, 0, 0, 'USD',
    c.events, 0, c.ckey
  FROM jsonb_to_recordset(%(runs)s::jsonb) AS c(id uuid, project uuid, workflow uuid,
    version uuid, environment uuid, trigger text, input jsonb, pins jsonb, tags text[],
    priority smallint, parent uuid, relation text, root uuid, by_type text, by_id uuid,
    by_name text, simulated boolean, key text, sha text, deadline double precision, open int,
    busy int, events bigint, reason text, ckey text)
  RETURNING id, created_at, deadline_at),
s AS (
  INSERT INTO step (id, run_id, node, path, position, kind, name, status, reason, attempt,
    crash_count, deps_left, deps_taken, queue, pool, priority, ready_at, undecided, input_tokens,
    output_tokens, unpriced_calls, agent_id, tool_id, output, started_at, ended_at)
  SELECT c.id, c.run, c.node, '', c.position, c.kind, c.name, c.status,
    CASE WHEN c.status = 'waiting' THEN 'concurrency' ELSE '' END, 0, 0, c."left",
    c.taken, c.queue, c.pool, c.priority,
    CASE WHEN c.status = 'ready' THEN clock_timestamp() END, false, 0, 0, 0, c.agent, c.tool,
    c.output, c.started_at, c.ended_at
  FROM jsonb_to_recordset(%(steps)s::jsonb) AS c(id uuid, run uuid, node text, position int,
    kind text, name text, status text, "left" int, taken int, queue text, pool text,
    priority smallint, agent uuid, tool uuid, output jsonb, started_at timestamptz,
    ended_at timestamptz)),
a AS (
  INSERT INTO audit_entry (project_id, at, actor_type, actor_id, actor_name, action, target_type,
    target_id, target_name, before, after, request_id)
  SELECT c.project, clock_timestamp(), c.by_type, c.by_id, c.by_name, c.action, 'run',
    c.id::text, c.name, NULL, c.after, c.request
  FROM jsonb_to_recordset(%(audit)s::jsonb) AS c(id uuid, project uuid, by_type text, by_id uuid,
    by_name text, action text, name text, after jsonb, request text)),
e AS (
  INSERT INTO event (subject_id, seq, project_id, at, type, step_id, data, activity_seq)
  SELECT c.s, c.n, c.p, clock_timestamp(), c.t, c.st, c.d,
    CASE WHEN c.a THEN next_activity_seq() END
  FROM jsonb_to_recordset(%(events)s::jsonb) AS c(s uuid, n bigint, p uuid, t text, st uuid,
    d jsonb, a boolean))
SELECT id, created_at, deadline_at FROM r
"""

# Of a run: neither its project nor its environment is frozen. Both lists are nearly always empty
# and read once a statement. It is put as a question for null because the planner takes that to be
# nearly always so, as it is; "not in the list" it would take for rare, and read the whole queue.
_NOT_FROZEN_IN = """nullif(
  r.project_id = ANY ({projects}) OR r.environment_id = ANY ({environments}), true) IS NOT NULL"""
_FROZEN_PROJECTS = "ARRAY(SELECT id FROM project WHERE frozen_at IS NOT NULL)"
_FROZEN_ENVIRONMENTS = "ARRAY(SELECT id FROM environment WHERE frozen_at IS NOT NULL)"
_NOT_FROZEN = _NOT_FROZEN_IN.format(projects=_FROZEN_PROJECTS, environments=_FROZEN_ENVIRONMENTS)

_PICK = """
picked_{pool} AS MATERIALIZED (
  (SELECT s.id, s.run_id, s.node, s.position, s.attempt, r.status AS run_status, r.last_seq,
          r.project_id, r.workflow_id
   FROM step s JOIN run r ON r.id = s.run_id
   WHERE s.status = 'ready' AND s.queue = %(queue)s AND s.pool = '{pool}'
     AND r.status IN ('queued', 'running', 'waiting') AND {not_frozen}
   ORDER BY s.priority DESC, s.ready_at LIMIT %({pool})s FOR NO KEY UPDATE OF r, s SKIP LOCKED)
)"""
_PICKED = ",".join(
    _PICK.format(
        pool=pool,
        not_frozen=_NOT_FROZEN_IN.format(
            projects="(SELECT projects FROM frozen)::uuid[]",
            environments="(SELECT environments FROM frozen)::uuid[]",
        ),
    )
    for pool in ("cpu", "io", "inline")
)

# Claims ready steps for free slots of each pool. A step whose run is locked by another is left for
# that one; queued runs become running here.
CLAIM = f"""
WITH frozen AS MATERIALIZED (
  SELECT {_FROZEN_PROJECTS} AS projects, {_FROZEN_ENVIRONMENTS} AS environments
), {_PICKED}, p AS (
  SELECT * FROM picked_cpu UNION ALL SELECT * FROM picked_io
  UNION ALL SELECT * FROM picked_inline
), numbered AS (
  SELECT p.*, row_number() OVER (PARTITION BY run_id ORDER BY position)
    + (run_status <> 'running')::int AS nth FROM p
), taken AS (
  UPDATE step s SET status = 'running', reason = '', lease = gen_random_uuid(),
    worker_id = %(worker)s, leased_at = clock_timestamp(),
    -- Going on after a wait is no new attempt.
    attempt = s.attempt + (NOT coalesce(s.state ? 'resumed', false))::int,
    started_at = coalesce(s.started_at, clock_timestamp()), wake_at = NULL
  FROM p WHERE s.id = p.id
  RETURNING s.id, s.run_id, s.path, s.node, s.lease, s.attempt, s.crash_count, s.pool, s.state
), counted AS (
  SELECT run_id, max(nth) AS added FROM numbered GROUP BY run_id
), started AS (
  UPDATE run r SET status = 'running', last_seq = r.last_seq + c.added,
    started_at = coalesce(r.started_at, clock_timestamp()), updated_at = clock_timestamp()
  FROM counted c WHERE r.id = c.run_id
  RETURNING r.id, r.project_id, r.workflow_id, r.workflow_version_id AS version_id, r.status,
    r.end_status, r.reason, r.last_seq, r.open_steps, r.busy_steps, r.priority,
    r.last_seq - c.added AS was
), told AS (
  -- One insert, so that the times are in the order of the numbers.
  INSERT INTO event (subject_id, seq, project_id, at, type, step_id, data, activity_seq)
  SELECT run_id, seq, project_id, clock_timestamp(), type, step_id, data,
    CASE WHEN step_id IS NULL THEN next_activity_seq() END
  FROM (
    SELECT DISTINCT ON (run_id) run_id, last_seq + 1 AS seq, project_id,
      CASE run_status WHEN 'queued' THEN 'run.started' ELSE 'run.resumed' END AS type,
      NULL::uuid AS step_id,
      jsonb_build_object('status', 'running', 'workflow', workflow_id) AS data
    FROM numbered WHERE run_status <> 'running'
    UNION ALL
    SELECT run_id, last_seq + nth, project_id, 'step.started', id,
      jsonb_build_object('node', node, 'attempt', attempt + 1)
    FROM numbered) e ORDER BY run_id, seq
)
SELECT t.*, (n.run_status = 'queued') AS is_new, r.project_id, r.workflow_id, r.version_id,
  r.status, r.end_status, r.reason, r.last_seq, r.open_steps, r.busy_steps, r.priority, r.was
FROM taken t JOIN numbered n ON n.id = t.id JOIN started r ON r.id = t.run_id
"""  # noqa: S608 (constants only)

RUN_FACTS = """
SELECT r.id, r.project_id, r.workflow_id, r.workflow_version_id AS version_id, r.input, r.pins,
  r.trigger, r.priority, r.tags, r.root_id, r.parent_id, r.relation, r.simulated,
  r.created_at, r.deadline_at,
  r.environment_id, e.name AS environment, e.variables, w.slug AS workflow, v.number AS version,
  r.started_by_id, r.started_by_type, r.started_by_name,
  r.concurrency_key IS NOT NULL AS is_limited
FROM run r JOIN environment e ON e.id = r.environment_id JOIN workflow w ON w.id = r.workflow_id
  JOIN workflow_version v ON v.id = r.workflow_version_id
WHERE r.id = ANY(%s)
"""

DEFINITION = "SELECT definition FROM workflow_version WHERE id = %s"

STEP_OUTPUTS = """
SELECT s.run_id, s.path, s.node, s.status, s.output, s.error FROM step s
JOIN unnest(%s::uuid[], %s::text[], %s::text[]) AS f(run_id, path, node)
  ON s.run_id = f.run_id AND s.path = f.path AND s.node = f.node
"""

# Under the lease, and not any more once the run is to end: after a cancel no further call starts.
# The step is locked, so that its end sees the intent, or this sees the end.
DECLARE_EFFECT = """
WITH mine AS (
  SELECT s.id FROM step s JOIN run r ON r.id = s.run_id
  WHERE s.id = %(step)s AND s.lease = %(lease)s AND s.status = 'running' AND r.end_status = ''
    /* frozen */
  FOR SHARE OF s),
said AS (
  -- Of this call, in a run that this one retries, a person said that it happened.
  SELECT e.result FROM effect e JOIN mine ON mine.id <> e.step_id
  WHERE e.key = %(key)s AND e.state = 'resolved' AND e.resolution = 'done'
  ORDER BY e.resolved_at DESC LIMIT 1),
new AS (
  INSERT INTO effect (id, run_id, step_id, ordinal, key, tool_id, tool_name, effect_class,
    args_sha256, arguments, state, result, created_at)
  SELECT %(id)s, %(run)s, id, %(ordinal)s, coalesce((SELECT o.next_key FROM effect o
      WHERE o.step_id = mine.id AND o.ordinal = %(ordinal)s AND o.resolution = 'redo'
        AND o.next_key <> '' ORDER BY o.resolved_at DESC LIMIT 1), %(key)s),
    %(tool_id)s, %(tool_name)s, %(effect_class)s, %(args_sha256)s, %(arguments)s::jsonb,
    CASE WHEN EXISTS (SELECT 1 FROM said) THEN 'done' ELSE 'intent' END,
    (SELECT result FROM said), clock_timestamp() FROM mine
  ON CONFLICT (step_id, ordinal) WHERE NOT (resolution = 'redo') DO NOTHING
  RETURNING id, key, state, result, args_sha256, resolution, state = 'intent' AS is_new)
SELECT * FROM new
UNION ALL
SELECT e.id, e.key, e.state, e.result, e.args_sha256, e.resolution, e.id = %(id)s FROM effect e
JOIN mine ON mine.id = e.step_id
WHERE e.ordinal = %(ordinal)s AND NOT (e.resolution = 'redo') AND NOT EXISTS (SELECT 1 FROM new)
""".replace("/* frozen */", f"AND {_NOT_FROZEN}")

# Why a call was not declared: the run is to end, or it is frozen, or else the lease is lost.
IS_ENDING = f"""
SELECT r.end_status <> '', NOT ({_NOT_FROZEN}) FROM step s JOIN run r ON r.id = s.run_id
WHERE s.id = %s AND s.lease = %s AND s.status = 'running'
"""  # noqa: S608 (constants only)

# What a person said of it meanwhile stands.
FULFIL_EFFECT = """
UPDATE effect SET state = 'done', result = %s::jsonb, done_at = clock_timestamp()
WHERE step_id = %s AND ordinal = %s AND state <> 'resolved'
"""

NOTE_CHECK = """
UPDATE effect SET checked = %s::jsonb || jsonb_build_object('at', clock_timestamp())
WHERE id = %s
"""

# A call in doubt that did not happen may be made: as DECLARE_EFFECT, and only while nobody has said
# anything of it.
REOPEN_EFFECT = f"""
UPDATE effect e SET state = 'intent' FROM step s JOIN run r ON r.id = s.run_id
WHERE e.id = %(id)s AND e.state IN ('intent', 'unknown') AND s.id = %(step)s
  AND s.id = e.step_id AND s.lease = %(lease)s AND s.status = 'running' AND r.end_status = ''
  AND {_NOT_FROZEN}
"""  # noqa: S608 (constants only)

# Only under the lease: the intent may be that of another attempt by now.
WITHDRAW_EFFECT = """
DELETE FROM effect e USING step s WHERE s.id = e.step_id AND e.step_id = %s AND e.ordinal = %s
  AND e.state = 'intent' AND s.lease = %s
"""

SAVE_CHECKPOINT = """
INSERT INTO checkpoint (step_id, ordinal, kind, content, at)
SELECT %s, %s, %s, %s::jsonb, clock_timestamp()
WHERE EXISTS (SELECT 1 FROM step WHERE id = %s AND lease = %s AND status = 'running')
ON CONFLICT (step_id, ordinal) DO UPDATE SET content = excluded.content
"""

CHECKPOINTS = "SELECT ordinal, kind, content FROM checkpoint WHERE step_id = %s ORDER BY ordinal"

TAKE_UNDECIDED = """
UPDATE step SET undecided = false WHERE run_id = %s AND undecided
RETURNING id, path, node, status, reason, error, output, edges, coalesce(state, '{}') AS state
"""

WRITE_LOGS = """
WITH lines AS (
  SELECT c.*, row_number() OVER (PARTITION BY c.run ORDER BY c.nth) AS n
  FROM jsonb_to_recordset(%s::jsonb) AS c(run uuid, step uuid, level text, at timestamptz,
    message text, data jsonb, nth int)),
counted AS (
  SELECT run, count(*) AS many, max(step::text)::uuid AS step FROM lines GROUP BY run),
numbered AS (
  UPDATE run r SET last_log_seq = r.last_log_seq + c.many, last_seq = r.last_seq + 1
  FROM counted c WHERE r.id = c.run
  RETURNING r.id, r.project_id, r.last_log_seq - c.many AS base, r.last_seq, c.many, c.step),
written AS (
  INSERT INTO log_line (run_id, seq, at, level, step_id, message, data)
  SELECT l.run, u.base + l.n, l.at, l.level, l.step, l.message, l.data
  FROM lines l JOIN numbered u ON u.id = l.run)
INSERT INTO event (subject_id, seq, project_id, at, type, step_id, data)
SELECT id, last_seq, project_id, clock_timestamp(), 'log', step,
  jsonb_build_object('first', base + 1, 'count', many) FROM numbered
RETURNING subject_id
"""

BEAT = """
UPDATE instance SET last_heartbeat_at = clock_timestamp(), in_flight = %(in_flight)s,
  rss_bytes = %(rss)s, cpu_percent = %(cpu)s,
  state = CASE WHEN state = 'draining' OR %(draining)s THEN 'draining'
    WHEN %(in_flight)s > 0 THEN 'busy' ELSE 'ready' END, stopped_at = NULL
WHERE id = %(id)s AND state <> 'stopped' RETURNING state
"""

HELD_BY_WORKER = """
SELECT s.id, s.lease, r.id AS run_id,
  -- The run ends, or the item of a map this belongs to has failed already.
  r.status = 'cancelling' OR EXISTS (SELECT 1 FROM scope c WHERE s.path <> ''
    AND c.run_id = s.run_id AND c.path = s.path AND c.status <> 'open') AS is_ending,
  s.leased_at < clock_timestamp() - interval '4 s' AS is_old
FROM step s JOIN run r ON r.id = s.run_id
WHERE s.worker_id = %s AND s.status = 'running'
"""

SHOW_INPUTS = """
UPDATE step s SET input = c.input
FROM jsonb_to_recordset(%s::jsonb) AS c(id uuid, lease uuid, input jsonb)
WHERE s.id = c.id AND s.lease = c.lease AND s.status = 'running'
"""

# The steps a worker holds, for giving them back, run by run.
LEASED_RUNS = """
SELECT DISTINCT run_id FROM step WHERE worker_id = %(worker)s AND status = 'running'
  AND (%(steps)s::uuid[] IS NULL OR id = ANY(%(steps)s::uuid[])) ORDER BY run_id
"""
LEASED_STEPS = """
SELECT id, node, crash_count, attempt, pool, queue, worker_id, leased_at FROM step
WHERE run_id = %(run)s AND worker_id = %(worker)s AND status = 'running'
  AND (%(steps)s::uuid[] IS NULL OR id = ANY(%(steps)s::uuid[])) FOR UPDATE
"""
GIVE_BACK = """
UPDATE step SET status = 'ready', reason = %s, lease = NULL, worker_id = NULL,
  attempt = attempt - 1, ready_at = clock_timestamp() WHERE id = ANY(%s)
"""

# The sweep.

DEAD_WORKERS = """
UPDATE instance SET state = 'dead', stopped_at = clock_timestamp(), in_flight = 0
WHERE state IN ('starting', 'ready', 'busy', 'draining')
  AND last_heartbeat_at < clock_timestamp() - %s * interval '1 s'
RETURNING id, host, pid, queue, deployment_id
"""

ORPHANS = """
SELECT DISTINCT s.run_id FROM step s LEFT JOIN instance i ON i.id = s.worker_id
WHERE s.status = 'running' AND (i.id IS NULL OR i.state IN ('dead', 'stopped'))
LIMIT 500
"""

ORPHANED_STEPS = """
SELECT s.id, s.node, s.crash_count, s.attempt, s.pool, s.queue, s.worker_id, s.leased_at
FROM step s LEFT JOIN instance i ON i.id = s.worker_id
WHERE s.run_id = %s AND s.status = 'running'
  AND (i.id IS NULL OR i.state IN ('dead', 'stopped'))
FOR UPDATE OF s
"""

OPEN_EFFECTS = """
SELECT step_id, effect_class, tool_name FROM effect
WHERE step_id = ANY(%s) AND state = 'intent'
"""

CRASH_STEPS = """
WITH c AS (
  SELECT * FROM jsonb_to_recordset(%s::jsonb) AS c(id uuid, status text, reason text, error jsonb)),
kept AS (
  INSERT INTO attempt (step_id, n, status, started_at, ended_at, error, worker_id)
  SELECT s.id, s.attempt, 'crashed', s.leased_at, clock_timestamp(), c.error, s.worker_id
  FROM step s JOIN c ON s.id = c.id ON CONFLICT DO NOTHING)
UPDATE step s SET status = c.status, reason = c.reason, crash_count = s.crash_count + 1,
  lease = NULL, worker_id = NULL, error = c.error,
  ready_at = CASE WHEN c.status = 'ready' THEN clock_timestamp() ELSE s.ready_at END,
  ended_at = CASE WHEN c.status = 'cancelled' THEN clock_timestamp() END
FROM c WHERE s.id = c.id
"""

# Nobody knows whether these calls happened. The same key may be used again for idempotent ones.
MARK_UNKNOWN = """
UPDATE effect SET state = 'unknown'
WHERE step_id = ANY(%s) AND state = 'intent' AND effect_class <> 'idempotent'
"""

DUE_RUNS = """
SELECT DISTINCT run_id FROM step
WHERE status = 'waiting' AND wake_at <= clock_timestamp() LIMIT 500
"""

WAKE_DUE = """
UPDATE step SET status = 'ready', wake_at = NULL, ready_at = clock_timestamp(),
  state = CASE WHEN reason = 'backoff' THEN state
    ELSE coalesce(state, '{}') || '{"resumed": true, "is_due": true}' END
WHERE run_id = %s AND status = 'waiting' AND wake_at <= clock_timestamp()
RETURNING id, node, queue
"""

RESUME_STEPS = """
UPDATE step SET status = 'ready', wake_at = NULL, ready_at = clock_timestamp(),
  state = coalesce(state, '{}') || '{"resumed": true}' || %(patch)s::jsonb
WHERE run_id = %(run)s AND status = 'waiting' AND id = ANY(%(steps)s::uuid[])
RETURNING id, node, queue
"""

UNPARK_STEPS = """
UPDATE step SET status = 'ready', reason = 'replayed', crash_count = 0, error = NULL,
  wake_at = NULL, ready_at = clock_timestamp() WHERE run_id = %s AND status = 'parked'
RETURNING id, node, queue
"""

# A signal is taken once, the oldest first; a step that crashed after taking one takes it again.
TAKE_SIGNAL = """
UPDATE signal SET taken_by = %(step)s WHERE id = (
  SELECT id FROM signal WHERE run_id = %(run)s AND name = %(name)s
    AND (taken_by IS NULL OR taken_by = %(step)s)
  ORDER BY taken_by NULLS LAST, received_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING body
"""

WAITING_FOR_SIGNAL = """
SELECT id FROM step WHERE run_id = %s AND status = 'waiting' AND reason = 'signal'
  AND state ->> 'signal' = %s ORDER BY position LIMIT 1
"""

# What was waited for has come while the step was about to wait: a signal, an approval, or word that
# a call in doubt happened after all (its thread was late, or wrote when its lease was gone).
_MISSED = """s.status = 'waiting' AND (
  (s.reason = 'signal' AND EXISTS (SELECT 1 FROM signal g WHERE g.run_id = s.run_id
    AND g.name = s.state ->> 'signal' AND g.taken_by IS NULL))
  OR (s.reason = 'approval' AND EXISTS (SELECT 1 FROM approval a WHERE a.id = s.approval_id
    AND a.status <> 'pending'))
  OR (s.reason = 'child' AND EXISTS (SELECT 1 FROM run c
    WHERE c.id = (s.state ->> 'run')::uuid
    AND c.status IN ('succeeded', 'failed', 'cancelled', 'timed_out')))
  OR (s.reason = 'reconcile' AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.step_id = s.id
    AND e.state IN ('intent', 'unknown'))))"""

MISSED = f"SELECT DISTINCT s.run_id FROM step s WHERE {_MISSED} LIMIT 500"  # noqa: S608

MISSED_STEPS = f"""
SELECT s.id FROM step s WHERE s.run_id = %(run)s AND {_MISSED}
"""  # noqa: S608 (constants only)

NEXT_DUE = """
SELECT extract(epoch FROM min(wake_at) - clock_timestamp()) FROM step
WHERE status = 'waiting' AND wake_at IS NOT NULL
"""

WAITING_QUEUES = """
SELECT s.queue, count(*) FROM step s JOIN run r ON r.id = s.run_id
WHERE s.status = 'ready' AND s.ready_at < clock_timestamp() - interval '2 s'
  AND r.status IN ('queued', 'running', 'waiting') GROUP BY s.queue
"""

UNDECIDED_RUNS = "SELECT DISTINCT run_id FROM step WHERE undecided LIMIT 500"

OVERDUE_RUNS = """
SELECT id FROM run
WHERE status IN ('queued', 'running', 'waiting', 'paused') AND deadline_at <= clock_timestamp()
LIMIT 500
"""

WAITING_PARENT = """
SELECT s.run_id, s.id FROM run c JOIN step s ON s.run_id = c.parent_id AND s.status = 'waiting'
  AND s.reason = 'child' AND s.state ->> 'run' = c.id::text
WHERE c.id = %s AND c.relation = 'child'
"""

# Runs that a step of another started and waited for, and does not wait for any more.
FORSAKEN_RUNS = """
SELECT c.id FROM run c JOIN step s ON s.run_id = c.parent_id AND s.kind = 'workflow'
  AND s.status IN ('cancelled', 'failed') AND s.state ->> 'run' = c.id::text
WHERE c.status IN ('queued', 'running', 'waiting', 'paused') AND c.end_status = ''
  AND c.relation = 'child' LIMIT 500
"""

# Running steps of cancelling runs that had their grace: 2 s to notice, 5 s for an open call that
# does more than read.
_STUBBORN = """s.status = 'running' AND r.status = 'cancelling'
  AND r.updated_at < clock_timestamp() - CASE WHEN EXISTS (
    SELECT 1 FROM effect e WHERE e.step_id = s.id AND e.state = 'intent')
    THEN interval '5 s' ELSE interval '2 s' END"""

STUBBORN_RUNS = f"""
SELECT DISTINCT s.run_id FROM step s JOIN run r ON r.id = s.run_id WHERE {_STUBBORN} LIMIT 500
"""  # noqa: S608 (constants only)

FORCE_CANCEL = f"""
UPDATE step s SET status = 'cancelled', reason = 'forced', lease = NULL,
  ended_at = clock_timestamp()
FROM run r WHERE s.run_id = r.id AND s.run_id = %s AND {_STUBBORN} RETURNING s.id, s.node
"""  # noqa: S608 (constants only)

IDLE_RUNNING_RUNS = """
SELECT r.id FROM run r
WHERE r.status IN ('queued', 'running', 'cancelling') AND r.reason <> 'concurrency'
  AND r.updated_at < clock_timestamp() - interval '10 s'
  AND NOT EXISTS (SELECT 1 FROM step s WHERE s.run_id = r.id AND (s.status = 'running'
    OR (s.status = 'ready' AND r.status <> 'cancelling') OR s.undecided))
LIMIT 100
"""

# Limits on the runs of a workflow. The lock is the workflow's own, held to the end of the counting
# transaction; its first key sets it apart from other advisory locks.
LOCK_WORKFLOW = "SELECT pg_advisory_xact_lock(1701, hashtext(%s))"

WORKFLOW_LIMITS = """
SELECT concurrency_limit AS most, CASE WHEN concurrency_key <> '' THEN concurrency_key_limit END
  AS most_of_key FROM workflow WHERE id = %s
"""

RUNS_AT_WORK = """
SELECT concurrency_key, count(*) FROM run WHERE workflow_id = %s AND concurrency_key IS NOT NULL
  AND status IN ('queued', 'running', 'waiting', 'paused', 'cancelling')
  AND reason <> 'concurrency' GROUP BY 1
"""

HELD_RUNS = """
SELECT id, concurrency_key FROM run WHERE workflow_id = %s AND concurrency_key IS NOT NULL
  AND status = 'queued' AND reason = 'concurrency' AND NOT concurrency_key = ANY(%s::text[])
ORDER BY priority DESC, created_at, id LIMIT 500
"""

HELD_WORKFLOWS = """
SELECT DISTINCT workflow_id FROM run WHERE concurrency_key IS NOT NULL AND status = 'queued'
  AND reason = 'concurrency' LIMIT 500
"""

LET_IN = """
UPDATE step SET status = 'ready', reason = '', ready_at = clock_timestamp()
WHERE run_id = ANY(%s) AND status = 'waiting' AND reason = 'concurrency'
RETURNING run_id, id, node, queue
"""

# Freezing. Runs held back by a limit of their workflow are held already.
TO_HOLD = """
SELECT r.id FROM environment e JOIN project p ON p.id = e.project_id CROSS JOIN LATERAL (
  SELECT r.id FROM run r WHERE r.project_id = e.project_id AND r.environment_id = e.id
    AND r.status IN ('queued', 'running', 'waiting') AND r.end_status = ''
    AND r.reason <> 'concurrency' LIMIT %(most)s) r
WHERE p.frozen_at IS NOT NULL OR e.frozen_at IS NOT NULL LIMIT %(most)s
"""
HOLD_STEPS = """
UPDATE step SET status = 'waiting', reason = 'frozen', wake_at = NULL
WHERE run_id = ANY(%s) AND status = 'ready' RETURNING run_id
"""
# Also runs of which only a step is held: it was refused a call and waited when the runs went on.
TO_LET_GO = f"""
SELECT h.id, r.started_at IS NOT NULL FROM (
  SELECT r.id FROM run r WHERE r.status = 'paused' AND r.reason = 'frozen' AND {_NOT_FROZEN}
  UNION
  SELECT r.id FROM step s JOIN run r ON r.id = s.run_id
  WHERE s.status = 'waiting' AND s.reason = 'frozen'
    AND r.status IN ('queued', 'running', 'waiting', 'paused') AND {_NOT_FROZEN}
  LIMIT %(most)s) h JOIN run r ON r.id = h.id
"""  # noqa: S608 (constants only)
LET_GO_STEPS = """
UPDATE step SET status = 'ready', reason = '', ready_at = clock_timestamp()
WHERE run_id = ANY(%s) AND status = 'waiting' AND reason = 'frozen'
RETURNING run_id, id, node, queue
"""

COUNT_STEPS = """
SELECT count(*) FILTER (WHERE status NOT IN ('succeeded', 'failed', 'skipped', 'cancelled'))
  AS open, count(*) FILTER (WHERE status IN ('ready', 'running')) AS busy
FROM step WHERE run_id = %s
"""

RUNNING_WORKERS = """
SELECT DISTINCT worker_id FROM step
WHERE run_id = %s AND status = 'running' AND worker_id IS NOT NULL
"""

# What POST /runs must know of its workflow, in one question.
START_TARGET = """
SELECT w.id, w.project_id, w.slug, w.name, w.status, w.released_id, w.head_id, p.name, p.status,
  p.frozen_at, v.number, v.state, e.id, e.name, e.protected, e.frozen_at,
  w.concurrency_limit, w.concurrency_key, w.concurrency_key_limit
FROM workflow w JOIN project p ON p.id = w.project_id
  LEFT JOIN workflow_version v ON v.id = w.released_id
  LEFT JOIN environment e ON e.project_id = w.project_id AND e.name = %(environment)s
WHERE w.id = %(workflow)s AND w.deleted_at IS NULL AND p.deleted_at IS NULL
  AND w.project_id = ANY(%(projects)s)
"""

PIN_TOOLS = """
SELECT slug, id, status, kind, current_id,
  effect_class = 'read' AND rate_limit IS NULL FROM tool
WHERE project_id = %s AND slug = ANY(%s) AND deleted_at IS NULL
"""

# With the version that is live in the environment, where it is deployed there.
PIN_AGENTS = """
SELECT a.slug, a.id, a.status, a.name, v.id, v.config -> 'tools', a.kind, d.id, d.driver
FROM agent a
  LEFT JOIN deployment d ON d.agent_id = a.id AND d.environment_id = %s
    AND d.phase NOT IN ('retired', 'paused')
  LEFT JOIN agent_version v
    ON v.id = coalesce(d.live_version_id, d.target_version_id, a.current_id)
WHERE a.project_id = %s AND (a.slug = ANY(%s) OR a.id = %s) AND a.deleted_at IS NULL
"""

PIN_WORKFLOWS = """
SELECT w.slug, w.id, v.id, v.number FROM workflow w LEFT JOIN workflow_version v
  ON v.id = w.released_id
WHERE w.project_id = %s AND w.slug = ANY(%s) AND w.deleted_at IS NULL
"""

TOOL_CONFIG = "SELECT config FROM tool_version WHERE id = %s"
