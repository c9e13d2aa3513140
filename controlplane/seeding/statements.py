"""The SQL of seeding: everything is drawn in the database, nothing travels row by row.

A run that did not succeed stopped at one of its nodes; which one is read from the last digits of
its id, so that runs, steps, calls and events tell the same story.
"""

# Milliseconds of `{at}` and noise as a UUIDv7, like the ids the application makes.
_UUID7 = """(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7'
  || substr({noise}, 1, 3) || '8' || substr({noise}, 4, 15))::uuid"""
_STOP = "1 + ('x' || right({id}::text, 4))::bit(16)::int %% {nodes}"

TABLES = """
DROP TABLE IF EXISTS pg_temp.seed_workflow, pg_temp.seed_node, pg_temp.seed_slot,
  pg_temp.seed_newest;
CREATE TEMP TABLE seed_newest (age bigint PRIMARY KEY, id uuid, workflow_id uuid,
  environment_id uuid, status text, reason text, error jsonb, trigger text,
  created_at timestamptz, started_at timestamptz, ended_at timestamptz, input_tokens bigint,
  output_tokens bigint, cost numeric, no int, stop int);
CREATE TEMP TABLE seed_workflow (no int PRIMARY KEY, workflow_id uuid, version_id uuid,
  seconds float, spread float, failing float, cancelled float, input jsonb, output jsonb,
  tags text[], input_tokens int, output_tokens int, cost numeric, nodes text[], names text[],
  agents int[], unpriced int);
CREATE TEMP TABLE seed_slot (slot int PRIMARY KEY, no int);
CREATE TEMP TABLE seed_node (no int, position int, node text, kind text, name text, "share" float,
  agent_id uuid, agent_version_id uuid, tool_id uuid, tool_version_id uuid, slug text,
  provider text, model text, price_status text, PRIMARY KEY (no, position));
"""

