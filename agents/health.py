"""Whether an agent is well, from four facts: pure, no ORM, no clock of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

Status = Literal["healthy", "degraded", "unhealthy", "idle"]
Mark = Literal["ok", "warning", "failing", "unknown"]
# The one threshold of heartbeats: silent for longer is dead.
SILENT_SECONDS = 8.0
OUTCOME_WINDOW = timedelta(minutes=15)
# Fewer calls than this say nothing about a rate.
FEW = 5
_ORDER: dict[Mark, int] = {"unknown": 0, "ok": 0, "warning": 1, "failing": 2}


@dataclass(frozen=True, slots=True)
class Objective:
    """What an agent should reach over the window: the share of good ends, p95 in ms or None."""

    success_rate: float = 0.95
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceFact:
    """One live instance: whether it runs the wanted version, and its last heartbeat."""

    last_heartbeat_at: datetime
    is_on_target: bool = True
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known. `is_deployed` False: nothing of its own runs, the shared pool does its work.
    `probe_fault`: what the probe found wrong, empty where all is well, None where none was made;
    `probe_said` what was answered.
    """

    is_enabled: bool
    is_deployed: bool
    wanted_instances: int
    instances: tuple[InstanceFact, ...]
    probe_fault: str | None
    ended: int
    succeeded: int
    p95_ms: float | None
    objective: Objective = Objective()
    probe_said: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One of the four facts, judged."""

    name: Literal["liveness", "readiness", "probe", "outcome"]
    mark: Mark
    message: str

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"name": self.name, "status": self.mark, "message": self.message}


def judge(facts: Facts, now: datetime) -> tuple[Status, list[Finding]]:
    """(status, the four findings). Idle: nothing wrong and nothing done in the window, or turned
    off; unhealthy: a fact fails; degraded: one warns."""
    findings = [_liveness(facts, now), _readiness(facts, now), _probe(facts), _outcome(facts)]
    worst = max(_ORDER[finding.mark] for finding in findings)
    if not facts.is_enabled:
        return "idle", findings
    if worst:
        return ("degraded" if worst == 1 else "unhealthy"), findings
    return ("healthy" if facts.ended else "idle"), findings


def _alive(facts: Facts, now: datetime) -> list[InstanceFact]:
    since = now - timedelta(seconds=SILENT_SECONDS)
    return [instance for instance in facts.instances if instance.last_heartbeat_at >= since]


def _liveness(facts: Facts, now: datetime) -> Finding:
    alive, known = len(_alive(facts, now)), len(facts.instances)
    if not facts.is_deployed and not facts.wanted_instances:
        return Finding("liveness", "unknown", "Works in the shared pool; nothing of its own runs.")
    if not known and not facts.wanted_instances:
        return Finding("liveness", "unknown", "Deployed without instances of its own.")
    if not alive and facts.wanted_instances:
        silent = f" {known} are silent." if known else ""
        return Finding("liveness", "failing", f"No instance gives a heartbeat.{silent}")
    if alive < known:
        return Finding("liveness", "warning", f"{known - alive} of {known} instances are silent.")
    return Finding("liveness", "ok", f"{alive} instances give heartbeats.")


def _readiness(facts: Facts, now: datetime) -> Finding:
    ready = [i for i in _alive(facts, now) if i.is_on_target and i.is_ready]
    wanted = facts.wanted_instances
    if not wanted:
        return Finding("readiness", "unknown", "No instances are wanted.")
    words = f"{len(ready)} of {wanted} wanted instances are ready on the target version."
    if not ready:
        return Finding("readiness", "failing", words)
    return Finding("readiness", "ok" if len(ready) >= wanted else "warning", words)


def _probe(facts: Facts) -> Finding:
    if facts.probe_fault is None:
        return Finding("probe", "unknown", "Not probed.")
    if facts.probe_fault:
        return Finding("probe", "failing", facts.probe_fault)
    words = f"The configuration can be used. {facts.probe_said}".strip()
    return Finding("probe", "ok", words)


def _outcome(facts: Facts) -> Finding:
    minutes = round(OUTCOME_WINDOW.total_seconds() / 60)
    if not facts.ended:
        return Finding("outcome", "unknown", f"Nothing ended in the last {minutes} minutes.")
    rate, goal = facts.succeeded / facts.ended, facts.objective
    words = f"{facts.succeeded} of {facts.ended} succeeded in the last {minutes} minutes"
    if rate < goal.success_rate:
        # Half the objective, or nothing at all that worked, is more than a dent.
        is_bad = facts.ended >= FEW and rate < goal.success_rate / 2
        mark: Mark = "failing" if is_bad else "warning"
        return Finding("outcome", mark, f"{words}; the objective is {goal.success_rate:.0%}.")
    if goal.p95_ms is not None and facts.p95_ms is not None and facts.p95_ms > goal.p95_ms:
        slow = f"{words}, p95 {facts.p95_ms:,.0f} ms; the objective is {goal.p95_ms:,.0f} ms."
        return Finding("outcome", "warning", slow)
    return Finding("outcome", "ok", f"{words}.")
