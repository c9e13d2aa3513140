"""The SQL of reports. `{environments}` stands for the narrowing to environments, or for nothing.

Every statement begins from an index on (project, time); tests/scale proves it by EXPLAIN.
"""

# How a run ended; cancelled ones say nothing about success or length.
_COUNTS = """count(*) AS runs,
  count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
  count(*) FILTER (WHERE status IN ('failed', 'timed_out')) AS failed,
  count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
  count(*) FILTER (WHERE ended_at IS NULL) AS unfinished"""
_LENGTHS = "percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms)"
_MS = """CASE WHEN status IN ('succeeded', 'failed', 'timed_out')
  THEN extract(epoch FROM ended_at - started_at)::float8 * 1000 END AS ms"""

# One scan of the period and of the one before it.
OVERVIEW_RUNS = f"""
SELECT is_now, {_COUNTS}, {_LENGTHS} AS lengths
FROM (SELECT created_at >= %(start)s AS is_now, status, ended_at, {_MS} FROM run
  WHERE project_id = ANY(%(projects)s) AND created_at >= %(before)s AND created_at < %(end)s
  {{environments}}) AS r
GROUP BY is_now
"""  # noqa: S608 (constants only)

OVERVIEW_CALLS = """
SELECT started_at >= %(start)s AS is_now, sum(cost) AS cost,
  count(*) FILTER (WHERE price_status = 'unpriced') AS unpriced_calls
FROM model_call
WHERE project_id = ANY(%(projects)s) AND started_at >= %(before)s AND started_at < %(end)s
  AND (currency = %(currency)s OR cost IS NULL) {environments}
GROUP BY 1
"""

# An agent is active where one of its steps began; agents are few, so each is looked up.
OVERVIEW_AGENTS = """
SELECT count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM step s {joined} WHERE s.agent_id = a.id AND s.started_at >= %(start)s
      AND s.started_at < %(end)s {environments})) AS now,
  count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM step s {joined} WHERE s.agent_id = a.id AND s.started_at >= %(before)s
      AND s.started_at < %(start)s {environments})) AS before
FROM agent a WHERE a.project_id = ANY(%(projects)s)
"""

# What waited at the end of the period and at the end of the one before it.
OVERVIEW_APPROVALS = """
SELECT count(*) FILTER (WHERE a.created_at < %(end)s
    AND (a.status = 'pending' OR a.decided_at >= %(end)s)) AS now,
  count(*) FILTER (WHERE a.created_at < %(start)s
    AND (a.status = 'pending' OR a.decided_at >= %(start)s)) AS before
FROM approval a {joined}
WHERE a.project_id = ANY(%(projects)s) AND (a.status = 'pending' OR a.decided_at >= %(start)s)
  {environments}
"""

RUNS = f"""
SELECT grouping(at, workflow_id, environment_id, status) AS kind, at, workflow_id, environment_id,
  status, {_COUNTS}, {_LENGTHS} AS lengths
FROM (SELECT date_trunc(%(bucket)s, created_at, 'UTC') AS at, workflow_id, environment_id, status,
    ended_at, {_MS} FROM run
  WHERE project_id = ANY(%(projects)s) AND created_at >= %(start)s AND created_at < %(end)s
  {{environments}}) AS r
GROUP BY GROUPING SETS ((at), (workflow_id), (environment_id), (status), ())
"""  # noqa: S608

RUNS_BY_WORKFLOW = f"""
SELECT workflow_id, {_COUNTS}, {_LENGTHS} AS lengths
FROM (SELECT workflow_id, status, ended_at, {_MS} FROM run
  WHERE project_id = ANY(%(projects)s) AND created_at >= %(start)s AND created_at < %(end)s
  {{environments}}) AS r
GROUP BY workflow_id
"""  # noqa: S608

WORKFLOW_RUNS = f"""
SELECT grouping(at) AS kind, at, {_COUNTS}, {_LENGTHS} AS lengths
FROM (SELECT date_trunc(%(bucket)s, created_at, 'UTC') AS at, status, ended_at, {_MS} FROM run
  WHERE workflow_id = %(workflow)s AND created_at >= %(start)s AND created_at < %(end)s
  {{environments}}) AS r
GROUP BY GROUPING SETS ((at), ())
"""  # noqa: S608

# The steps of the newest runs of the range: enough to tell which is slow, and bounded.
WORKFLOW_STEPS = """
WITH newest AS MATERIALIZED (
  SELECT id FROM run
  WHERE workflow_id = %(workflow)s AND created_at >= %(start)s AND created_at < %(end)s
  {environments} ORDER BY created_at DESC, id DESC LIMIT %(most)s)
SELECT s.node, (array_agg(s.name ORDER BY s.id DESC))[1] AS name, min(s.kind) AS kind,
  count(s.started_at) AS runs, count(*) FILTER (WHERE s.status = 'succeeded') AS succeeded,
  count(*) FILTER (WHERE s.status = 'failed') AS failed,
  count(*) FILTER (WHERE s.attempt > 1) AS retried,
  percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY CASE
    WHEN s.status IN ('succeeded', 'failed')
    THEN extract(epoch FROM s.ended_at - s.started_at)::float8 * 1000 END) AS lengths,
  sum(s.cost) AS cost, sum(s.unpriced_calls) AS unpriced_calls,
  (SELECT count(*) FROM newest) AS of_runs
FROM newest JOIN step s ON s.run_id = newest.id
GROUP BY s.node
"""

