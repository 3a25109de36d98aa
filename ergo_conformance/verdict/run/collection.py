"""Collection and selection of the cases of the suites in this process, without a run."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest

from ...errors import ErgoConformanceError
from ...spec.requirements import STRICTNESS, RequirementLevel
from .collected_case import CollectedCase
from .options import SelectionOptions
from .pytest_arguments import clean_environment, environment_of_process, suite_arguments


class _Collector:
    """Plugin that keeps the collected functions, and the errors of suite files that could not be loaded."""

    def __init__(self) -> None:
        self.functions: list[pytest.Function] = []
        self.errors: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.functions = [item for item in session.items if isinstance(item, pytest.Function)]


def collect_cases(names: Sequence[str] = ()) -> dict[str, CollectedCase]:
    """Collects the cases of these suites by their ids; of all suites without a name.

    UsageError for an unknown suite; ErgoConformanceError if a file of a suite can't be loaded.
    """
    collector = _Collector()
    arguments = ["--collect-only", "--assert=plain", "-p", "no:terminal", *suite_arguments(names)]
    with environment_of_process(clean_environment()):
        code = pytest.main(arguments, [collector])
    if code != pytest.ExitCode.OK:
        raise ErgoConformanceError(
            "\n".join(collector.errors) or f"pytest ended with {code!r} at the collection of cases"
        )
    cases = [case for function in collector.functions if (case := CollectedCase.of(function)) is not None]
    return {case.id: case for case in cases}


def select(cases: Sequence[CollectedCase], options: SelectionOptions) -> list[CollectedCase]:
    """The cases that hold for the profile and have the level or a stricter one, in the order of a run.

    Golden cases run first: other work would delay the timers of live cases.
    """
    weakest = STRICTNESS.index(RequirementLevel(options.level.upper())) if options.level else len(STRICTNESS)
    selected = [case for case in cases if case.holds_for(options.profile) and STRICTNESS.index(case.level) <= weakest]
    return sorted(selected, key=lambda case: case.is_coroutine)


def matches(id_: str, pattern: str) -> bool:
    """Returns whether the id of a case is this one, or matches this pattern with the wildcards `*` and `?`."""
    return id_ == pattern or fnmatchcase(id_, pattern.replace("[", "[[]"))
