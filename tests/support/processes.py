"""Checks that run concurrently, each in its own copy of the test process."""

import gc
import multiprocessing as mp
import os
import traceback
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess


def failures_in_processes(checks: Mapping[str, Callable[[], None]], concurrent: int) -> dict[str, str]:
    """Runs each check in a forked process, at most `concurrent` at a time; returns the tracebacks of those that raised.

    For checks that change the code of their process and mostly wait.
    """
    waiting, failures = list(checks.items()), dict[str, str]()
    running: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < concurrent:
                name, check = waiting.pop(0)
                result, process = _start(check)
                running[result] = name, process
            for result in [each for each in wait(list(running)) if isinstance(each, Connection)]:
                name, process = running.pop(result)
                try:
                    text = result.recv()
                except EOFError:
                    text = "the process died"
                result.close()
                process.join()
                if text:
                    failures[name] = text
    finally:
        for _, process in running.values():
            process.kill()
            process.join()
    return failures


def _start(check: Callable[[], None]) -> tuple[Connection, BaseProcess]:
    """Starts a process; the connection gives the traceback of the check, empty if it succeeded."""
    ours, theirs = mp.Pipe(duplex=False)
    process = mp.get_context("fork").Process(target=_report, args=(check, theirs))
    with warnings.catch_warnings():
        # Python warns of locks that other threads hold. Here these are threads of pytest plugins, which the check does not use.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()
    return ours, process


def _report(check: Callable[[], None], result: Connection) -> None:
    gc.freeze()  # collections neither visit nor copy the objects of the test process
    try:
        check()
    except BaseException:  # noqa: BLE001  reported to the test
        result.send(traceback.format_exc())
    else:
        result.send("")
    os._exit(0)  # no clean-up of the test process in its copy
