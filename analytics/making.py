"""What a worker does for an export: reads the list by its maker's rights and writes the file."""

import gzip
import logging
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.utils import timezone

from analytics.models import Export, ExportPart
from controlplane.kit import background
from controlplane.kit.errors import as_domain_error
from controlplane.kit.exporting import Listing, listing_of
from projects.people import User

logger = logging.getLogger(__name__)
PART_BYTES = 1024 * 1024
COMPRESSION = 4
MOST_ATTEMPTS = 3
# The engine works in the same process: between pieces the others get their turn.
PAUSE_SECONDS = 0.002
SAY_EVERY_SECONDS = 1.0
CRASHED = "The export was interrupted three times and is given up."
FAULT = "The export failed; our log says why. Try again, or narrow the list."
NOBODY = "Whoever asked for this may not sign in any more."


class LostError(Exception):
    """The export was deleted meanwhile."""


class StoppedError(Exception):
    """This process is to end; another one makes the export."""


def make(export_id: UUID) -> bool:
    """Make the file of an export, unless somebody does already; whether it was made or given up.

    After a crash it begins anew, so that the file shows one moment; after three it is given up.
    """
    with background.alone(export_id) as is_mine:
        export = Export.objects.select_related("project").filter(pk=export_id).first()
        if not is_mine or export is None or not export.is_open:
            return False
        try:
            return _make(export)
        except LostError:
            logger.info("export %s was deleted while it was made", export_id)
        except DatabaseError:
            # The row stays as it is: the ticker rings again, and the next attempt may do better.
            logger.exception("export %s was broken off", export_id)
        return False


def _make(export: Export) -> bool:
    export.attempt += 1
    if export.attempt > MOST_ATTEMPTS:
        _end(export, "failed", error=CRASHED)
        return True
    export.parts.all().delete()
    _say(export, status="running", attempt=export.attempt, rows=0, started_at=timezone.now())
    try:
        _write(export)
    except StoppedError:
        _say(export, status="queued", attempt=export.attempt - 1)
        return False
    except (LostError, DatabaseError):
        raise
    except Exception as exc:
        refusal = as_domain_error(exc)
        if refusal is None:
            logger.exception("export %s failed", export.pk)
        _end(export, "failed", error=refusal.message[:500] if refusal else FAULT)
    return True


def _write(export: Export) -> None:
    user = User.objects.acting(export.requested_by_id, export.key_id)
    if user is None:
        _end(export, "failed", error=NOBODY)
        return
    listing = listing_of(
        export.path, kind=export.format, user=user, project=export.project, query=export.query
    )
    export.rows, export.size_bytes = 0, 0
    _say(export, total=listing.rows().order_by().count())
    for number, part in enumerate(_parts(export, listing), start=1):
        export.size_bytes += len(part)
        content = gzip.compress(part, COMPRESSION)
        with transaction.atomic():
            _say(export, rows=export.rows, size_bytes=export.size_bytes)
            ExportPart.objects.create(export=export, number=number, content=content)
    _end(export, "done", rows=export.rows, size_bytes=export.size_bytes)


def _parts(export: Export, listing: Listing) -> Iterator[bytes]:
    """The file in parts of about a megabyte."""
    part = bytearray()
    for piece in _pieces(export, listing):
        part += piece
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _pieces(export: Export, listing: Listing) -> Iterator[bytes]:
    file = listing.file()
    yield file.head()
    said = time.monotonic()
    # Outside of a transaction, so that progress is seen; the cursor still sees one moment.
    for rows in listing.values():
        if background.stopping.is_set():
            raise StoppedError
        yield file.rows(rows)
        export.rows += len(rows)
        if time.monotonic() - said > SAY_EVERY_SECONDS:
            _say(export, rows=export.rows)
            said = time.monotonic()
        time.sleep(PAUSE_SECONDS)
    yield from file.end()


def _say(export: Export, **facts: Any) -> None:
    """How far it is; LostError where there is no such export any more."""
    if not Export.objects.filter(pk=export.pk).update(**facts, updated_at=timezone.now()):
        raise LostError


def _end(export: Export, status: str, **facts: Any) -> None:
    with transaction.atomic():
        _say(export, status=status, ended_at=timezone.now(), **facts)
        if status == "failed":
            ExportPart.objects.filter(export=export.pk).delete()
