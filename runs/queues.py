"""What waits for workers, what they hold, and what was parked; and putting parked steps back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agents.models import Instance
from controlplane.kit import audit
from controlplane.kit.database import query
from controlplane.kit.errors import InvalidTransition
from runs import statements as sql
from runs.lifecycle import Ledger, read_rows
from runs.models import Run
from runs.placing import SHARED_QUEUE
from runs.rows import LockedRun
from runs.services import change

# How far back, and over how many of a project's newest runs, the rate of a queue is looked at.
RATE_SECONDS = 60
RATE_RUNS = 2_000

_WORK = """
SELECT s.queue, count(*) FILTER (WHERE s.status = 'ready' AND r.status <> 'paused'),
  extract(epoch FROM clock_timestamp() - min(s.ready_at) FILTER (
    WHERE s.status = 'ready' AND r.status <> 'paused'))::float8,
  count(*) FILTER (WHERE s.status = 'ready' AND r.status = 'paused'),
  count(*) FILTER (WHERE s.status = 'running')
FROM step s JOIN run r ON r.id = s.run_id
WHERE s.status IN ('ready', 'running') AND r.project_id = ANY(%(projects)s) GROUP BY s.queue
"""
_PARKED = """
SELECT s.queue, count(*), count(DISTINCT s.run_id) FROM step s JOIN run r ON r.id = s.run_id
WHERE s.status = 'parked' AND r.project_id = ANY(%(projects)s) GROUP BY s.queue
"""
# Steps that ended within the last minute, of the newest runs: where these were all started later
# than a minute ago, over the time since the oldest of them.
_RATE = """
WITH recent AS MATERIALIZED (
  SELECT r.id, r.created_at FROM unnest(%(projects)s::uuid[]) AS p(id) CROSS JOIN LATERAL (
    SELECT id, created_at FROM run WHERE project_id = p.id
      AND created_at > clock_timestamp() - interval '1 hour'
    ORDER BY created_at DESC, id DESC LIMIT %(runs)s) r),
span AS (
  SELECT CASE WHEN count(*) < %(runs)s THEN %(seconds)s
    ELSE least(%(seconds)s, extract(epoch FROM clock_timestamp() - min(created_at)))
  END::float8 AS seconds FROM recent)
SELECT s.queue, count(*) / greatest(max(span.seconds), 1)
FROM recent JOIN step s ON s.run_id = recent.id CROSS JOIN span
WHERE s.ended_at > clock_timestamp() - span.seconds * interval '1 s' AND s.attempt > 0
GROUP BY s.queue
"""
_WORKERS = """
SELECT i.queue, count(*), coalesce(sum(i.capacity), 0), coalesce(sum(i.in_flight), 0)
FROM instance i LEFT JOIN deployment d ON d.id = i.deployment_id
WHERE i.state = ANY(%(live)s) AND (i.deployment_id IS NULL OR d.project_id = ANY(%(projects)s))
GROUP BY i.queue
"""
_DEPLOYMENTS = """
SELECT 'deployment.' || d.id, d.project_id, a.id, a.name, e.name
FROM deployment d JOIN agent a ON a.id = d.agent_id JOIN environment e ON e.id = d.environment_id
WHERE d.project_id = ANY(%(projects)s) AND d.phase <> 'retired' AND a.deleted_at IS NULL
"""


@dataclass(slots=True)
class Queue:
    """One queue, as far as some projects use it. `rate` is steps ended a second; `workers` may
    work for other projects too."""

    name: str
    project: UUID | None = None
    agent: UUID | None = None
    agent_name: str = ""
    environment: str = ""
    depth: int = 0
    held: int = 0
    oldest_seconds: float | None = None
    running: int = 0
    rate: float = 0.0
    workers: int = 0
    capacity: int = 0
    in_flight: int = 0
    parked: int = 0
    parked_runs: int = 0

    @property
    def kind(self) -> str:
        """shared, or of a deployment."""
        return "deployment" if self.name.startswith("deployment.") else "shared"

    @property
    def title(self) -> str:
        """What people call it."""
        if self.kind == "shared":
            return "Shared pool"
        return f"{self.agent_name} in {self.environment}" if self.agent_name else self.name

    @property
    def oldest_ms(self) -> float | None:
        """How long the oldest step that could be taken has waited."""
        return None if self.oldest_seconds is None else 1000 * self.oldest_seconds

    @property
    def is_stuck(self) -> bool:
        """Whether something waits and nobody is there to take it."""
        return bool(self.depth and not self.workers)


def queues_of(projects: Sequence[UUID]) -> list[Queue]:
    """The queues some projects use, the shared one first; five questions for any number."""
    params = {
        "projects": list(projects),
        "live": [str(state) for state in Instance.LIVE],
        "seconds": RATE_SECONDS,
        "runs": RATE_RUNS,
    }
    found: dict[str, Queue] = {SHARED_QUEUE: Queue(SHARED_QUEUE)}
    for name, project, agent, agent_name, environment in query(_DEPLOYMENTS, params):
        found[name] = Queue(name, project, agent, agent_name, environment)

    def at(name: str) -> Queue:
        return found.setdefault(name, Queue(name))

    for name, depth, oldest, held, running in query(_WORK, params):
        queue = at(name)
        queue.depth, queue.oldest_seconds, queue.held, queue.running = depth, oldest, held, running
    for name, steps, runs in query(_PARKED, params):
        at(name).parked, at(name).parked_runs = steps, runs
    for name, rate in query(_RATE, params):
        at(name).rate = float(rate)
    for name, workers, capacity, in_flight in query(_WORKERS, params):
        if name in found:
            queue = found[name]
            queue.workers, queue.capacity, queue.in_flight = workers, capacity, in_flight
    return sorted(found.values(), key=lambda queue: (queue.kind != "shared", queue.title))


def replay(run: Run, *, actor: Any) -> Run:
    """Put the parked steps of a run back into their queues, with their crashes forgiven. 409
    `not_parked` where it has none."""

    def verb(ledger: Ledger, locked: LockedRun) -> set[str]:
        if locked.is_terminal or locked.end_status:
            raise InvalidTransition("The run has ended.", code="run_ended")
        rows = read_rows(ledger.conn, sql.UNPARK_STEPS, [locked.id])
        if not rows:
            raise InvalidTransition("No step of this run is parked.", code="not_parked")
        for row in rows:
            locked.busy_steps += 1
            data = {"node": row["node"], "reason": "replayed"}
            ledger.event(locked, "step.ready", row["id"], data)
        audit.record(
            "run.replayed",
            actor=actor,
            project_id=locked.project_id,
            target=run,
            after={"steps": [row["node"] for row in rows[:50]]},
        )
        return {row["queue"] for row in rows}

    change(run.pk, verb)
    return Run.objects.for_list().get(pk=run.pk)