# Runs `first` to `last` of `total`, the oldest first, spread over `seconds` before `until`. A day
# and a week have busy and quiet hours; six hours now and then are bad ones.
RUNS = f"""
WITH dice AS MATERIALIZED (
  SELECT i, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e,
    random() AS f, sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS z,
    floor(random() * 100)::int AS slot, md5(random()::text || i) AS noise,
    %(seconds)s::float * (1 - (i - random()) / %(total)s) AS ago
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i),
timed AS MATERIALIZED (
  SELECT dice.*, %(until)s::timestamptz - make_interval(secs => greatest(0,
    ago - 6875 * sin(2 * pi() * ago / 86400) - 24064 * sin(2 * pi() * ago / 604800))) AS at
  FROM dice),
told AS MATERIALIZED (
  SELECT t.*, {_UUID7.format(at="t.at", noise="t.noise")} AS id, w.no,
    w.failing * CASE WHEN extract(epoch FROM t.at)::bigint / 21600 %% 37 = 5 THEN 5 ELSE 1 END
      AS failing_now,
    t.at + make_interval(secs => 0.02 + 2 * t.f * t.f * t.f) AS started_at,
    least(540, exp(ln(w.seconds) + w.spread * t.z)) AS lasted
  FROM timed t JOIN seed_slot USING (slot) JOIN seed_workflow w USING (no)),
judged AS MATERIALIZED (
  SELECT told.*, CASE WHEN a < failing_now * 0.85 THEN 'failed'
    WHEN a < failing_now THEN 'timed_out' WHEN a < failing_now + w.cancelled THEN 'cancelled'
    ELSE 'succeeded' END AS status, {_STOP.format(id="told.id", nodes="cardinality(w.nodes)")}
    AS stop
  FROM told JOIN seed_workflow w USING (no)),
spent AS MATERIALIZED (
  SELECT j.*, CASE WHEN status = 'succeeded' THEN cardinality(w.nodes) ELSE stop END AS reached,
    j.started_at + make_interval(secs => lasted) AS ended_at, exp(0.35 * z) AS much
  FROM judged j JOIN seed_workflow w USING (no)),
made AS (
INSERT INTO run (id, root_id, project_id, workflow_id, workflow_version_id, environment_id,
  trigger, status, end_status, reason, input, output, error, pins, tags, priority, started_by_type,
  started_by_id, started_by_name, simulated, request_sha256, created_at, updated_at, started_at,
  ended_at, open_steps, busy_steps, input_tokens, output_tokens, cost, unpriced_calls, currency,
  last_seq, last_log_seq)
SELECT s.id, s.id, %(project)s, w.workflow_id, w.version_id,
  (%(environments)s::uuid[])[1 + floor(b * cardinality(%(environments)s::uuid[]))::int],
  how.trigger, s.status, '', CASE s.status WHEN 'failed' THEN fault.code
    WHEN 'timed_out' THEN 'deadline' WHEN 'cancelled' THEN 'cancelled' ELSE '' END,
  w.input || jsonb_build_object('number', s.i),
  CASE WHEN s.status = 'succeeded' THEN w.output END,
  CASE s.status WHEN 'failed' THEN jsonb_build_object('code', fault.code, 'message',
      fault.message, 'node', w.names[s.stop])
    WHEN 'timed_out' THEN '{{"code": "deadline", "message": "The run passed its deadline."}}' END,
  '{{}}', w.tags || CASE WHEN d < 0.08 THEN '{{vip}}'::text[] WHEN d < 0.11 THEN '{{backfill}}'
    ELSE '{{}}' END,
  CASE WHEN e < 0.05 THEN 10 ELSE 0 END, how.type,
  CASE WHEN how.type = 'user' THEN %(user)s::uuid END,
  CASE WHEN how.type = 'user' THEN %(user_name)s ELSE how.trigger END,
  false, '', s.at, s.ended_at, s.started_at, s.ended_at, 0, 0,
  round(w.input_tokens * much * w.agents[s.reached] / greatest(1, w.agents[cardinality(w.agents)])),
  round(w.output_tokens * much * w.agents[s.reached]
    / greatest(1, w.agents[cardinality(w.agents)])),
  round(w.cost * much::numeric * nullif(w.agents[s.reached], 0)
    / greatest(1, w.agents[cardinality(w.agents)]), 6),
  w.unpriced * w.agents[s.reached], 'USD', 0, 0
FROM spent s JOIN seed_workflow w USING (no)
CROSS JOIN LATERAL (SELECT
  CASE WHEN c < 0.45 THEN 'api' WHEN c < 0.65 THEN 'schedule' WHEN c < 0.85 THEN 'webhook'
    ELSE 'manual' END AS trigger,
  CASE WHEN c < 0.45 THEN 'service' WHEN c < 0.85 THEN 'system' ELSE 'user' END AS type) AS how
CROSS JOIN LATERAL (SELECT
  (ARRAY['timeout', 'http_503', 'rate_limited', 'output_invalid'])[1 + floor(f * 4)::int] AS code,
  (ARRAY['The step took longer than its timeout.', 'The server answered 503.',
    'The server asked to come back later.', 'The answer does not fit the output schema.']
    )[1 + floor(f * 4)::int] AS message) AS fault
ORDER BY s.i
RETURNING *)
INSERT INTO seed_newest
SELECT m.age, m.id, m.workflow_id, m.environment_id, m.status, m.reason, m.error, m.trigger,
  m.created_at, m.started_at, m.ended_at, m.input_tokens, m.output_tokens, m.cost, w.no,
  CASE WHEN m.status = 'succeeded' THEN cardinality(w.nodes)
    ELSE {_STOP.format(id="m.id", nodes="cardinality(w.nodes)")} END
FROM (SELECT *, %(total)s - (input ->> 'number')::bigint + 1 AS age FROM made) AS m
JOIN seed_workflow w ON w.version_id = m.workflow_version_id
WHERE m.age <= %(with_calls)s
"""  # noqa: S608 (constants only)

# A node of a run with the time it took: the run's length, cut by the nodes' shares.
_WORK = """
SELECT r.age, r.id AS run_id, r.workflow_id, r.environment_id, r.status AS run_status, r.reason,
  r.error, r.no, r.stop, n.position, n.node, n.kind, n.name, n.agent_id, n.agent_version_id,
  n.tool_id, n.tool_version_id, n.slug, n.provider, n.model, n.price_status,
  CASE WHEN n.position < r.stop OR r.status = 'succeeded' THEN 'succeeded'
    WHEN n.position = r.stop AND r.status = 'failed' THEN 'failed' ELSE 'cancelled' END AS status,
  CASE WHEN n.position <= r.stop THEN r.started_at + (r.ended_at - r.started_at)
    * (n.before / n.reached) END AS started_at,
  CASE WHEN n.position <= r.stop THEN r.started_at + (r.ended_at - r.started_at)
    * ((n.before + n.share) / n.reached) ELSE r.ended_at END AS ended_at,
  r.input_tokens / greatest(1, n.agents) AS input_tokens,
  r.output_tokens / greatest(1, n.agents) AS output_tokens,
  r.cost / greatest(1, n.agents) AS cost
FROM seed_newest r CROSS JOIN LATERAL (
  SELECT m.*, sum(m.share) FILTER (WHERE m.position <= r.stop) OVER () AS reached,
    sum(m.share) OVER (ORDER BY m.position) - m.share AS before,
    count(m.agent_id) FILTER (WHERE m.position <= r.stop) OVER () AS agents
  FROM seed_node m WHERE m.no = r.no) AS n
WHERE r.age <= %(runs)s
"""

