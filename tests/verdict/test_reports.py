"""Reports: the same outcomes as JSON, as JUnit XML and on a terminal, also with hostile text."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import cast
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from ergo_conformance.model.ergo.ehs import Accept, Hello
from ergo_conformance.mutants.handshake import SwappedDigest
from ergo_conformance.peers.transcript import Entry, Line, Transcript
from ergo_conformance.peers.violation import ViolationError
from ergo_conformance.spec.requirements import RequirementLevel
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.reports.json_report import SCHEMA, to_json
from ergo_conformance.verdict.reports.junit_report import to_junit
from ergo_conformance.verdict.reports.terminal_report import TerminalReport
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.events import CaseFinished, RunFinished, RunStarted, publish
from ergo_conformance.verdict.run.execution import Body, CaseResult, InconclusiveError, MemoryRunner, PlannedCase
from ergo_conformance.verdict.run.judgement import evidence_of, failure_text, outcome_of
from ergo_conformance.verdict.run.options import SessionOptions
from ergo_conformance.verdict.run.outcome import DID_NOT_RUN, Outcome, Verdict
from ergo_conformance.verdict.run.summary import RunHeader, RunSummary
from tests.support.targets import FaultyTarget

HOSTILE = "\x1b[31m[bold]<&\"'>]]>\x00\x07\udcff\ud800￿𝄞\r\n\u202e[/]"
OPTIONS = SessionOptions()


async def good(ctx: Context) -> None:
    await ctx.connected()


async def hello_answered(ctx: Context) -> None:
    dialer = await ctx.dial()
    dialer.send(dialer.hello())
    dialer.check_hello(await dialer.expect(Hello))


async def hostile_text(ctx: Context) -> None:
    raise ViolationError(f"actual {HOSTILE}", (f"expected {HOSTILE}", "another"), f"sent {HOSTILE}")


async def two_sockets(ctx: Context) -> None:
    await ctx.socket("[first]")
    dialer = await ctx.dial()
    dialer.send(dialer.join("no such id"))
    await dialer.expect(Accept)
    await asyncio.sleep(2)
    await dialer.expect_open(1)


async def skips(ctx: Context) -> None:
    ctx.skip("the target [bold]has none[/]")


async def breaks(ctx: Context) -> None:
    raise KeyError("a bug in the case")


def entry(name: str, level: RequirementLevel = RequirementLevel.MUST, title: str = "") -> CollectedCase:
    requirement = {RequirementLevel.MUST: "EHS-DIG-1", RequirementLevel.SHOULD: "EHS-JOIN-4"}.get(level, "EHS-FRAME-6")
    item = cast("pytest.Function", None)
    return CollectedCase(
        item, f"handshake.area.{name}", "handshake", title or f"Title of {name}.", Case((requirement,)), level
    )


def summary_of(entries: list[tuple[CollectedCase, Body | CaseResult]], *, swapped: bool = True) -> RunSummary:
    """Runs the cases; returns the summary with constant times."""
    target = FaultyTarget(SwappedDigest) if swapped else SelfTarget()
    outcomes = []
    for case, body in entries:
        result = body
        if not isinstance(result, CaseResult):
            result = MemoryRunner(target, 0, 30.0).result(PlannedCase(case.id, case.case, result))
        result.seconds = 0.25
        outcomes.append(outcome_of(case, result))
    header = replace(RunHeader.of(target, None, profile=OPTIONS.profile, seed=0, cases=len(entries)), version="0.0.0")
    return RunSummary(header, outcomes, 1.5)


@pytest.fixture(scope="module")
def bad_run() -> RunSummary:
    """Run with a case of each verdict."""
    return summary_of(
        [
            (entry("passed"), CaseResult()),
            (entry("hello_answered"), hello_answered),
            (entry("two_links"), two_sockets),
            (entry("warned", RequirementLevel.SHOULD), hello_answered),
            (entry("noted", RequirementLevel.OBSERVED), hello_answered),
            (entry("skipped"), skips),
            (entry("late"), CaseResult(InconclusiveError("the tester itself was 0.5 s late"))),
            (entry("broken"), breaks),
        ]
    )


@pytest.fixture(scope="module")
def hostile_run() -> RunSummary:
    """Run of cases whose violations have hostile text."""
    levels = {"failed": RequirementLevel.MUST, "warned": RequirementLevel.SHOULD, "noted": RequirementLevel.OBSERVED}
    cases: list[tuple[CollectedCase, Body | CaseResult]] = [
        (entry(name, level), hostile_text) for name, level in levels.items()
    ]
    cases += [(entry("skipped"), CaseResult(SkippedError(HOSTILE))), (entry("broken"), CaseResult(KeyError(HOSTILE)))]
    return summary_of(cases)


@pytest.fixture(scope="module")
def good_run() -> RunSummary:
    return summary_of([(entry("good"), good), (entry("hello_answered"), hello_answered)], swapped=False)


def terminal_text(summary: RunSummary, *, width: int = 100, verbose: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    terminal = TerminalReport(verbose=verbose, rerun="ergo-conformance run self {case}", console=console)
    publish(RunStarted(summary.header), [terminal])
    for outcome in summary.outcomes:
        publish(CaseFinished(outcome, ()), [terminal])
    publish(RunFinished(summary), [terminal])
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


# --- verdicts and exit code -------------------------------------------------------------------------------------------


def test_each_end_of_a_case_has_its_verdict(bad_run: RunSummary) -> None:
    found = {outcome.id.rpartition(".")[2]: outcome.verdict.value for outcome in bad_run.outcomes}
    assert found == {
        "passed": "PASS",
        "hello_answered": "FAIL",
        "two_links": "FAIL",
        "warned": "WARN",
        "noted": "INFO",
        "skipped": "SKIP",
        "late": "INCONCLUSIVE",
        "broken": "ERROR",
    }


@pytest.mark.parametrize(
    ("left", "code"),
    [
        ({Verdict.PASS}, 0),
        ({Verdict.PASS, Verdict.WARN, Verdict.INFO, Verdict.SKIP}, 0),
        ({Verdict.INFO}, 0),
        ({Verdict.PASS, Verdict.FAIL}, 1),
        ({Verdict.PASS, Verdict.ERROR}, 1),
        ({Verdict.PASS, Verdict.INCONCLUSIVE}, 1),
        ({Verdict.SKIP}, 5),
        (set(), 5),
    ],
)
def test_verdicts_determine_the_exit_code(bad_run: RunSummary, left: set[Verdict], code: int) -> None:
    outcomes = [outcome for outcome in bad_run.outcomes if outcome.verdict in left]
    summary = replace(bad_run, outcomes=outcomes)
    assert summary.exit_code == code
    assert json.loads(to_json(summary))["exit_code"] == code
    last = {0: "conforms", 1: "does not conform", 5: "nothing was tested"}[code]
    assert terminal_text(summary).splitlines()[-1].startswith(f"{last}: ")


def test_error_of_the_run_gives_exit_code_1(good_run: RunSummary) -> None:
    summary = replace(good_run, errors=("test_x.py: [bold]no such module",))
    assert summary.exit_code == 1
    assert "test_x.py: [bold]no such module" in terminal_text(summary)
    assert ET.fromstring(to_junit(summary)).find("testsuite[@name='run']/testcase/error") is not None


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_report_is_valid_and_has_every_key(bad_run: RunSummary) -> None:
    report = json.loads(to_json(bad_run))
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert set(report) == {"format", "run", "counts", "exit_code", "errors", "causes", "cases"}
    assert report["format"] == "ergo-report/2"
    assert set(report["run"]) >= {"target", "profile", "seed", "offers", "version", "seconds", "interrupted", "cases"}
    assert list(report["counts"]) == [verdict.value for verdict in Verdict]
    assert sum(report["counts"].values()) == len(report["cases"]) == len(bad_run.outcomes)
    assert Counter(row["verdict"] for row in report["cases"]) == {k: v for k, v in report["counts"].items() if v}
    for row in report["cases"]:
        assert set(row) == {field.name for field in fields(Outcome)}
        for transcript in row["transcripts"]:
            assert set(transcript) == {"socket", "lines", "hex"}
            assert len(transcript["lines"]) == len(transcript["hex"])


def test_json_report_contains_hostile_text_as_ascii(hostile_run: RunSummary) -> None:
    text = to_json(hostile_run)
    text.encode("ascii")
    row = json.loads(text)["cases"][0]
    assert "[bold]<&\"'>]]>" in row["received"]
    assert row["expected"][1] == "another"


def test_json_report_matches_the_snapshot(bad_run: RunSummary, snapshot: SnapshotAssertion) -> None:
    assert to_json(bad_run) == snapshot


# --- JUnit ------------------------------------------------------------------------------------------------------------


def elements(summary: RunSummary) -> Iterator[ET.Element]:
    return ET.fromstring(to_junit(summary).encode()).iter("testcase")


def test_junit_report_has_the_counts_of_the_summary(bad_run: RunSummary) -> None:
    (suite,) = ET.fromstring(to_junit(bad_run).encode()).findall("testsuite")
    counts = bad_run.counts
    assert suite.get("tests") == str(len(bad_run.outcomes)) == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(counts[Verdict.FAIL]) == str(len(suite.findall("testcase/failure")))
    errors = counts[Verdict.ERROR] + counts[Verdict.INCONCLUSIVE]
    assert suite.get("errors") == str(errors) == str(len(suite.findall("testcase/error")))
    assert suite.get("skipped") == str(counts[Verdict.SKIP]) == str(len(suite.findall("testcase/skipped")))
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names == [outcome.id for outcome in bad_run.outcomes]


def test_junit_report_with_hostile_text_is_valid_xml(hostile_run: RunSummary) -> None:
    found = list(elements(hostile_run))
    assert len(found) == len(hostile_run.outcomes)
    failure = found[0].find("failure")
    assert failure is not None
    assert "[bold]<&\"'>]]>" in failure.get("message", "")
    assert "another" in (failure.text or "")


def test_junit_report_has_the_verdict_of_every_case(bad_run: RunSummary) -> None:
    for case, outcome in zip(elements(bad_run), bad_run.outcomes, strict=True):
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        assert properties["verdict"] == outcome.verdict.value
        assert properties["requirements"] == " ".join(outcome.requirements)


CHARACTERS = "\x00\x0b\x1f\x7f\x85\ud800\udfff\ufffe\uffff\U00010000\U0010ffff"


@pytest.mark.parametrize("c", CHARACTERS, ids=ascii)
def test_junit_report_with_any_character_is_valid_xml(good_run: RunSummary, c: str) -> None:
    outcome = replace(
        good_run.outcomes[0], verdict=Verdict.FAIL, title=c, received=c, reason=c, transcripts=[(c, [Line("", c, c)])]
    )
    skipped = replace(outcome, verdict=Verdict.SKIP)
    assert len(list(elements(replace(good_run, outcomes=[outcome, skipped])))) == 2


def test_junit_report_matches_the_snapshot(bad_run: RunSummary, snapshot: SnapshotAssertion) -> None:
    assert to_junit(bad_run) == snapshot


# --- terminal ---------------------------------------------------------------------------------------------------------


def test_terminal_report_of_a_failing_run_matches_the_snapshot(
    bad_run: RunSummary, snapshot: SnapshotAssertion
) -> None:
    assert terminal_text(bad_run) == snapshot


def test_terminal_report_of_a_passing_run_matches_the_snapshot(
    good_run: RunSummary, snapshot: SnapshotAssertion
) -> None:
    assert terminal_text(good_run, verbose=True) == snapshot


def test_terminal_report_of_an_interrupted_run_says_so(good_run: RunSummary) -> None:
    assert terminal_text(replace(good_run, interrupted=True)).splitlines()[-1].startswith("interrupted: 2 PASS")


def test_terminal_report_escapes_markup_and_control_codes(hostile_run: RunSummary) -> None:
    text = terminal_text(hostile_run, verbose=True)
    assert text.count("[bold]<&") >= 3
    codes = sorted({ascii(c) for c in text if not c.isprintable() and c != "\n"})
    assert codes == []


def test_failure_text_has_no_surrogates(hostile_run: RunSummary) -> None:
    text = failure_text(hostile_run.outcomes[0])
    assert not any("\ud800" <= c <= "\udfff" for c in text)


@pytest.mark.parametrize("width", [40, 300])
def test_terminal_report_fits_any_width(bad_run: RunSummary, width: int) -> None:
    assert "does not conform" in " ".join(terminal_text(bad_run, width=width).split())


def test_failures_with_one_cause_are_one_block(bad_run: RunSummary) -> None:
    failure = bad_run.outcomes[1]
    many = [
        replace(
            failure,
            id=f"handshake.area.n{i}",
            received=f"Digest {i:064x}, after {i / 8} s, for tester-{i:08x}@localhost",
        )
        for i in range(200)
    ]
    text = terminal_text(replace(bad_run, outcomes=many))
    assert text.count("sent    ") == 1
    assert "199 cases with this cause: handshake.area.n1, handshake.area.n2, " in " ".join(text.split())
    assert "and 187 more" in " ".join(text.split())
    (cause,) = json.loads(to_json(replace(bad_run, outcomes=many)))["causes"]
    assert cause["text"] == "Digest HEX, after N s, for NAME@localhost"
    assert len(cause["cases"]) == 200


def test_a_limited_number_of_causes_is_shown_in_full(bad_run: RunSummary) -> None:
    failure = bad_run.outcomes[1]
    many = [replace(failure, id=f"handshake.area.n{i}", received=f"cause {'x' * (i // 2)}") for i in range(60)]
    text = terminal_text(replace(bad_run, outcomes=many))
    assert text.count("sent    ") == 10
    assert "… and 40 cases more with 20 other causes; --report json=FILE has all of them" in text


def test_parameters_of_one_case_are_listed_as_one(bad_run: RunSummary) -> None:
    failure = bad_run.outcomes[1]
    many = [replace(failure, id=f"handshake.area.{name}") for name in ("first", "same[a]", "same[b]", "other[a]")]
    text = terminal_text(replace(bad_run, outcomes=many))
    assert "3 cases with this cause: handshake.area.same[…] (2), handshake.area.other[a]" in text


def test_a_block_shows_the_requirement_that_the_check_names_and_the_first_difference(bad_run: RunSummary) -> None:
    async def compares(ctx: Context) -> None:
        dialer = await ctx.dial()
        dialer.check_equal(["x" * 500, 1], ["x" * 500, 2], "the items", requirement="EHS-DIG-2")

    case = entry("compares")
    case.case = replace(case.case, requirements=("EHS-DIG-1", "EHS-DIG-2", "EHS-MSG-1"))
    summary = summary_of([(case, compares)], swapped=False)
    text = terminal_text(summary, width=300)
    assert "EHS-DIG-2 MUST" in text
    assert "EHS-DIG-1" not in text
    assert "EHS-MSG-1" not in text
    assert "differs  [1]: expected 2, received 1" in text
    assert '", 1]' in text
    row = json.loads(to_json(summary))["cases"][0]
    assert row["received"] == f'["{"x" * 500}", 1]'
    assert row["difference"] == "[1]: expected 2, received 1"


def test_long_texts_are_cut_around_their_first_difference(bad_run: RunSummary) -> None:
    expected, received = f"{'a' * 3000}b{'c' * 3000}", f"{'a' * 3000}d{'c' * 3000}"
    failure = replace(bad_run.outcomes[1], expected=("something else", expected), received=received)
    text = "".join(terminal_text(replace(bad_run, outcomes=[failure])).split())
    assert "aabcc" in text
    assert "aadcc" in text
    assert "a" * 300 not in text
    assert json.loads(to_json(replace(bad_run, outcomes=[failure])))["cases"][0]["received"] == received


def test_texts_that_look_alike_are_escaped_where_they_differ() -> None:
    async def fails(ctx: Context) -> None:
        (await ctx.dial()).check(False, "the name cafe\u0301", "the name caf\xe9")

    (outcome,) = summary_of([(entry("fails"), fails)], swapped=False).outcomes
    assert (outcome.expected, outcome.received) == (("the name caf\\xe9",), "the name cafe\\u0301")


def test_the_violation_that_came_first_is_the_evidence() -> None:
    async def cleans_up(ctx: Context) -> None:
        dialer = await ctx.dial()
        try:
            dialer.fail("the first fault", "no fault")
        finally:
            dialer.fail("a fault of cleaning up", "no fault")

    (outcome,) = summary_of([(entry("cleans_up"), cleans_up)], swapped=False).outcomes
    assert outcome.received == "the first fault"


def test_interrupted_cases_are_not_counted_as_tried(good_run: RunSummary) -> None:
    rest = [replace(good_run.outcomes[0], verdict=Verdict.ERROR, reason=f"{DID_NOT_RUN}: interrupted")] * 160
    summary = replace(good_run, outcomes=[*good_run.outcomes, *rest], interrupted=True)
    assert terminal_text(summary).splitlines()[-1] == "interrupted: 2 PASS, 160 ERROR (2 cases tried, 1.5 s)"


def test_reports_keep_emoji_and_escape_lone_surrogates(bad_run: RunSummary) -> None:
    failure = replace(bad_run.outcomes[1], received="😀 \udcff", id="handshake.area.x[\udcff]", title="\ud800")
    summary = replace(bad_run, outcomes=[failure])
    assert json.loads(to_json(summary))["cases"][0]["received"] == "😀 \\udcff"
    (case,) = elements(summary)
    found = case.find("failure")
    assert found is not None
    assert found.get("message") == "😀 \\udcff"
    assert case.get("name") == "handshake.area.x[\\udcff]"
    terminal_text(summary).encode()


def test_evidence_is_bounded_and_keeps_short_forms_beyond_the_bound() -> None:
    made = Transcript("socket")
    for _ in range(12):
        made.add(Entry(0.0, "received", b"H" + bytes(10_000)))
    ((_, lines),) = evidence_of([made], room=100_000)
    sizes = [len(line.text) + 2 * len(line.data) for line in lines]
    assert sum(sizes) < 110_000
    assert sizes[0] > 20_000
    assert all(line.data for line in lines)
