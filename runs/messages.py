"""What people and other systems tell a run that waits: signals and answers."""

from typing import Any

from controlplane.kit import audit, schemas
from controlplane.kit.errors import InvalidInput, InvalidTransition
from runs import statements as sql
from runs.lifecycle import Ledger, read_rows
from runs.models import Run, Signal, Step
from runs.placing import graph_at
from runs.rows import LockedRun
from runs.services import change
from runs.starting import graph_of
from workflows.models import WorkflowVersion

LONGEST_SIGNAL_NAME = 100


def signal(run: Run, name: str, body: Any, *, actor: Any) -> None:
    """Send a message to a run. One that no step waits for yet is kept; 409 where the run has
    ended."""
    if not 0 < len(name) <= LONGEST_SIGNAL_NAME:
        message = f"A signal's name has 1 to {LONGEST_SIGNAL_NAME} characters."
        raise InvalidInput.of("name", message)

    def verb(ledger: Ledger, locked: LockedRun) -> set[str]:
        if locked.is_terminal or locked.end_status:
            raise InvalidTransition("The run has ended; nobody would hear it.", code="run_ended")
        Signal.objects.create(run_id=locked.id, name=name, body=body)
        after = {"signal": name}
        audit.record(
            "run.signalled", actor=actor, project_id=locked.project_id, target=run, after=after
        )
        # A step that is about to wait finds it, or the sweep does.
        waiting = read_rows(ledger.conn, sql.WAITING_FOR_SIGNAL, [locked.id, name])
        return ledger.resume_steps(locked, [row["id"] for row in waiting], {})

    change(run.pk, verb)


def answer(run: Run, step: Step, answers: Any, *, actor: Any) -> None:
    """A person's answers to a form; 422 where they do not fit its schema, 409 where it does not
    wait for any."""
    version = WorkflowVersion.objects.get(pk=run.workflow_version_id)
    node = graph_at(graph_of(version), step.path).nodes[step.node]
    if node.kind != "form":
        raise InvalidTransition("This step is no form.", code="not_a_form")
    if faults := schemas.faults(node.fields["schema"], answers):
        raise InvalidInput(faults[0].message, errors=faults)

    def verb(ledger: Ledger, locked: LockedRun) -> set[str]:
        queues = ledger.resume_steps(locked, [step.pk], {"answers": answers})
        if not queues:
            raise InvalidTransition("This form does not wait for answers.", code="not_waiting")
        after = {"step": step.node}
        audit.record(
            "run.answered", actor=actor, project_id=locked.project_id, target=run, after=after
        )
        return queues

    change(run.pk, verb)
