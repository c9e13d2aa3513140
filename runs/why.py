"""Why runs stand where they stand, as of now: at most three questions for any number of runs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from agents.models import Instance
from controlplane.kit.database import query
from controlplane.kit.ids import parse_uuid
from projects.freezing import told
from projects.people import User
from runs.explain import Moment, OpenStep, QueueFacts, explain
from runs.models import Run

STEPS_OF_A_STATUS = 4
COUNTED_IN_A_LIST, COUNTED_ALONE = 100, 10_000

# Some open steps of each status of each run, and how many there are.
_OPEN = """
SELECT o.run_id, o.id, o.name, o.status, o.reason, o.attempt, o.crash_count, o.wake_at,
  left(o.error ->> 'message', 200), o.queue, o.pool, o.priority, o.ready_at, o.many,
  CASE o.reason
    WHEN 'signal' THEN o.state ->> 'signal'
    WHEN 'form' THEN o.state ->> 'title'
    WHEN 'child' THEN (SELECT w.name || ', which is ' || replace(c.status, '_', ' ')
      FROM run c JOIN workflow w ON w.id = c.workflow_id
      WHERE c.id = (o.state ->> 'run')::uuid)
    WHEN 'rate_limited' THEN (SELECT t.slug FROM tool t WHERE t.id = o.tool_id)
    WHEN 'checking' THEN (SELECT t.slug FROM tool t WHERE t.id = o.tool_id)
    WHEN 'reconcile' THEN (SELECT e.tool_name FROM effect e
      WHERE e.step_id = o.id AND e.state = 'unknown' ORDER BY e.ordinal LIMIT 1) END,
  a.assignees, a.quorum, a.due_at, CASE WHEN a.quorum > 1 THEN (
    SELECT count(*) FROM approval_decision d WHERE d.approval_id = a.id
      AND d.action = 'approve' AND d.shown_sha256 = a.shown_sha256) END
FROM (
  SELECT s.*, row_number() OVER place AS nth,
    count(*) OVER (PARTITION BY s.run_id, s.status) AS many
  FROM step s WHERE s.run_id = ANY(%(runs)s)
    AND s.status IN ('ready', 'running', 'waiting', 'parked')
  WINDOW place AS (PARTITION BY s.run_id, s.status ORDER BY s.position, s.path)) o
LEFT JOIN approval a ON a.id = o.approval_id AND a.status = 'pending' AND o.reason = 'approval'
WHERE o.nth <= %(most)s ORDER BY o.run_id, o.position, o.path
"""

# How many claimable steps stand before each of these in its queue, counted up to a bound.
_AHEAD = """
SELECT f.id, (SELECT count(*) FROM (
  SELECT 1 FROM step s JOIN run r ON r.id = s.run_id
  WHERE s.status = 'ready' AND s.queue = f.queue AND s.pool = f.pool
    AND (s.priority > f.priority OR (s.priority = f.priority AND s.ready_at < f.ready_at))
    AND r.status IN ('queued', 'running', 'waiting') LIMIT %(most)s) ahead)
FROM unnest(%(ids)s::uuid[], %(queues)s::text[], %(pools)s::text[], %(priorities)s::int[],
  %(since)s::timestamptz[]) AS f(id, queue, pool, priority, ready_at)
"""

# Who froze what these runs are of: the project, else the environment.
_FROZEN = """
SELECT r.id, CASE WHEN p.frozen_at IS NULL THEN e.frozen_by ELSE p.frozen_by END,
  coalesce(p.frozen_at, e.frozen_at),
  CASE WHEN p.frozen_at IS NULL THEN e.frozen_reason ELSE p.frozen_reason END
FROM run r JOIN project p ON p.id = r.project_id LEFT JOIN environment e ON e.id = r.environment_id
WHERE r.id = ANY(%(runs)s) AND (p.frozen_at IS NOT NULL OR e.frozen_at IS NOT NULL)
"""

_WORKERS = """
SELECT i.queue, count(*), coalesce(sum(greatest(i.capacity::int - i.in_flight::int, 0)), 0),
  max(a.name)
