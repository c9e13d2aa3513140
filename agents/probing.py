"""Whether what deployed agents call can be reached: asked now and then by the ticker, without cost.

A model server is asked for its models, with the key; a remote agent's `health_url` must answer
below 400, and without one its address must answer anything at all. At most ten agents a round, each
at most every five minutes (every 30 s while something is wrong), a shared server once for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection as database
from django.utils import timezone

from agents import connection_check
from agents.models import Agent, Deployment
from agents.provider_connection import ProviderConnection
from agents.spec import AgentSpec, load_spec
from controlplane.kit import egress
from controlplane.kit.egress import EgressError
from controlplane.kit.errors import DomainError

AGAIN = timedelta(seconds=30)
MOST_A_ROUND = 10
TIMEOUT_SECONDS = 5.0
# What failed once is asked again before anybody is alarmed.
FAILURES_TO_TELL = 2
FAULTS = (ProviderConnection.Status.REFUSED, ProviderConnection.Status.UNREACHABLE)

# Claimed by writing the time down, so that no two tickers ask for the same agent.
_CLAIM = """
UPDATE agent SET probed_at = clock_timestamp() WHERE id IN (
  SELECT a.id FROM agent a
  WHERE a.deleted_at IS NULL AND a.status = 'active' AND a.kind IN ('model', 'remote')
    AND (a.probed_at IS NULL OR a.probed_at < clock_timestamp()
      - CASE WHEN coalesce(a.probe->>'fault', '') = '' THEN %s ELSE %s END)
    AND EXISTS (SELECT 1 FROM deployment d WHERE d.agent_id = a.id
      AND d.phase NOT IN ('retired', 'paused'))
  ORDER BY a.probed_at NULLS FIRST LIMIT %s FOR UPDATE OF a SKIP LOCKED)
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found: `fault` is empty where all is well, `said` what was answered."""

    fault: str = ""
    said: str = ""


def probe_round() -> int:
    """Ask for the agents that are due; how many."""
    every = timedelta(seconds=settings.SPARKOPS_PROBE_SECONDS)
    with database.cursor() as cursor:
        cursor.execute(_CLAIM, [every, min(AGAIN, every), MOST_A_ROUND])
        keys = [row[0] for row in cursor.fetchall()]
    known: dict[Any, Probed] = {}
    for agent in Agent.objects.filter(pk__in=keys).order_by("pk"):
        found = _probe(agent, known)
        if found is not None:
            before = (agent.probe or {}).get("failures", 0)
            kept = {
                "fault": found.fault,
                "said": found.said,
                "failures": before + 1 if found.fault else 0,
            }
            Agent.objects.filter(pk=agent.pk).update(probe=kept)
    return len(keys)


def last_probe(agent: Agent) -> Probed:
    """What the last probe of an agent found, as far as it is still believed."""
    kept = agent.probe
    believed = timedelta(seconds=3 * settings.SPARKOPS_PROBE_SECONDS)
    if not kept or agent.probed_at is None or timezone.now() - agent.probed_at > believed:
        return Probed()
    if kept["fault"] and kept["failures"] < FAILURES_TO_TELL:
        return Probed(said=f"{kept['fault']} It is asked again.")
    return Probed(kept["fault"], kept["said"])


def _probe(agent: Agent, known: dict[Any, Probed]) -> Probed | None:
    rows = Deployment.objects.filter(agent=agent).exclude(phase__in=Deployment.IDLE)
    deployment = rows.order_by("-environment__rank").first()
    if deployment is None:
        return None
    try:
        spec = load_spec(deployment.target_version_id)
    except DomainError as exc:
        return Probed(exc.message)
    if spec.provider == "embedded":
        return None
    ask: Callable[[AgentSpec], Probed] = _remote if spec.kind == "remote" else _model
    address = spec.config.get("url") or spec.base_url
    key = (spec.project_id, spec.kind, spec.provider, spec.connection, address, spec.secret)
    if key not in known:
        known[key] = ask(spec)
    return known[key]


def _model(spec: AgentSpec) -> Probed:
    rows = ProviderConnection.objects.filter(pk=spec.connection)
    row = rows.first() if spec.connection else None
    if row is not None:
        connection_check.check(row, actor=None, timeout=TIMEOUT_SECONDS)
        status, detail = row.status, row.detail
    else:
        server = ProviderConnection(
            project_id=spec.project_id,
            provider=spec.provider,
            base_url=spec.base_url,
            secret=spec.secret,
        )
        found = connection_check.probe(server, timeout=TIMEOUT_SECONDS)
        status, detail = found["status"], found["detail"]
    return Probed(fault=detail) if status in FAULTS else Probed(said=detail)


def _remote(spec: AgentSpec) -> Probed:
    """No key is sent: only whether somebody is there is asked."""
    told = spec.config.get("health_url")
    if not database.in_atomic_block:
        database.close()
    try:
        answer = egress.request_blocking(
            "GET" if told else "HEAD", told or spec.config["url"], timeout=TIMEOUT_SECONDS
        )
    except EgressError as exc:
        return Probed(fault=f"It does not answer: {exc}")
    if told and answer.status_code >= 400:
        return Probed(fault=f"Its health address answered {answer.status_code}.")
    return Probed(said="Its health address answers." if told else "Its address answers.")
