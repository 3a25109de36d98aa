"""The verb `mutants`: selects and executes a kill matrix, and reports it."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from types import FrameType

from ...errors import UsageError, suggestion
from ...locate import suite_paths
from ..reports.console import make_console
from ..run.collected_case import CollectedCase
from ..run.collection import collect_cases, matches
from ..run.registration import certificate
from .json_report import report_files, to_json
from .options import MutantsOptions
from .plan import PlannedRun, Selection, mutants_named, plan
from .processes import execute
from .result import EXIT_NOTHING, Matrix
from .terminal_report import MatrixTerminalReport
from .without_mutant import WITHOUT_MUTANT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedBySignal(BaseException):
    """A signal ends the matrix."""


def run_matrix(options: MutantsOptions) -> int:
    """Executes the matrix that the options select; returns the exit code. UsageError for an option that is not valid."""
    options.check()
    files = report_files(options.report)
    mutants = mutants_named(options.names)
    suite_paths(options.suite)
    cases = collect_cases()
    selection = Selection(
        tuple(mutants),
        tuple(_chosen(cases, options.suite, options.case)),
        all_cases=options.all_cases,
        narrowed=options.all_cases or bool(options.suite or options.case),
        lists_missing=bool(not options.names or options.suite or options.case),
    )
    runs = plan(selection, cases)
    matrix = Matrix(selection, cases, runs, WITHOUT_MUTANT)
    if not runs:
        print("no mutant declares a selected case: nothing was run")  # noqa: T201  no report prints it
        return EXIT_NOTHING
    report = MatrixTerminalReport(make_console(), verbose=bool(options.names) or options.all_cases or options.verbose)
    _execute(matrix, runs, options.jobs, report)
    for path in files:
        try:
            path.write_text(to_json(matrix), encoding="utf-8")
        except OSError as error:
            matrix.errors.append(f"--report json={path}: {error.strerror}")
    report.finished(matrix)
    return matrix.exit_code


def _chosen(
    cases: Mapping[str, CollectedCase], suites: Sequence[str], patterns: Sequence[str]
) -> Iterator[CollectedCase]:
    for pattern in patterns:
        if not any(matches(id_, pattern) for id_ in cases):
            raise UsageError(f"unknown case {pattern!r}{suggestion(pattern, list(cases))}")
    for case in cases.values():
        if (not suites or case.suite in suites) and (not patterns or any(matches(case.id, each) for each in patterns)):
            yield case


def _execute(matrix: Matrix, runs: Sequence[PlannedRun], jobs: int, report: MatrixTerminalReport) -> None:
    """Executes the runs until the last has ended, or a signal comes."""
    certificate()  # loads the TLS libraries, which would delay the first live case
    started = time.monotonic()
    report.started(runs)
    try:
        with _signals(), closing(execute(runs, jobs)) as events:
            for event in events:
                matrix.add(event)
                report.add(event, matrix)
    except InterruptedBySignal:
        matrix.interrupted = True
    finally:
        matrix.seconds = time.monotonic() - started
        report.close()


@contextmanager
def _signals() -> Iterator[None]:
    """Turns the first signal of SIGNALS into InterruptedBySignal; a second one has its former effect."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  as `signal` calls it
        restore()
        raise InterruptedBySignal

    before = {each: signal.signal(each, interrupt) for each in SIGNALS}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        yield
    finally:
        restore()
