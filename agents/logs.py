"""What an instance wrote, read where this process can read it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from agents.drivers import ELSEWHERE
from agents.drivers.process import read_log
from agents.models import Instance


def tail(instance: Instance, lines: int) -> tuple[list[str], str]:
    """(the last lines, why there are none). Its deployment must be loaded."""
    driver = instance.deployment.driver if instance.deployment else "process"
    if driver in ELSEWHERE:
        return ELSEWHERE[driver].logs(instance, lines)
    return read_log(instance, lines)


def parsed(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Lines as components/_log_lines.html shows them; one that is no JSON of ours is shown as it
    is, with the time and level of the line before."""
    at: datetime | None = None
    level = "info"
    for line in lines:
        told: dict[str, Any] = {}
        with suppress(ValueError):
            found = json.loads(line)
            told = found if isinstance(found, dict) else {}
        with suppress(ValueError, TypeError):
            at = datetime.fromisoformat(told["at"]).replace(tzinfo=UTC) if "at" in told else at
        level = str(told.get("level", level))
        message = str(told.get("message", line))
        if "traceback" in told:
            message = f"{message}\n{told['traceback']}"
        source = str(told.get("logger", "")).rpartition(".")[2]
        yield {"at": at, "level": level, "step_name": source, "message": message}
