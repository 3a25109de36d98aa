"""Outcomes with a common cause: the same words once names, numbers and digests are replaced."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..run.outcome import BAD, Outcome, Verdict

MAX_CAUSE: Final = 200
"""Characters of a cause; texts that are equal up to there are one cause."""
_VARIABLE: Final = re.compile(
    r"(?P<name>tester-[0-9a-f]+)|(?P<hex>\b(?:0x)?[0-9a-f]{8,}\b…?)|(?P<number>(?<![\w-])\d[\d,.]*)", re.ASCII
)
_WORDS: Final[Mapping[str, str]] = {"name": "NAME", "hex": "HEX", "number": "N"}


@dataclass(frozen=True, slots=True)
class Cause:
    """Outcomes of one verdict that have one cause; `text` is the cause, with N, HEX and NAME in place of what varies."""

    verdict: Verdict
    text: str
    outcomes: Sequence[Outcome]


def cause_of(outcome: Outcome) -> str:
    """Returns what went wrong in general words: the difference or the behaviour, otherwise the reason."""
    text = (outcome.difference or outcome.received or outcome.reason)[:MAX_CAUSE]
    return _VARIABLE.sub(lambda match: _WORDS[match.lastgroup or "number"], text)


def causes(outcomes: Iterable[Outcome]) -> list[Cause]:
    """Returns the causes of the bad outcomes that have been judged, those of most cases first."""
    groups: defaultdict[tuple[Verdict, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.verdict in BAD and not outcome.did_not_run:
            groups[outcome.verdict, cause_of(outcome)].append(outcome)
    found = [Cause(verdict, text, group) for (verdict, text), group in groups.items()]
    return sorted(found, key=lambda cause: len(cause.outcomes), reverse=True)


def families(outcomes: Iterable[Outcome]) -> list[str]:
    """Returns the ids of cases, one for all parameters of a case: `proto.calls.reply[…] (3)`."""
    counts: defaultdict[str, list[str]] = defaultdict(list)
    for outcome in outcomes:
        counts[outcome.id.partition("[")[0]].append(outcome.id)
    return [ids[0] if len(ids) == 1 else f"{name}[…] ({len(ids)})" for name, ids in counts.items()]