STEPS = f"""
INSERT INTO step (id, run_id, node, path, position, kind, name, status, reason, attempt,
  crash_count, deps_left, deps_taken, queue, pool, priority, undecided, ready_at, leased_at,
  started_at, ended_at, input, output, error, input_tokens, output_tokens, cost, unpriced_calls,
  agent_id, tool_id)
SELECT {_UUID7.format(at="coalesce(w.started_at, w.ended_at)", noise="md5(random()::text)")},
  w.run_id, w.node, '', w.position, w.kind, w.name, w.status,
  CASE WHEN w.status = 'succeeded' THEN '' ELSE w.reason END,
  CASE WHEN w.started_at IS NULL THEN 0 ELSE 1 END, 0, 0,
  CASE WHEN w.position > 1 THEN 1 ELSE 0 END, 'shared',
  CASE WHEN w.kind = 'agent' THEN 'io' ELSE 'cpu' END, 0, false, w.started_at, w.started_at,
  w.started_at, w.ended_at, '{{}}',
  CASE WHEN w.status = 'succeeded' THEN '{{"done": true}}'::jsonb END,
  CASE WHEN w.status = 'failed' THEN w.error END,
  CASE WHEN w.agent_id IS NOT NULL AND w.started_at IS NOT NULL THEN w.input_tokens ELSE 0 END,
  CASE WHEN w.agent_id IS NOT NULL AND w.started_at IS NOT NULL THEN w.output_tokens ELSE 0 END,
  CASE WHEN w.agent_id IS NOT NULL AND w.started_at IS NOT NULL THEN w.cost END,
  CASE WHEN w.price_status = 'unpriced' AND w.started_at IS NOT NULL THEN 1 ELSE 0 END,
  w.agent_id, w.tool_id
FROM ({_WORK}) AS w
"""  # noqa: S608

MODEL_CALLS = f"""
INSERT INTO model_call (id, project_id, agent_id, agent_version_id, run_id, step_id, workflow_id,
  environment_id, turn, provider, model, response_model, state, error_code, finish_reason,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, latency_ms,
  first_token_ms, cost, currency, price_status, started_at)
SELECT {_UUID7.format(at="w.started_at", noise="md5(random()::text)")}, %(project)s, w.agent_id,
  w.agent_version_id, w.run_id, s.id, w.workflow_id, w.environment_id, 1, w.provider, w.model,
  w.model, CASE WHEN w.status = 'succeeded' THEN 'succeeded' ELSE 'failed' END,
  CASE WHEN w.status = 'succeeded' THEN '' WHEN w.status = 'failed' THEN w.reason
    ELSE 'cancelled' END,
  CASE WHEN w.status = 'succeeded' THEN 'stop' ELSE '' END, w.input_tokens, w.output_tokens, 0, 0,
  0, lasted.ms, lasted.ms * 0.3, w.cost, 'USD', w.price_status, w.started_at
FROM ({_WORK}) AS w
LEFT JOIN step s ON s.run_id = w.run_id AND s.path = '' AND s.node = w.node
CROSS JOIN LATERAL (SELECT extract(epoch FROM w.ended_at - w.started_at) * 980 AS ms) AS lasted
WHERE w.agent_id IS NOT NULL AND w.started_at IS NOT NULL
"""  # noqa: S608

