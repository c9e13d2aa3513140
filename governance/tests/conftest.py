"""Approvals to try: asked as the engine asks, and a list of what the signal said."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controlplane.kit.ids import uuid7
from governance import approvals
from governance.models import Approval
from governance.signals import approval_decided
from projects.models import Project

ARGUMENTS = {"to": "ops@example.com", "amount": 12.5}


@pytest.fixture
def ask(project: Project) -> Callable[..., Approval]:
    """`ask(title="Send it?", quorum=2, …)`: a question of a step of some run."""

    def make(**fields: Any) -> Approval:
        facts = {
            "project_id": project.pk,
            "run_id": uuid7(),
            "step_id": uuid7(),
            "subject": "step",
            "title": "Send it?",
            "packet": {"show": "Take an umbrella."},
            "arguments": ARGUMENTS,
        }
        return approvals.request(**{**facts, **fields})

    return make


@pytest.fixture
def told() -> Iterator[list[Approval]]:
    """The approvals that the signal told of, in order."""
    heard: list[Approval] = []

    def hear(approval: Approval, **kwargs: Any) -> None:
        heard.append(approval)

    approval_decided.connect(hear, weak=False)
    yield heard
    approval_decided.disconnect(hear)
