"""Arguments and environment of a pytest session over the suites. Imports no pytest: `run` starts one in a child process."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ...locate import suite_paths, suites


def clean_environment() -> dict[str, str]:
    """The environment without pytest's own variables, so that a session depends on its options alone."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@contextmanager
def environment_of_process(variables: Mapping[str, str]) -> Iterator[None]:
    """Replaces the environment of this process, and restores it."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def suite_arguments(names: Sequence[str]) -> list[str]:
    """Arguments of a pytest session over these suites; over all suites without a name. UsageError for an unknown suite."""
    root = suites()
    return ["-c", str(root / "pytest.ini"), "--rootdir", str(root), *map(str, suite_paths(names))]
