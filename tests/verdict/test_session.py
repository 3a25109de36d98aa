"""Options of a session: validation, and selection of cases."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.spec.requirements import RequirementLevel
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.options import SessionOptions
from ergo_conformance.verdict.run.session import Session


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("profile", "ergo-9.1", "unknown profile; did you mean ergo-3.1?"),
        ("level", "musst", "unknown level; did you mean must?"),
        ("report", ("xml=x",), "--report xml=x: unknown kind of report (supported: junit, json)"),
        ("report", ("json",), "expected KIND=FILE"),
        ("report", ("json=",), "expected KIND=FILE"),
        ("report", ("json=/nowhere/at/all",), "in an existing directory"),
        ("jobs", 0, "--jobs 0: must be at least 1"),
        ("timeout", 0.0, "--timeout 0: must be more than 0 seconds"),
        ("timeout", float("nan"), "--timeout nan"),
    ],
)
def test_an_invalid_option_raises_one_sentence(option: str, value: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        Session.from_options(SessionOptions(**{option: value}))
    assert sentence in str(raised.value)


def test_valid_options_give_a_session_with_their_reports(tmp_path: Path) -> None:
    reports = (f"json={tmp_path / 'a=b'}", f"junit={tmp_path / 'c'}")
    session = Session.from_options(SessionOptions(level="MUST", report=reports))
    assert [str(listener) for listener in session.listeners] == [
        f"--report {tmp_path / 'a=b'}",
        f"--report {tmp_path / 'c'}",
    ]


def entry(id_: str, level: RequirementLevel = RequirementLevel.MUST, requirement: str = "EHS-DIG-1") -> CollectedCase:
    item = SimpleNamespace(nodeid=id_, obj=lambda: None)
    return CollectedCase(cast("pytest.Function", item), id_, "suite", "", Case((requirement,)), level)


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
def test_level_and_patterns_select_cases_in_the_order_of_collection(options: dict[str, Any], chosen: list[int]) -> None:
    session = Session(None, SessionOptions(**options))
    assert session.select(ENTRIES) == [ENTRIES[i] for i in chosen]


def test_a_profile_selects_the_cases_with_a_requirement_of_it() -> None:
    newer = entry("suite.area.newer", requirement="EHS-DIG-1")
    session = Session(None, SessionOptions(profile="ergo-3.0"))
    assert session.select([newer]) == ([newer] if newer.holds_for("ergo-3.0") else [])
