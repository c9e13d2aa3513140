"""approval: asks people and goes on with their word."""

from typing import Any

from governance import approvals
from governance.models import Approval
from runs.reading import returning_connection
from runs.work import Done, StepFailed, StepWork, Waits
from workflows.graph import render_fields


def work(step: StepWork) -> Done | Waits:
    """{approved, by, comment}. Rejected fails the step, unless an outgoing `when` asks about it."""
    if step.state.get("resumed") and step.state.get("approval"):
        return returning_connection(lambda: _decided(step))
    fields = render_fields(step.node, step.context)
    step.input = {"title": fields["title"], "show": fields["show"],
                  "arguments": fields["arguments"]}  # fmt: skip
    return returning_connection(lambda: _ask(step, fields))


def _ask(step: StepWork, fields: dict[str, Any]) -> Waits | Done:
    run = step.run
    starter = run.started_by_id if run.started_by_type == "user" else None
    approval = approvals.request(
        project_id=run.project_id,
        run_id=run.id,
        step_id=step.id,
        subject="step",
        title=fields["title"],
        packet={"show": fields["show"], "workflow": run.workflow, "environment": run.environment},
        arguments=fields["arguments"],
        quorum=fields["quorum"],
        due_seconds=fields["due_seconds"],
        on_timeout=fields["on_timeout"],
        assignees=fields["assignees"] or (),
        requested_by_id=starter,
        shape=f"{run.workflow_id}:{step.node.id}"[:200],
    )
    if not approval.is_pending:
        return _outcome(step, approval)
    return Waits(
        "approval",
        state={"approval": str(approval.pk)},
        approval_id=approval.pk,
        approval=approvals.event_data(approval),
    )


def _decided(step: StepWork) -> Waits | Done:
    approval = Approval.objects.get(pk=step.state["approval"])
    if approval.is_pending:
        return Waits("approval", state={"approval": str(approval.pk)}, approval_id=approval.pk)
    return _outcome(step, approval)


def _outcome(step: StepWork, approval: Approval) -> Done:
    word = approvals.outcome(approval)
    output = {"approved": word["approved"], "by": word["by"], "comment": word["comment"]}
    if approval.arguments is not None:
        output["arguments"] = word["arguments"]
    goes_on = approval.status == Approval.Status.EXPIRED and approval.on_timeout == "continue"
    if word["approved"] or goes_on or step.node.is_asked_about:
        return Done(output=output)
    if approval.status == Approval.Status.EXPIRED:
        raise StepFailed("Nobody decided in time.", code="expired", is_retryable=False)
    who = word.get("by_name") or "Somebody"
    message = f"{who} rejected it: {word['comment']}" if word["comment"] else f"{who} rejected it."
    raise StepFailed(message, code="rejected", is_retryable=False)


def is_instant(step: StepWork) -> bool:
    """The question is written to the database."""
    return False
