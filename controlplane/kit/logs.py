"""Log lines: one JSON object a line, with the request and run ids bound to the context."""

import logging

import structlog

from controlplane.kit.json import dumps


class LineFormatter(logging.Formatter):
    """Formats records as JSON lines with the bound context variables."""

    def format(self, record: logging.LogRecord) -> str:
        """One line: time, level, logger, message, bound ids, and the traceback where there is."""
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **structlog.contextvars.get_contextvars(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return dumps(line).decode()
