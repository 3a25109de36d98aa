"""Crash of a node: some faults end the whole node, as a bug ends the process of a real node."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_CODE = 2


def _exit() -> None:
    os._exit(EXIT_CODE)


_handlers: list[Callable[[], None]] = [_exit]


def crash() -> None:
    """Ends the node: by default its process; inside `crash_handler` the handler ends it."""
    _handlers[-1]()


@contextmanager
def crash_handler(handler: Callable[[], None]) -> Iterator[None]:
    """While the block runs, `crash` calls this handler, for nodes that share their process with the tester."""
    _handlers.append(handler)
    try:
        yield
    finally:
        _handlers.remove(handler)
