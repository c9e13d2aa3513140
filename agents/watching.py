"""What the ticker does for agents: judges how they are, tells when that changes, and keeps samples
of what their instances use."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from agents.models import Agent
from agents.wellbeing import Outcome, health
from controlplane.kit import events

# Agents judged in one round; the others wait for the next.
MOST_A_ROUND = 100
SAMPLES_KEPT = timedelta(days=7)

# Those something may be wrong or going on with; the rest is idle and stays so. By key, for each is
# found by an index.
_LIVELY = """
SELECT a.id FROM agent a
WHERE a.deleted_at IS NULL AND a.id > %s AND (a.health <> 'idle'
  OR EXISTS (SELECT 1 FROM deployment d WHERE d.agent_id = a.id
    AND d.phase NOT IN ('retired', 'paused'))
  OR EXISTS (SELECT 1 FROM model_call m WHERE m.agent_id = a.id
    AND m.started_at > clock_timestamp() - interval '15 minutes'))
ORDER BY a.id LIMIT %s
"""
_SAMPLE = """
INSERT INTO instance_sample (instance_id, at, rss_bytes, cpu_percent, in_flight)
SELECT id, clock_timestamp(), rss_bytes, cpu_percent, in_flight FROM instance
WHERE state IN ('ready', 'busy', 'draining')
"""
_FIRST = UUID(int=0)


class HealthWatch:
    """Judges agents round after round. `outcome` tells how an agent's work went lately."""

    def __init__(self, outcome: Callable[[Agent], Outcome | None]) -> None:
        self.outcome = outcome
        self.after = _FIRST

    def round(self) -> None:
        """Judge the next of them, and tell where the verdict is another than before."""
        with connection.cursor() as cursor:
            cursor.execute(_LIVELY, [self.after, MOST_A_ROUND])
            keys = [row[0] for row in cursor.fetchall()]
        self.after = keys[-1] if len(keys) == MOST_A_ROUND else _FIRST
        rows = Agent.objects.filter(pk__in=keys).select_related("current", "project")
        for agent in rows:
            found = health(agent, outcome=self.outcome(agent))
            if found["status"] != agent.health:
                _tell(agent, found["status"], found["facts"])


@transaction.atomic
def _tell(agent: Agent, status: str, facts: list[dict[str, str]]) -> None:
    rows = Agent.objects.filter(pk=agent.pk, health=agent.health)
    if rows.update(health=status, health_at=timezone.now()):
        data = {"status": status, "before": agent.health, "facts": facts}
        events.append(agent.pk, agent.project_id, "agent.health", data)


def take_samples() -> None:
    """One sample of each live instance, for charts."""
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLE)


def drop_old_samples() -> None:
    """Samples older than SAMPLES_KEPT go."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM instance_sample WHERE at < clock_timestamp() - %s", [SAMPLES_KEPT]
        )
