"""Every requirement has a case or a golden row, or a reason; every case cites requirements that exist."""

import json
import re
from functools import cache
from typing import Any

import pytest

from ergo_conformance.locate import suites
from ergo_conformance.spec.requirements import RequirementLevel, catalogue
from ergo_conformance.verdict.run.collection import collect_cases


@cache
def cases() -> list[dict[str, Any]]:
    return [case.as_json() for case in collect_cases().values()]


@cache
def cited() -> frozenset[str]:
    ids = {id_ for case in cases() for id_ in case["requirements"]}
    for path in (suites() / "golden").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            rows = [*content.get("vectors", ()), *content.get("cases", ()), *content.get("vectors_only_3.0", ())]
            ids |= {id_ for row in rows for id_ in row.get("requirements", ())}
    return frozenset(ids)


def test_every_requirement_has_a_case_or_a_reason() -> None:
    missing = [row.id for row in catalogue().values() if not row.untested and row.id not in cited()]
    assert missing == []


def test_no_requirement_has_both_a_case_and_a_reason() -> None:
    assert [row.id for row in catalogue().values() if row.untested and row.id in cited()] == []


STALE = re.compile(r"\b(yet|so far|comes? with the|not made|until|will|TODO)\b|\bsuite\b")
"""Words of a reason that speaks of the state of the suites, which changes, and not of the requirement."""


def test_no_reason_for_a_missing_case_depends_on_the_state_of_the_suites() -> None:
    assert {row.id: row.untested for row in catalogue().values() if STALE.search(row.untested)} == {}


def test_a_reason_refers_to_requirements_that_are_tested() -> None:
    named = {
        row.id: re.findall(r"\b(?:EDF|EHS|ENP|ESRD|SAT|ROB)-(?:[A-Z]+-)?[A-Z0-9]+\b", row.untested)
        for row in catalogue().values()
    }
    assert {id_: ids for id_, ids in named.items() if not set(ids) <= cited()} == {}


def test_cases_cite_known_requirements() -> None:
    assert cited() <= catalogue().keys()


def test_every_must_of_an_acceptor_has_a_live_case() -> None:
    shown = {id_ for case in cases() if case["suite"] in ("handshake", "node", "proto") for id_ in case["requirements"]}
    wanted = {
        row.id
        for row in catalogue().values()
        if row.protocol == "ehs"
        and row.level is RequirementLevel.MUST
        and row.role in ("acceptor", "both")
        and not row.untested
    }
    assert wanted - shown == set()


@pytest.mark.parametrize("key", ["id", "title"])
def test_cases_have_titles_and_unique_ids(key: str) -> None:
    found = [case[key] for case in cases()]
    assert all(found)
    if key == "id":
        assert len(set(found)) == len(found) >= 80