FROM instance i LEFT JOIN deployment d ON d.id = i.deployment_id
  LEFT JOIN agent a ON a.id = d.agent_id
WHERE i.queue = ANY(%(queues)s) AND i.state = ANY(%(live)s) GROUP BY i.queue
"""


def sentences(runs: Sequence[Run], *, counted_to: int = COUNTED_IN_A_LIST) -> dict[UUID, str]:
    """Run id → its sentence. How many steps stand before one in its queue is counted up to
    `counted_to`."""
    live = [run for run in runs if not run.is_terminal]
    moments = _moments(live, counted_to) if live else {}
    return {
        run.pk: explain(
            run.status, error=run.error, reason=run.reason, moment=moments.get(run.pk, Moment())
        )
        for run in runs
    }


def sentence(run: Run) -> str:
    """The sentence of one run."""
    return sentences([run], counted_to=COUNTED_ALONE)[run.pk]


def _moments(runs: Sequence[Run], counted_to: int) -> dict[UUID, Moment]:
    ids = [run.pk for run in runs]
    steps: defaultdict[UUID, list[OpenStep]] = defaultdict(list)
    counts: defaultdict[UUID, dict[str, int]] = defaultdict(dict)
    places: dict[UUID, tuple[Any, ...]] = {}
    ready: dict[UUID, OpenStep] = {}
    for row in query(_OPEN, {"runs": ids, "most": STEPS_OF_A_STATUS}):
        run_id, step_id, name, status, reason, attempt, crashes, wake_at, error = row[:9]
        step = OpenStep(
            name, status, reason, attempt, crashes, wake_at, error or "", row[14] or "",
            _asked(row[15:]),
        )  # fmt: skip
        if status == "ready" and "ready" not in counts[run_id]:
            # The first is asked about: the others stand behind it.
            places[step_id], ready[step_id] = (step_id, *row[9:13]), step
        steps[run_id].append(step)
        counts[run_id][status] = row[13]
    _place(places, ready, counted_to)
    _name_people([step for found in steps.values() for step in found])
    moments = {run_id: Moment(found, counts[run_id]) for run_id, found in steps.items()}
    if frozen := [run.pk for run in runs if run.reason == "frozen"]:
        for run_id, *who in query(_FROZEN, {"runs": frozen}):
            moments.setdefault(run_id, Moment()).frozen = told(*who)
    return moments


def _asked(row: Sequence[Any]) -> dict[str, Any] | None:
    assignees, quorum, due_at, approved = row
    if quorum is None:
        return None
    return {"assignees": assignees, "quorum": quorum, "due_at": due_at, "approved": approved}


def _place(
    places: dict[UUID, tuple[Any, ...]], ready: dict[UUID, OpenStep], counted_to: int
) -> None:
    """Where the ready steps stand in their queues, and who serves these."""
    if not places:
        return
    ids, queues, pools, priorities, since = (
        list(part) for part in zip(*places.values(), strict=True)
    )
    live = [str(state) for state in Instance.LIVE]
    workers = {row[0]: row[1:] for row in query(_WORKERS, {"queues": queues, "live": live})}
    params = {
        "ids": ids, "queues": queues, "pools": pools, "priorities": priorities, "since": since,
        "most": counted_to,
    }  # fmt: skip
    for step_id, ahead in query(_AHEAD, params):
        count, free, agent = workers.get(places[step_id][1], (0, 0, None))
        ready[step_id].queue = QueueFacts(ahead, counted_to, count, free, agent or "")


def _name_people(steps: Iterable[OpenStep]) -> None:
    """Assignees are addresses, roles, and ids of users, of which nobody can read the last."""
    asked = [step.approval for step in steps if step.approval and step.approval["assignees"]]
    keys = {key for facts in asked for each in facts["assignees"] if (key := parse_uuid(each))}
    names = {}
    if keys:
        users = User.objects.filter(pk__in=keys).only("id", "name", "email")
        names = {str(user.pk): user.name or user.email for user in users}
    for facts in asked:
        facts["assignees"] = [names.get(str(each), str(each)) for each in facts["assignees"]]
