"""What can be done to many runs at once."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from controlplane.kit.bulk import Act, Bulk
from controlplane.kit.errors import DomainError, InvalidTransition
from runs import removal, services
from runs.filters import RunFilter
from runs.models import Effect, Run
from runs.states import RUN_TERMINAL, RunStatus

ENDED = Q(status__in=[str(status) for status in RUN_TERMINAL])
# Sets that are read once, not asked for at each row.
UNRESOLVED = Q(pk__in=Effect.objects.filter(state=Effect.State.UNKNOWN).values("run_id"))
LIVE_TREE = Q(root_id__in=Run.objects.filter(status__in=removal.ALIVE).values("root_id"))
TIED = "A run that hangs together with it goes on."
ASKED = "A call of it may or may not have happened; resolve it first."
GOING_ON = "It has not ended."
NOTHING_FAILED = "It succeeded: there is nothing to retry."


def _cancel(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    services.cancel(run, actor=actor)


def _retry(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    """From the failed steps; a run that was stopped before one failed, from the start."""
    if run.status == RunStatus.SUCCEEDED:
        raise InvalidTransition(NOTHING_FAILED)
    try:
        services.retry(run, actor=actor)
    except DomainError as error:
        if error.code != "nothing_failed":
            raise
        services.retry(run, actor=actor, start_from="start")


def _delete(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    removal.delete(run, actor=actor)


class RunBulk(Bulk):
    """Cancelling, retrying, deleting."""

    table = "runs"
    model = Run
    filterset_class = RunFilter
    acts = (
        Act(
            "retry",
            "Retry",
            "retry",
            _retry,
            done="retried",
            icon="rotate-clockwise",
            refusals=(
                (GOING_ON, ~ENDED),
                (NOTHING_FAILED, Q(status=RunStatus.SUCCEEDED)),
                (ASKED, UNRESOLVED),
            ),
            note="Each goes on from its failed steps as a new run; what succeeded is kept.",
        ),
        Act(
            "cancel",
            "Cancel",
            "cancel",
            _cancel,
            done="cancelled",
            icon="ban",
            danger=True,
            refusals=(("It has ended already.", ENDED),),
            note="Nothing new starts in them from now on; what runs is told to stop.",
        ),
        Act(
            "delete",
            "Delete",
            "delete",
            _delete,
            done="deleted for good",
            icon="trash",
            danger=True,
            refusals=((GOING_ON, ~ENDED), (TIED, LIVE_TREE), (ASKED, UNRESOLVED)),
            note="With their steps, logs and events, for good. This cannot be undone.",
        ),
    )

    def rows(self, user: Any) -> QuerySet:
        """With what the verbs read."""
        return Run.objects.visible_to(user).select_related("workflow", "environment")
