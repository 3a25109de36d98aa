"""JUnit report: XML as CI servers read it."""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

from ...model.text import escape
from ..run.events import RunListener
from ..run.outcome import Outcome, Verdict
from ..run.summary import RunSummary
from .file_report import FileReport, evidence


def to_junit(summary: RunSummary) -> str:
    """The report as XML: a `testsuite` for each suite; WARN and INFO are passed cases with a property."""
    root = ET.Element("testsuites", name="ergo-conformance")
    for suite in dict.fromkeys(outcome.suite for outcome in summary.outcomes):
        outcomes = [outcome for outcome in summary.outcomes if outcome.suite == suite]
        counts = Counter(outcome.verdict for outcome in outcomes)
        element = ET.SubElement(
            root,
            "testsuite",
            name=_xml(suite),
            tests=str(len(outcomes)),
            failures=str(counts[Verdict.FAIL]),
            errors=str(counts[Verdict.ERROR] + counts[Verdict.INCONCLUSIVE]),
            skipped=str(counts[Verdict.SKIP]),
            time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
        )
        for outcome in outcomes:
            _junit_case(element, outcome)
    if summary.errors:
        element = ET.SubElement(root, "testsuite", name="run", tests="1", errors="1")
        case = ET.SubElement(element, "testcase", name="run", classname="run")
        ET.SubElement(case, "error", message="errors of the run").text = _xml("\n".join(summary.errors))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _junit_case(parent: ET.Element, outcome: Outcome) -> None:
    case = ET.SubElement(
        parent,
        "testcase",
        classname=_xml(f"ergo.{outcome.suite}"),
        name=_xml(outcome.id),
        time=f"{outcome.seconds:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    for name, value in (
        ("title", outcome.title),
        ("requirements", " ".join(outcome.requirements)),
        ("violated", outcome.violated),
        ("level", outcome.level.value),
        ("verdict", outcome.verdict.value),
    ):
        if value:
            ET.SubElement(properties, "property", name=name, value=_xml(value))
    match outcome.verdict:
        case Verdict.FAIL:
            ET.SubElement(case, "failure", message=_xml(outcome.received)).text = _xml("\n".join(evidence(outcome)))
        case Verdict.ERROR | Verdict.INCONCLUSIVE:
            ET.SubElement(case, "error", message=_xml(outcome.reason))
        case Verdict.SKIP:
            ET.SubElement(case, "skipped", message=_xml(outcome.reason))
        case Verdict.WARN | Verdict.INFO:
            ET.SubElement(case, "system-out").text = _xml("\n".join(evidence(outcome)))


def _xml(text: str) -> str:
    """Text with escapes in place of control codes and lone surrogates; XML 1.0 allows all other characters."""
    return escape(text, keep="\n\t")


class JunitReport(FileReport):
    """File with the JUnit report."""

    def render(self, summary: RunSummary) -> str:
        return to_junit(summary)


def create(path: Path) -> RunListener:
    """The report that writes to this file."""
    return JunitReport(path)
