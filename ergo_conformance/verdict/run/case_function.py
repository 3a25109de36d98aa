"""The function of a case: its arguments, and exceptions that would end a session, a thread or a loop instead of the case."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from ...peers.violation import ViolationError
from .context import Context, SkippedError
from .interruption import RunInterrupted

CONTEXT: Final = "ergo_context"
"""Name of the fixture in whose place a coroutine case gets its context."""


class CaseRaisedError(Exception):
    """The case raised what does not end a case in Python: SystemExit, KeyboardInterrupt, `pytest.exit` and the like."""


def converted(error: BaseException) -> Exception:
    """The exception that stands for the end of one case: pytest's outcomes, exits and interrupts are converted."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case pytest.skip.Exception():
            return SkippedError(str(error.msg) or "skipped")
        case pytest.fail.Exception():
            return ViolationError(str(error.msg) or "pytest.fail()")
        case pytest.exit.Exception():
            return CaseRaisedError(f"the case called pytest.exit({error.msg!r})")
        case Exception():
            return error
        case _:
            return CaseRaisedError(f"the case raised {error!r}")


def parameters_of(item: pytest.Function) -> dict[str, Any]:
    """The parameters that the function of an item takes; plugins add others, which are for their fixtures."""
    given: Mapping[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    taken = inspect.signature(item.obj).parameters
    return {name: value for name, value in given.items() if name in taken}


def fixtures_of(item: pytest.Function) -> tuple[str, ...]:
    """Names of the fixtures, other than the context, whose values the function of an item takes as arguments."""
    names = [name for name in item._fixtureinfo.argnames if name != CONTEXT]  # noqa: SLF001  as pytest does
    return tuple(name for name in names if item.session._fixturemanager.getfixturedefs(name, item))  # noqa: SLF001  pytest has no public way


async def call_coroutine(function: Callable[..., Any], context: Context, arguments: Mapping[str, Any]) -> None:
    """Calls the function of a coroutine case. Whatever it raises by itself is an Exception."""
    try:
        await function(context, **arguments)
    except BaseException as error:
        task = asyncio.current_task()
        cancelled = task is not None and task.cancelling() and not isinstance(error, Exception)
        if cancelled or isinstance(error, RunInterrupted):
            raise  # the runner cancelled it, or a signal interrupted the run
        found = converted(error)
        if found is error:
            raise
        raise found from error


def call(function: Callable[..., object], arguments: Mapping[str, Any]) -> Exception | None:
    """Calls the function of a case that is no coroutine; returns what it raised. An interrupt of the run gets through."""
    try:
        function(**arguments)
    except RunInterrupted:
        raise
    except BaseException as error:  # noqa: BLE001  it is judged
        return converted(error)
    return None
