"""Log lines of the long-running verbs: text that peers choose can't forge lines or control a terminal."""

import json
import logging
import sys

import pytest

from ergo_conformance.cli.logs import LOGGER, JsonFormatter, TextFormatter

HOSTILE = "a\x1b[31m\r\nERROR forged\u2028\x9b2J\udc80"
formatters = pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])


def record(message: str, *arguments: str) -> logging.LogRecord:
    """Returns a record with the exception that is being handled. It is not logged: pytest can't report such text."""
    exception = sys.exc_info()
    return logging.LogRecord(LOGGER, logging.INFO, __file__, 1, message, arguments, exception if exception[0] else None)


@formatters
def test_a_record_is_one_printable_line(formatter: logging.Formatter) -> None:
    (line,) = formatter.format(record("closed %s: %s", HOSTILE, HOSTILE)).splitlines()
    assert "forged" in line
    assert line.isprintable()
    assert line.isascii()


@formatters
def test_no_line_of_an_exception_is_forged(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        text = formatter.format(record("process ended"))
    first, *others = text.splitlines()
    assert "process ended" in first
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    if not others:
        assert "forged" in json.loads(first)["exception"]