# Calls of models, and those calls of tools that cost something.
_CALLS = """
SELECT date_trunc(%(bucket)s, started_at, 'UTC') AS at, project_id, agent_id, workflow_id,
  provider, model, NULL::uuid AS tool_id, currency, price_status, cost, input_tokens,
  output_tokens
FROM model_call
WHERE project_id = ANY(%(projects)s) AND started_at >= %(start)s AND started_at < %(end)s
  {environments}
UNION ALL
SELECT date_trunc(%(bucket)s, t.started_at, 'UTC'), t.project_id, t.agent_id, t.workflow_id,
  NULL, NULL, t.tool_id, 'USD', 'priced', t.cost, 0, 0
FROM tool_call t {joined}
WHERE t.project_id = ANY(%(projects)s) AND t.started_at >= %(start)s AND t.started_at < %(end)s
  AND t.cost IS NOT NULL {joined_environments}
"""
_SPENT = """sum(cost) FILTER (WHERE currency = %(currency)s) AS cost,
  count(*) FILTER (WHERE tool_id IS NULL) AS model_calls,
  count(*) FILTER (WHERE price_status = 'unpriced') AS unpriced_calls,
  coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
  coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
  (coalesce(sum(input_tokens + output_tokens) FILTER (WHERE price_status = 'unpriced'), 0))::bigint
    AS unpriced_tokens"""

COSTS = f"""
SELECT grouping(at, project_id, agent_id, workflow_id, model, tool_id, currency) AS kind, at,
  project_id, agent_id, workflow_id, provider, model, tool_id, currency, sum(cost) AS any_cost,
  {_SPENT}
FROM ({_CALLS}) AS c
GROUP BY GROUPING SETS ((at), (project_id), (agent_id), (workflow_id), (provider, model), (tool_id),
  (currency), ())
"""  # noqa: S608

# Days of the calendar month so far, for the forecast.
MONTH = """
SELECT sum(cost) AS spent, sum(cost) FILTER (WHERE started_at >= %(week)s) AS last_week
FROM model_call
WHERE project_id = ANY(%(projects)s) AND started_at >= %(since)s AND started_at < %(now)s
  AND currency = %(currency)s {environments}
"""

CALLS_BY = """
SELECT {column} AS id, sum(cost) FILTER (WHERE currency = %(currency)s) AS cost,
  count(*) AS model_calls, count(*) FILTER (WHERE price_status = 'unpriced') AS unpriced_calls,
  coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
  coalesce(sum(output_tokens), 0)::bigint AS output_tokens
FROM model_call
WHERE {owner} AND started_at >= %(start)s AND started_at < %(end)s {environments}
GROUP BY {column}
"""

# What agents did: a piece of work is a step, an agent succeeded in a run if none of its steps
# there failed.
_WORK = """
SELECT s.agent_id, s.run_id, s.status, s.started_at,
  CASE WHEN s.status IN ('succeeded', 'failed')
    THEN extract(epoch FROM s.ended_at - s.started_at)::float8 * 1000 END AS ms
FROM step s {joined}
WHERE s.agent_id = ANY(%(agents)s) AND s.started_at >= %(start)s AND s.started_at < %(end)s
  {environments}
"""
_WORK_COUNTS = """count(DISTINCT run_id) AS runs,
  count(DISTINCT run_id) FILTER (WHERE status = 'succeeded') AS with_success,
  count(DISTINCT run_id) FILTER (WHERE status = 'failed') AS failed,
  count(DISTINCT run_id) FILTER (WHERE status = 'succeeded' AND has_failed) AS mixed,
  percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms) AS lengths"""
_JUDGED = f"""
SELECT w.*, bool_or(status = 'failed') OVER (PARTITION BY agent_id, run_id) AS has_failed
FROM ({_WORK}) AS w
"""  # noqa: S608

AGENTS = f"""
SELECT agent_id AS id, {_WORK_COUNTS} FROM ({_JUDGED}) AS j GROUP BY agent_id
"""  # noqa: S608

AGENT_OVER_TIME = f"""
SELECT date_trunc(%(bucket)s, started_at, 'UTC') AS at, {_WORK_COUNTS}
FROM ({_JUDGED}) AS j
GROUP BY GROUPING SETS ((date_trunc(%(bucket)s, started_at, 'UTC')), ())
"""  # noqa: S608

AGENT_OUTCOME = f"""
SELECT count(*) FILTER (WHERE status IN ('succeeded', 'failed')) AS ended,
  count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
  percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95
FROM ({_WORK}) AS w
"""  # noqa: S608

RESOURCES = """
SELECT d.agent_id AS id, count(*) AS instances, sum(i.in_flight) AS in_flight,
  sum(i.capacity) AS capacity, sum(i.rss_bytes)::bigint AS rss_bytes,
  sum(i.cpu_percent) AS cpu_percent
FROM deployment d JOIN instance i ON i.deployment_id = d.id
WHERE d.project_id = ANY(%(projects)s) AND i.state IN ('starting', 'ready', 'busy', 'draining')
GROUP BY d.agent_id
"""
