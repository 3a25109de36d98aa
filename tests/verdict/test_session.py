"""Options of a run, and which cases they choose."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.spec.requirements import RequirementLevel
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.session import Entry, Session, check_options

GOOD: dict[str, Any] = {"profile": "ergo-3.1", "level": "", "case": [], "report": [], "jobs": 16, "timeout": 30.0}


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("profile", "ergo-9.1", "no such profile; did you mean ergo-3.1?"),
        ("level", "musst", "no such level; did you mean must?"),
        ("report", ["xml=x"], "--report xml=x: no such kind; known are junit, json"),
        ("report", ["json"], "written KIND=FILE"),
        ("report", ["json="], "written KIND=FILE"),
        ("report", ["json=/nowhere/at/all"], "in a directory that exists"),
        ("jobs", 0, "--jobs 0: at least 1"),
        ("timeout", 0.0, "--timeout 0: more than 0 seconds"),
        ("timeout", float("nan"), "--timeout nan"),
    ],
)
def test_a_value_that_makes_no_sense(option: str, value: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_options({**GOOD, option: value})
    assert sentence in str(raised.value)


def test_good_options(tmp_path: Path) -> None:
    check_options({**GOOD, "level": "MUST", "report": [f"json={tmp_path / 'a=b'}"]})


def entry(id_: str, level: RequirementLevel = RequirementLevel.MUST, requirement: str = "EHS-DIG-1") -> Entry:
    item = SimpleNamespace(nodeid=id_, obj=lambda: None)
    return Entry(cast("pytest.Function", item), id_, "suite", "", Case((requirement,)), level)


ENTRIES = [
    entry("suite.area.first"),
    entry("suite.area.second", RequirementLevel.SHOULD),
    entry("suite.area.third[a-1]", RequirementLevel.OBSERVED),
    entry("suite.area.third[b]", RequirementLevel.MUST),
]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, [0, 1, 2, 3]),
        ({"level": "must"}, [0, 3]),
        ({"level": "should"}, [0, 1, 3]),
        ({"level": "observed"}, [0, 1, 2, 3]),
        ({"case": ["suite.area.first"]}, [0]),
        ({"case": ["suite.area.third*"]}, [2, 3]),
        ({"case": ["suite.area.third[b]"]}, [3]),
        ({"case": ["suite.area.third[?-1]", "*second"]}, [1, 2]),
        ({"case": ["suite.area.second"], "level": "must"}, []),
    ],
)
def test_which_cases_are_chosen(options: dict[str, Any], chosen: list[int]) -> None:
    session = Session(None, {**GOOD, **options})
    assert session.select(ENTRIES) == [ENTRIES[i] for i in chosen]


def test_a_profile_leaves_the_cases_that_hold_in_it() -> None:
    newer = entry("suite.area.newer", requirement="EHS-DIG-1")
    session = Session(None, {**GOOD, "profile": "ergo-3.0"})
    assert session.select([newer]) == ([newer] if newer.holds_for("ergo-3.0") else [])
