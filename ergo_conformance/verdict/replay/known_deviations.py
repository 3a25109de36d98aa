"""Known deviations: findings in which the real node follows a bug, or uses a freedom, that a statement describes."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class KnownDeviation(Generic[F]):
    """The id of a statement, the behaviour of upstream, and a test for findings that follow from it."""

    id: str
    text: str
    explains: Callable[[F], bool]


def unexplained(findings: Iterable[F], known: Sequence[KnownDeviation[F]]) -> tuple[list[F], Counter[str]]:
    """Returns the findings that no known deviation explains, and the number of findings that each id explains."""
    rest: list[F] = []
    counts: Counter[str] = Counter()
    for finding in findings:
        deviation = next((row for row in known if row.explains(finding)), None)
        if deviation is None:
            rest.append(finding)
        else:
            counts[deviation.id] += 1
    return rest, counts
