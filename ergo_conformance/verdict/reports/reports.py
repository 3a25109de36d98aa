"""A run as a whole, and its reports: one list of outcomes, many forms."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final
from xml.etree import ElementTree as ET

from ...spec.requirements import catalogue
from ...targets.base import Running, Target
from ..run.outcome import BAD, Outcome, Verdict

EXIT_GOOD, EXIT_BAD, EXIT_NOTHING = 0, 1, 5


def redacted(text: str, running: Running | None) -> str:
    """A text without the target's cookie, which may be part of the command that starts it."""
    cookie = running.target_info.cookie if running else ""
    return text.replace(cookie, "COOKIE") if len(cookie) >= SECRET else text


SECRET: Final = 4
"""Characters from which on a cookie is worth hiding."""


@dataclass(frozen=True, slots=True)
class Header:
    """What was tested, and how."""

    target: str
    name: str
    profile: str
    seed: int
    offers: tuple[str, ...]
    tls: bool
    serial: bool
    silent: bool
    closed: bool
    cases: int
    version: str

    @classmethod
    def of(cls, target: Target, running: Running | None, options: Mapping[str, Any], cases: int) -> "Header":
        base: Mapping[str, Any] = getattr(target, "base", {})
        offers = set(running.offers if running else target.offered)
        if target.codec is not None:
            offers.add("codec")
        return cls(
            target=redacted(target.describe(), running),
            name=(running.target_info.name if running else base.get("name", "")) or "",
            profile=options["profile"],
            seed=options["seed"],
            offers=tuple(sorted(offers)),
            tls=running.tls if running else False,
            serial=running.serial if running else False,
            silent=running.silent if running else False,
            closed=running.closed if running else False,
            cases=cases,
            version=version("ergo-conformance"),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """All outcomes of a run."""

    header: Header
    outcomes: list[Outcome]
    seconds: float
    collection_errors: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(outcome.verdict for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0: all as it should be. 1: a FAIL or ERROR. 5: nothing was tested."""
        if self.collection_errors or any(outcome.verdict in BAD for outcome in self.outcomes):
            return EXIT_BAD
        if all(outcome.verdict is Verdict.SKIP for outcome in self.outcomes):
            return EXIT_NOTHING
        return EXIT_GOOD

    @property
    def hint(self) -> str:
        """One sentence for what a wrong cookie looks like: closed after the first Hello, and no proof of it in any case."""
        proved = any(o.verdict is Verdict.PASS and "EHS-DIG-2" in o.requirements for o in self.outcomes)
        if self.header.closed and not proved:
            return "The target closed after every Hello with our digest: is the cookie right? (Or does it speak TLS?)"
        return ""


def to_json(summary: Summary) -> str:
    """All there is, for programs. `format` tells the layout."""
    cases = []
    for outcome in summary.outcomes:
        row = asdict(outcome)
        row["verdict"], row["level"] = outcome.verdict.value, outcome.level.value
        row["transcripts"] = [{"link": label, "lines": lines} for label, lines in outcome.transcripts]
        cases.append(row)
    report = {
        "format": "ergo-report/1",
        "run": asdict(summary.header) | {"seconds": round(summary.seconds, 3), "interrupted": summary.interrupted},
        "counts": {verdict.value: summary.counts[verdict] for verdict in Verdict},
        "exit_code": summary.exit_code,
        "errors": list(summary.collection_errors),
        "cases": cases,
    }
    return json.dumps(report, indent=1, ensure_ascii=True) + "\n"


def to_junit(summary: Summary) -> str:
    """JUnit's XML as CI servers read it: one suite per suite; WARN and INFO are passed cases with a property."""
    root = ET.Element("testsuites", name="ergo-conformance")
    for suite in dict.fromkeys(outcome.suite for outcome in summary.outcomes):
        outcomes = [outcome for outcome in summary.outcomes if outcome.suite == suite]
        counts = Counter(outcome.verdict for outcome in outcomes)
        element = ET.SubElement(
            root,
            "testsuite",
            name=suite,
            tests=str(len(outcomes)),
            failures=str(counts[Verdict.FAIL]),
            errors=str(counts[Verdict.ERROR] + counts[Verdict.INCONCLUSIVE]),
            skipped=str(counts[Verdict.SKIP]),
            time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
        )
        for outcome in outcomes:
            _junit_case(element, outcome)
    if summary.collection_errors:
        element = ET.SubElement(root, "testsuite", name="collection", tests="1", errors="1")
        case = ET.SubElement(element, "testcase", name="collection", classname="collection")
        ET.SubElement(case, "error", message="collection failed").text = _xml("\n".join(summary.collection_errors))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _junit_case(parent: ET.Element, outcome: Outcome) -> None:
    case = ET.SubElement(
        parent, "testcase", classname=f"ergo.{outcome.suite}", name=outcome.id, time=f"{outcome.seconds:.3f}"
    )
    properties = ET.SubElement(case, "properties")
    for name, value in (
        ("title", outcome.title),
        ("requirements", " ".join(outcome.requirements)),
        ("level", outcome.level.value),
        ("verdict", outcome.verdict.value),
    ):
        ET.SubElement(properties, "property", name=name, value=_xml(value))
    match outcome.verdict:
        case Verdict.FAIL:
            ET.SubElement(case, "failure", message=_xml(outcome.came)).text = _xml("\n".join(evidence(outcome)))
        case Verdict.ERROR | Verdict.INCONCLUSIVE:
            ET.SubElement(case, "error", message=_xml(outcome.reason))
        case Verdict.SKIP:
            ET.SubElement(case, "skipped", message=_xml(outcome.reason))
        case Verdict.WARN | Verdict.INFO:
            ET.SubElement(case, "system-out").text = _xml("\n".join(evidence(outcome)))


def _xml(text: str) -> str:
    """Text without the characters that XML can't hold."""
    return "".join(
        c if c in "\n\t" or (c.isprintable() and c <= "\ud7ff") or "\ue000" <= c <= "\ufffd" else "?" for c in text
    )


def evidence(outcome: Outcome) -> list[str]:
    """The lines that explain a verdict other than PASS."""
    lines = [f"{id_} ({catalogue()[id_].level}): {catalogue()[id_].text}" for id_ in outcome.requirements]
    if outcome.sent:
        lines.append(f"sent      {outcome.sent}")
    lines += [f"{'expected' if i == 0 else '      or'}  {legal}" for i, legal in enumerate(outcome.legal)]
    if outcome.came:
        lines.append(f"came      {outcome.came}")
    for label, shown in outcome.transcripts:
        lines.append(f"{label}:")
        lines += [f"  {line}" for line in shown]
    return lines


WRITERS: Final[Mapping[str, Callable[[Summary], str]]] = {"junit": to_junit, "json": to_json}
