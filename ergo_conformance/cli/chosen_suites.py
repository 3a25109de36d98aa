"""Suites of a run: those that the options name, or those whose cases can match the ids of `--case`."""

import fnmatch
from collections.abc import Sequence

from ..errors import UsageError
from ..locate import suite_names


def suites_of(cases: Sequence[str]) -> list[str]:
    """Names of the suites whose cases can match these ids; none if any suite can. An id begins with its suite's name."""
    known = suite_names()
    found = [{name for name in known if fnmatch.fnmatch(name, case.partition(".")[0])} for case in cases]
    return sorted(set().union(*found)) if found and all(found) else []


def chosen_suites(given: Sequence[str], cases: Sequence[str]) -> Sequence[str]:
    """Names of the suites to run; none for all. UsageError for a case of a suite that is not among the given ones."""
    for case in cases:
        own = suites_of([case])
        if given and own and not set(own) & set(given):
            options = " ".join(f"--suite {name}" for name in given)
            raise UsageError(f"--case {case}: its suite, {' or '.join(own)}, is left out by {options}")
    return given or suites_of(cases)
