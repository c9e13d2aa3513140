"""What can be done to many runs at once."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from controlplane.kit.bulk import Act, Bulk
from controlplane.kit.bulk_acts import TagsForm, tags_after
from controlplane.kit.errors import DomainError, InvalidTransition
from runs import queues, removal, services, tagging
from runs.filters import RunFilter
from runs.models import Effect, Run, Step
from runs.states import RUN_TERMINAL, RunStatus, StepStatus

ENDED = Q(status__in=[str(status) for status in RUN_TERMINAL])
# Sets that are read once, not asked for at each row.
UNRESOLVED = Q(pk__in=Effect.objects.filter(state=Effect.State.UNKNOWN).values("run_id"))
LIVE_TREE = Q(root_id__in=Run.objects.filter(status__in=removal.ALIVE).values("root_id"))
PARKED = Q(pk__in=Step.objects.filter(status=StepStatus.PARKED).values("run_id"))
STOPPING = Q(status=RunStatus.CANCELLING)
OVER = "It has ended already."
BEING_STOPPED = "It is being stopped."
PAUSED_ALREADY = "It is paused already."
TIED = "A run that hangs together with it goes on."
ASKED = "A call of it may or may not have happened; resolve it first."
GOING_ON = "It has not ended."
NOTHING_FAILED = "It succeeded: there is nothing to retry."


def _cancel(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    if run.status == RunStatus.CANCELLING:
        raise InvalidTransition(BEING_STOPPED)
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


def _pause(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    if run.status == RunStatus.PAUSED:
        raise InvalidTransition(PAUSED_ALREADY)
    services.pause(run, actor=actor)


def _resume(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    services.resume(run, actor=actor)


def _replay(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    queues.replay(run, actor=actor)


def _tag(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    tagging.retag(run, tags_after(run.tags, options), actor=actor)


def _delete(run: Run, actor: Any, options: Mapping[str, Any]) -> None:
    removal.delete(run, actor=actor)


class RunBulk(Bulk):
    """Retrying, replaying, pausing, resuming, tagging, cancelling, deleting."""

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
            "replay",
            "Replay",
            "retry",
            _replay,
            done="replayed",
            icon="refresh",
            refusals=(
                ("It has ended: retry it instead.", ENDED),
                (BEING_STOPPED, STOPPING),
                ("No step of it is parked.", ~PARKED),
            ),
            note="Their parked steps go back into the queues, with their crashes forgiven.",
        ),
        Act(
            "pause",
            "Pause",
            "pause",
            _pause,
            done="paused",
            icon="player-pause",
            refusals=(
                (OVER, ENDED),
                (BEING_STOPPED, STOPPING),
                (PAUSED_ALREADY, Q(status=RunStatus.PAUSED)),
            ),
            note="Nothing new starts in them until they are resumed; what runs, finishes.",
        ),
        Act(
            "resume",
            "Resume",
            "resume",
            _resume,
            done="resumed",
            icon="player-play",
            refusals=((OVER, ENDED), ("It is not paused.", ~Q(status=RunStatus.PAUSED))),
            note="What was ready when they were paused, starts.",
        ),
        Act(
            "tags",
            "Edit tags",
            "change",
            _tag,
            done="changed",
            icon="tag",
            refusals=((GOING_ON, ~ENDED),),
            form_class=TagsForm,
            note="Only runs that have ended: rules may go by the tags of the others.",
        ),
        Act(
            "cancel",
            "Cancel",
            "cancel",
            _cancel,
            done="cancelled",
            icon="ban",
            danger=True,
            refusals=((OVER, ENDED), (BEING_STOPPED, STOPPING)),
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
