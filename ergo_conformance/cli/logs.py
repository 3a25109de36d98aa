"""Logging of the long-running verbs to stderr."""

import datetime as dt
import json
import logging
import sys
from enum import StrEnum
from typing import Any, Final

from ..model.text import escape

LOGGER: Final = "ergo_conformance"
TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s %(message)s"


class LogLevel(StrEnum):
    """Lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Lines of text, or one JSON object for each line."""

    TEXT = "text"
    JSON = "json"


class TextFormatter(logging.Formatter):
    """Formats a record as one line, and an exception as indented lines. Peers choose parts of both: they are escaped."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  a method of logging.Formatter
        record.message = escape(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  a method of logging.Formatter
        return "\n".join(f"    {escape(line)}" for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time (UTC, RFC 3339), level, logger, message, and `exception` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        time = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # ASCII: no terminal or viewer takes a code of the text for its own


def set_up(level: LogLevel, style: LogFormat) -> None:
    """Logs messages of this package to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style is LogFormat.JSON else TextFormatter())
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level.value.upper())
    logger.propagate = False
