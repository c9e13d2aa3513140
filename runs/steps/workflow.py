"""workflow: a run of another workflow, waited for or left to itself."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid5

from controlplane.kit.errors import DomainError, InvalidInput
from projects.models import Environment
from runs import services
from runs.calls import EFFECT_NAMESPACE, key_base
from runs.models import Run
from runs.reading import returning_connection
from runs.starting import CHILD_KEYS, StartRequest
from runs.states import Relation, RunStatus
from runs.work import Done, StepFailed, StepWork, Waits
from workflows.graph import render_fields
from workflows.models import Workflow

MOST_NESTED = 10


def work(step: StepWork) -> Done | Waits:
    """The output of the run it started; fails as that run did. Without `wait` {run}: its id."""
    return returning_connection(lambda: _work(step))


def _work(step: StepWork) -> Done | Waits:
    fields = render_fields(step.node, step.context)
    if step.state.get("run"):
        return _outcome(step, Run.objects.get(pk=step.state["run"]))
    step.input = {"workflow": fields["workflow"], "input": fields["input"]}
    run = _start(step, fields)
    if not fields["wait"]:
        return Done(output={"run": str(run.pk)})
    return _wait(step, run)


def _start(step: StepWork, fields: dict[str, Any]) -> Run:
    """Start the run, or find the one this same attempt has started before a crash."""
    mine, pinned = step.run, step.run.pins["workflows"][fields["workflow"]]
    depth = mine.pins.get("depth", 0) + 1
    if depth > MOST_NESTED:
        message = f"Workflows are nested at most {MOST_NESTED} deep."
        raise StepFailed(message, code="too_deep", is_retryable=False)
    known = Workflow.objects.select_related("project", "released")
    workflow = known.filter(pk=pinned["workflow"], deleted_at=None).first()
    if workflow is None:
        message = f"The workflow {fields['workflow']} does not exist any more."
        raise DomainError(message, code="workflow_missing")
    request = StartRequest(
        workflow=workflow,
        environment=Environment.objects.get(pk=mine.environment_id),
        input=fields["input"],
        version=pinned["number"],
        trigger="workflow",
        tags=mine.tags,
        priority=mine.priority,
        idempotency_key=f"{CHILD_KEYS}{step.id}:{step.attempt - step.crash_count}",
        parent=Run.objects.only("pk", "root_id").get(pk=mine.id),
        relation=Relation.CHILD,
        simulated=mine.simulated,
        # A retry of this run finds the keys of the calls its sub-workflow made.
        root_id=uuid5(EFFECT_NAMESPACE, key_base(step)),
        depth=depth,
    )
    who = {"type": mine.started_by_type, "id": mine.started_by_id, "name": mine.started_by_name}
    try:
        return services.start(request, actor=who)[0]
    except InvalidInput as exc:
        said = "; ".join(f"{fault.field}: {fault.message}" for fault in exc.errors[:3])
        message = f"{fields['workflow']} does not take this input: {said or exc.message}"
        raise StepFailed(message, code=exc.code, is_retryable=False) from None


def _wait(step: StepWork, run: Run) -> Waits:
    seconds = step.node.timeout_seconds
    until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    return Waits("child", until=until, state={"run": str(run.pk)})


def _outcome(step: StepWork, run: Run) -> Done | Waits:
    if run.status == RunStatus.SUCCEEDED:
        return Done(output=run.output)
    if not run.is_terminal:
        if step.state.get("is_due"):
            message = "The sub-workflow took longer than the step's timeout."
            raise StepFailed(message, code="timeout")
        return Waits("child", state={"run": str(run.pk)})
    error = run.error or {}
    said = error.get("message") or run.reason or run.status
    where = f" at {error['node']}" if error.get("node") else ""
    details = {"run": str(run.pk), **error}
    raise StepFailed(
        f"The sub-workflow has {_ended(run.status)}{where}: {said}",
        code=f"child_{run.status}",
        details=details,
    )


def _ended(status: str) -> str:
    return {"timed_out": "timed out", "cancelled": "been cancelled"}.get(status, status)


def is_instant(step: StepWork) -> bool:
    """A run is written to the database."""
    return False
