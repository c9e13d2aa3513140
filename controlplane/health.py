"""Is this process alive, and is it ready to serve?"""

import redis
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from controlplane.kit import queue


@login_not_required
def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


# Latched: once a worker has been seen, later loss of workers shows on the status page only.
_seen_worker = False


def _worker_seen() -> bool:
    global _seen_worker
    if not _seen_worker:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM instance WHERE state IN ('ready', 'busy')"
                " AND last_heartbeat_at > now() - interval '10 s')"
            )
            _seen_worker = cursor.fetchone()[0]
    return _seen_worker


@login_not_required
def ready(request: HttpRequest) -> JsonResponse:
    """200 when the database and Redis answer and, since the start, one worker has; else 503."""
    checks = {"database": "ok", "redis": "ok", "worker": "ok"}
    try:
        if not _worker_seen():
            checks["worker"] = "none yet"
    except DatabaseError as exc:
        checks["database"] = type(exc).__name__
    try:
        queue.connection().ping()
    except redis.RedisError as exc:
        checks["redis"] = type(exc).__name__
    well = all(value == "ok" for value in checks.values())
    body = {"status": "ok" if well else "unavailable", "checks": checks}
    return JsonResponse(body, status=200 if well else 503)
