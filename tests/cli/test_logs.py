"""Log lines of the long-running verbs: text that peers choose can't forge lines or control a terminal."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from ergo_conformance.cli.logs import LOGGER, LogFormat, LogLevel, set_up

HOSTILE = "a\x1b[31m\r\nERROR forged\u2028\x9b2J\udc80"


@pytest.fixture(params=list(LogFormat))
def logged(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Yields what is logged in one format."""
    logger = logging.getLogger(LOGGER)
    before = logger.handlers[:], logger.level, logger.propagate
    set_up(LogLevel.INFO, request.param)
    out = io.StringIO()
    (handler,) = logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(out)
    yield out
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_record_is_one_printable_line(logged: io.StringIO) -> None:
    logging.getLogger(f"{LOGGER}.node").info("closed %s: %s", HOSTILE, HOSTILE)
    (line,) = logged.getvalue().splitlines()
    assert line.isprintable()
    assert "forged" in line
    assert line.isascii()


def test_no_line_of_an_exception_is_forged(logged: io.StringIO) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger(f"{LOGGER}.node").exception("process ended")
    first, *others = logged.getvalue().splitlines()
    assert "process ended" in first
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    if not others:
        assert "forged" in json.loads(first)["exception"]
