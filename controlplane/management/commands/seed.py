"""`manage.py seed --runs N`: many plausible ended runs of the last 90 days, for trying the product
at size. All in SQL; nothing of it is ever executed."""

import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone

from controlplane.seeding import house, statements
from projects.models import Environment, Project

BATCH = 50_000
DAYS = 90
# The longest seeded run lasts 9 minutes, and all have ended.
YOUNGEST = timedelta(minutes=10)
MOST_RUNS = 10_000_000
RUNS_WITH_CALLS = 100_000
RUNS_WITH_EVENTS = 400
FEWEST_WITH_STEPS = 500
# Of twenty runs, how many are in the last, the middle and the first environment.
PLACES = (13, 4, 3)


class Command(BaseCommand):
    """Make runs with their costs and tags; the newest also with steps, calls, events and logs."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many, and where."""
        parser.add_argument("--runs", type=int, required=True, help="how many runs to make")
        parser.add_argument(
            "--project", default=None,
            help=f"slug of an existing project; without it {house.PROJECT}, made if need be",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Make them, in batches that are committed one by one."""
        total = options["runs"]
        if not 0 < total <= MOST_RUNS:
            raise CommandError(f"--runs is a number from 1 to {MOST_RUNS:,}.")
        began = time.monotonic()
        with transaction.atomic():
            project = self._project(options["project"])
            workflows = house.furnish(project)
        if not workflows:
            raise CommandError(f"{project} has none of the seed's workflows released.")
        house.lay_out(project, workflows)
        with_calls = min(total, RUNS_WITH_CALLS)
        self._runs(project, total, with_calls)
        self._parts(project, total, with_calls)
        self._tidy()
        seconds = time.monotonic() - began
        self.stdout.write(f"{total:,} runs in the project {project.slug} in {seconds:.1f} s.")

    def _project(self, slug: str | None) -> Project:
        if slug is None:
            return house.new_project()
        project = Project.objects.filter(slug=slug, deleted_at=None).first()
        if project is None:
            raise CommandError(f"There is no project {slug}.")
        return project

    def _runs(self, project: Project, total: int, with_calls: int) -> None:
        owner = house.owner_of(project)
        environments = Environment.objects.filter(project=project).order_by("-rank")
        chosen = [
            e.pk for e, count in zip(environments, PLACES, strict=False) for _ in range(count)
        ]
        facts = {
            "project": project.pk, "total": total, "until": timezone.now() - YOUNGEST,
            "environments": chosen, "seconds": DAYS * 86_400.0, "user": owner.pk,
            "user_name": owner.name, "with_calls": with_calls,
        }  # fmt: skip
        for first in range(1, total + 1, BATCH):
            last = min(total, first + BATCH - 1)
            self._execute(statements.RUNS, {**facts, "first": first, "last": last})
            self.stdout.write(f"{last:,} of {total:,} runs")

    def _parts(self, project: Project, total: int, with_calls: int) -> None:
        """Steps of the newest hundredth, calls of a larger part, events of a few hundred."""
        with_steps = min(total, max(FEWEST_WITH_STEPS, total // 100))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE seed_newest")
        for name, runs in (
            ("STEPS", with_steps),
            ("MODEL_CALLS", with_calls),
            ("TOOL_CALLS", with_calls),
            ("EVENTS", min(with_steps, RUNS_WITH_EVENTS)),
            ("LOG_LINES", min(with_steps, RUNS_WITH_EVENTS)),
        ):
            self._execute(getattr(statements, name), {"project": project.pk, "runs": runs})

    def _execute(self, sql: str, facts: dict[str, Any]) -> None:
        """One statement, one commit."""
        with transaction.atomic(), connection.cursor() as cursor:
            # The disk need not be waited for after each batch; lost ones are made again.
            cursor.execute("SET LOCAL synchronous_commit = off")
            cursor.execute("SET LOCAL work_mem = '128MB'")
            cursor.execute(sql, facts)

    def _tidy(self) -> None:
        """Let the planner know, and index-only scans be possible at once."""
        verb = "ANALYZE" if connection.in_atomic_block else "VACUUM (ANALYZE)"
        with connection.cursor() as cursor:
            for table in statements.WRITTEN:
                cursor.execute(f"{verb} {table}")
