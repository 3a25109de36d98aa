"""Collection of the cases of the suites in this process, without a run."""

from collections.abc import Sequence

import pytest

from ...errors import ErgoConformanceError
from ...locate import suites
from .collected_case import CollectedCase


class _Collector:
    """Plugin that keeps the collected cases."""

    def __init__(self) -> None:
        self.cases: list[CollectedCase] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        functions = [item for item in session.items if isinstance(item, pytest.Function)]
        self.cases = [case for item in functions if (case := CollectedCase.of(item)) is not None]


def collect_cases(names: Sequence[str]) -> dict[str, CollectedCase]:
    """Collects the cases of these suites by their ids, with pytest in this process. ErgoConformanceError if that fails."""
    collector = _Collector()
    root = suites()
    options = ["--collect-only", "--assert=plain", "-p", "no:terminal"]
    paths = [str(root / name) for name in names]
    code = pytest.main(["-c", str(root / "pytest.ini"), "--rootdir", str(root), *options, *paths], [collector])
    if code != pytest.ExitCode.OK:
        raise ErgoConformanceError(f"pytest ended with {code!r} when it collected {', '.join(names)}")
    return {case.id: case for case in collector.cases}