TOOL_CALLS = f"""
INSERT INTO tool_call (id, project_id, tool_id, tool_version_id, run_id, step_id, agent_id,
  workflow_id, state, error_code, latency_ms, args_sha256, idempotency_key, cost, started_at)
SELECT {_UUID7.format(at="w.started_at", noise="md5(random()::text)")}, %(project)s, w.tool_id,
  w.tool_version_id, w.run_id, s.id, NULL, w.workflow_id,
  CASE WHEN w.status = 'succeeded' THEN 'succeeded' ELSE 'failed' END,
  CASE WHEN w.status = 'succeeded' THEN '' WHEN w.status = 'failed' THEN w.reason
    ELSE 'cancelled' END,
  extract(epoch FROM w.ended_at - w.started_at) * 990, '', '', NULL, w.started_at
FROM ({_WORK}) AS w
LEFT JOIN step s ON s.run_id = w.run_id AND s.path = '' AND s.node = w.node
WHERE w.tool_id IS NOT NULL AND w.started_at IS NOT NULL
"""  # noqa: S608

# What such a run would have told of itself, numbered without a gap.
EVENTS = f"""
WITH w AS MATERIALIZED ({_WORK}),
steps AS MATERIALIZED (
  SELECT w.*, s.id AS step_id FROM w JOIN step s
    ON s.run_id = w.run_id AND s.path = '' AND s.node = w.node),
told AS (
  SELECT r.id AS run_id, r.created_at AS at, 0 AS place, 'run.queued' AS type,
    NULL::uuid AS step_id, jsonb_build_object('status', 'queued', 'workflow', r.workflow_id,
      'trigger', r.trigger) AS data FROM seed_newest r WHERE r.age <= %(runs)s
  UNION ALL
  SELECT r.id, r.started_at, 1, 'run.started', NULL, '{{"status": "running"}}'
  FROM seed_newest r WHERE r.age <= %(runs)s
  UNION ALL
  SELECT run_id, started_at, 10 * position, 'step.started', step_id,
    jsonb_build_object('node', node, 'attempt', 1) FROM steps WHERE started_at IS NOT NULL
  UNION ALL
  SELECT run_id, ended_at, 10 * position + 1, kind_of.word || '.called', step_id,
    jsonb_build_object(kind_of.word, slug, 'status', status)
  FROM steps CROSS JOIN LATERAL (SELECT CASE kind WHEN 'agent' THEN 'model' ELSE kind END AS word)
    AS kind_of WHERE started_at IS NOT NULL AND kind IN ('tool', 'agent')
  UNION ALL
  SELECT run_id, ended_at, 10 * position + 2, 'step.' || status, step_id,
    jsonb_build_object('node', node, 'status', status) FROM steps
  UNION ALL
  SELECT r.id, r.ended_at, 100000, 'run.' || r.status, NULL, jsonb_build_object('status', r.status)
  FROM seed_newest r WHERE r.age <= %(runs)s),
numbered AS MATERIALIZED (
  SELECT told.*, row_number() OVER (PARTITION BY run_id ORDER BY at, place) AS seq FROM told),
kept AS (
  INSERT INTO event (subject_id, seq, project_id, at, type, step_id, data, activity_seq)
  SELECT run_id, seq, %(project)s, at, type, step_id, data,
    CASE WHEN type LIKE 'run.%%' THEN next_activity_seq() END
  FROM (SELECT * FROM numbered ORDER BY at, run_id, seq) AS ordered)
UPDATE run SET last_seq = n.seq
FROM (SELECT run_id, max(seq) AS seq FROM numbered GROUP BY run_id) AS n WHERE n.run_id = run.id
"""  # noqa: S608

LOG_LINES = f"""
WITH w AS MATERIALIZED ({_WORK}),
lines AS MATERIALIZED (
  SELECT w.run_id, row_number() OVER (PARTITION BY w.run_id ORDER BY w.position) AS seq,
    w.ended_at AS at, CASE WHEN w.status = 'failed' THEN 'error' ELSE 'info' END AS level,
    s.id AS step_id, CASE WHEN w.status = 'failed' THEN w.error ->> 'message'
      ELSE w.name || ': ' || w.status END AS message
  FROM w JOIN step s ON s.run_id = w.run_id AND s.path = '' AND s.node = w.node
  WHERE w.started_at IS NOT NULL),
kept AS (
  INSERT INTO log_line (run_id, seq, at, level, step_id, message, data)
  SELECT run_id, seq, at, level, step_id, message, NULL FROM lines)
UPDATE run SET last_log_seq = n.seq
FROM (SELECT run_id, max(seq) AS seq FROM lines GROUP BY run_id) AS n WHERE n.run_id = run.id
"""  # noqa: S608

WRITTEN = ("run", "step", "event", "log_line", "model_call", "tool_call")
