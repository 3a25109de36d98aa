"""What the long-running verbs say on stderr while they run."""

import datetime as dt
import json
import logging
import sys
from enum import StrEnum
from typing import Final

LOGGER: Final = "ergo_conformance"
TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s %(message)s"


class Level(StrEnum):
    """From how important on."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """Lines to read, or one JSON object per line."""

    TEXT = "text"
    JSON = "json"


class JsonFormatter(logging.Formatter):
    """One object per line: time (UTC, RFC 3339), level, logger, message; `exception` if there is one."""

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
        return json.dumps(line, ensure_ascii=False)


def set_up(level: Level, style: Format) -> None:
    """Sends what this package logs to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style is Format.JSON else logging.Formatter(TEXT))
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level.value.upper())
    logger.propagate = False
