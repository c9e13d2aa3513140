"""Carries out bulk verbs: each row in a transaction of its own together with the place reached, so
that a job broken off at any moment goes on with the next row."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.contrib.auth import get_user_model
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from controlplane.kit import audit, background, bulk
from controlplane.kit.errors import InvalidInput, InvalidTransition, as_domain_error
from controlplane.kit.json import dumps
from controlplane.kit.models import BulkJob
from controlplane.kit.permissions import permission_name

logger = logging.getLogger(__name__)
Status = BulkJob.Status
CHUNK = 200
MOST_REFUSALS_KEPT = 200
# How long a job may stand still before somebody is rung for it.
SILENT_SECONDS = 4
KEPT_DAYS = 30
# What differs from row to row is told beside the row, not counted as a reason of its own.
SUMMARIES = {"in_use": "Something still uses it."}
MOST_REASONS, OTHER = 50, "Other reasons"
BROKE = "This failed on our side; it has been written down."


def of_user(user: Any) -> QuerySet[BulkJob]:
    """The jobs a principal started; an API key sees its own only."""
    jobs = BulkJob.objects.filter(user_id=user.pk)
    return jobs.filter(key_id=user.api_key.pk) if user.api_key is not None else jobs


def start(
    table: str,
    action: str,
    selection: bulk.Selection,
    options: Mapping[str, Any],
    *,
    actor: Any,
    project_id: UUID | None = None,
    idempotency_key: str | None = None,
) -> tuple[BulkJob, bool]:
    """Begin a verb on many rows; small selections are done when this returns, others go on in the
    background. Returns the job, and False where its key has started it before."""
    declared = bulk.find(table)
    act = declared.act(action)
    kept = bulk.checked_options(act, options)
    count, exact = bulk.bounded_count(declared.chosen(actor, selection))
    wanted = [table, action, kept, selection.as_dict()]
    job = BulkJob(
        project_id=project_id,
        user_id=actor.pk,
        key_id=actor.api_key.pk if actor.api_key is not None else None,
        table=table,
        action=action,
        options=kept,
        selection=selection.as_dict(),
        total=_total(selection, count) if exact else None,
        idempotency_key=idempotency_key,
        request_sha256=hashlib.sha256(dumps(wanted)).hexdigest(),
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
    )
    if idempotency_key and (known := _started_before(job)):
        return known, False
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            after = {"action": action, "of": table, "rows": job.total, **job.selection}
            audit.record(
                "bulk.started", actor=actor, project_id=project_id, target=job, after=after
            )
            if job.total is None or job.total > bulk.AT_ONCE:
                transaction.on_commit(lambda: background.wake("carry_out", job.pk))
                return job, True
    except IntegrityError:
        if (known := _started_before(job)) is None:
            raise
        return known, False
    carry_out(str(job.pk))
    job.refresh_from_db()
    return job, True


def _total(selection: bulk.Selection, count: int) -> int:
    return count if selection.ids is None else len(selection.ids)


def _started_before(job: BulkJob) -> BulkJob | None:
    found = BulkJob.objects.filter(user_id=job.user_id, idempotency_key=job.idempotency_key).first()
    if found is not None and found.request_sha256 != job.request_sha256:
        raise InvalidInput(
            "This idempotency key was used for another request.", code="idempotency_key_reused"
        )
    return found


@transaction.atomic
def stop(job: BulkJob, *, actor: Any) -> BulkJob:
    """Leave the rows that were not reached yet as they are. 409 where the job has ended."""
    job = BulkJob.objects.select_for_update().get(pk=job.pk)
    if job.has_ended:
        raise InvalidTransition("All of it is done already.", code="job_ended")
    if not job.stop_requested:
        job.stop_requested = True
        job.save(update_fields=["stop_requested"])
        audit.record("bulk.stopped", actor=actor, project_id=job.project_id, target=job)
    return job


def ring_unfinished() -> int:
    """Ring for jobs nobody works on, and forget old reports; how many were rung for."""
    now = timezone.now()
    BulkJob.objects.filter(ended_at__lt=now - timedelta(days=KEPT_DAYS)).delete()
    silent = BulkJob.objects.filter(
        status__in=(Status.QUEUED, Status.RUNNING),
        updated_at__lt=now - timedelta(seconds=SILENT_SECONDS),
    )
    keys = list(silent.values_list("pk", flat=True)[:100])
    for key in keys:
        background.wake("carry_out", key)
    return len(keys)


def carry_out(job_id: str) -> None:
    """Go on with a job where it stands, unless somebody does already."""
    with background.alone(UUID(job_id)) as is_mine:
        job = BulkJob.objects.filter(pk=job_id).first()
        if not is_mine or job is None or job.has_ended:
            return
        with structlog.contextvars.bound_contextvars(request_id=job.request_id):
            _Carrier(job).run()


@dramatiq.actor(actor_name="carry_out", queue_name=background.QUEUE)
def carry_out_later(job_id: str) -> None:
    """Go on with a job."""
    try:
        carry_out(job_id)
    finally:
        connection.close()


class _Carrier:
    """One job in the hands of the one who carries it out."""

    def __init__(self, job: BulkJob) -> None:
        self.job = job
        self.bulk = bulk.find(job.table)
        self.act = self.bulk.act(job.action)
        self.selection = bulk.Selection.read(job.selection)
        self.detail = ""

    def run(self) -> None:
        """Row after row, until all are done, a stop is asked for, or the process ends."""
        job = self.job
        user = self.user()
        if user is None:
            job.error = "Whoever started this may not sign in any more."
            return self.end(Status.FAILED)
        if job.started_at is None:
            job.status, job.started_at = Status.RUNNING, timezone.now()
            if job.total is None:
                job.total = self.rows(user).count()
            self.save("status", "started_at", "total")
        while keys := list(self.rows(user).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
            user.forget_roles()
            if not self.work_through(keys, user):
                return None
            if BulkJob.objects.filter(pk=job.pk, stop_requested=True).exists():
                return self.end(Status.CANCELLED)
        if self.selection.ids is not None and job.total:
            self.count_missing(job.total - job.looked_at)
        return self.end(Status.SUCCEEDED)

    def user(self) -> Any:
        """Who started it, as they are now."""
        users: Any = get_user_model().objects
        return users.acting(self.job.user_id, self.job.key_id)

    def rows(self, user: Any) -> QuerySet:
        """What is chosen and not reached yet; what came later than the job is not meant."""
        rows = self.bulk.chosen(user, self.selection).filter(created_at__lte=self.job.created_at)
        return rows.filter(pk__gt=self.job.cursor) if self.job.cursor else rows

    def work_through(self, keys: Iterable[UUID], user: Any) -> bool:
        """Each row by itself; False where the process is to end."""
        for place, key in enumerate(keys):
            if background.stopping.is_set():
                return False
            if place % 10 == 9 and self.is_stopped():
                return True
            with transaction.atomic():
                row = self.bulk.rows(user).filter(pk=key).first()
                reason = self.attempt(row, user) if row is not None else bulk.GONE
                self.note(key, row, reason)
        return True

    def is_stopped(self) -> bool:
        """Whether a stop was asked for meanwhile."""
        return BulkJob.objects.filter(pk=self.job.pk, stop_requested=True).exists()

    def attempt(self, row: Any, user: Any) -> str | None:
        """Do it to one row; why not, or None."""
        self.detail = ""
        if not user.has_perm(permission_name(self.act.verb, self.bulk.model), row):
            return str(user.refusal(row))
        try:
            with transaction.atomic():
                self.act.perform(row, user, self.job.options)
        except (OperationalError, InterfaceError):
            raise  # The database, not the row: the job goes on when it is back.
        except Exception as exc:
            error = as_domain_error(exc)
            if error is None or error.status >= 500:
                logger.exception("bulk job %s failed at %s", self.job.pk, row.pk)
                return BROKE
            self.detail = error.message[:300]
            return SUMMARIES.get(error.code, self.detail)
        return None

    def note(self, key: UUID, row: Any, reason: str | None) -> None:
        """Write down how it went with one row, in its transaction."""
        job = self.job
        job.cursor = key
        if reason is None:
            job.done += 1
            return self.save("cursor", "done")
        job.refused += 1
        counted = reason if reason in job.reasons or len(job.reasons) < MOST_REASONS else OTHER
        job.reasons[counted] = job.reasons.get(counted, 0) + 1
        changed = ["cursor", "refused", "reasons"]
        if len(job.refusals) < MOST_REFUSALS_KEPT:
            job.refusals.append(
                {"id": str(key), "name": str(row or key), "reason": self.detail or reason}
            )
            changed.append("refusals")
        return self.save(*changed)

    def count_missing(self, missing: int) -> None:
        """Ids that stand for nothing the person may see."""
        if missing > 0:
            self.job.refused += missing
            self.job.reasons[bulk.GONE] = self.job.reasons.get(bulk.GONE, 0) + missing

    def end(self, status: str) -> None:
        """Nothing more will happen."""
        self.job.status, self.job.ended_at = status, timezone.now()
        self.save("status", "ended_at", "error", "refused", "reasons")

    def save(self, *names: str) -> None:
        """Write these columns and the sign of life."""
        self.job.save(update_fields=[*names, "updated_at"])
