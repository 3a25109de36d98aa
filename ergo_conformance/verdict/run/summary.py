"""Header and summary of a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Final

from ...targets.base import RunningTarget, Target
from .outcome import BAD, Outcome, Verdict

EXIT_GOOD, EXIT_BAD, EXIT_NOTHING = 0, 1, 5
MIN_SECRET: Final = 4
"""Length from which a cookie is hidden, in characters: a shorter one would hide parts of other words."""


def redacted(text: str, running: RunningTarget | None) -> str:
    """Text without the cookie of the target, which may be part of the command that starts it."""
    cookie = running.target_info.cookie if running else ""
    return text.replace(cookie, "COOKIE") if len(cookie) >= MIN_SECRET else text


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Description of a run: target, options, number of cases. The flags are those of RunningTarget."""

    target: str
    name: str
    """Name of the node, as given or as reported by READY; empty if unknown."""
    profile: str
    seed: int
    offers: tuple[str, ...]
    tls: bool
    serial: bool
    silent: bool
    closed: bool
    cases: int
    """Number of selected cases."""
    version: str
    """Version of the toolkit."""

    @classmethod
    def of(cls, target: Target, running: RunningTarget | None, *, profile: str, seed: int, cases: int) -> "RunHeader":
        """The header of a run. `running` is None for a target in memory, which every case starts itself."""
        base: Mapping[str, Any] = getattr(target, "base", {})
        offers = set(running.offers if running else target.offered)
        if target.codec is not None:
            offers.add("codec")
        return cls(
            target=redacted(target.describe(), running),
            name=(running.target_info.name if running else base.get("name", "")) or "",
            profile=profile,
            seed=seed,
            offers=tuple(sorted(offers)),
            tls=running.tls if running else False,
            serial=running.serial if running else False,
            silent=running.silent if running else False,
            closed=running.closed if running else False,
            cases=cases,
            version=version("ergo-conformance"),
        )


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Outcomes of a run."""

    header: RunHeader
    outcomes: list[Outcome]
    """One of each selected case, in the order of collection."""
    seconds: float
    """Duration of the run in real time."""
    errors: tuple[str, ...] = ()
    """Suite files that could not be loaded, reports that could not be written."""
    interrupted: bool = False

    def with_errors(self, errors: Sequence[str]) -> "RunSummary":
        """Returns the summary with further errors."""
        return replace(self, errors=(*self.errors, *errors))

    @property
    def counts(self) -> Counter[Verdict]:
        """Number of cases of each verdict."""
        return Counter(outcome.verdict for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0: the target conforms. 1: a FAIL, ERROR, INCONCLUSIVE or an entry in `errors`. 5: nothing was tested."""
        if self.errors or any(outcome.verdict in BAD for outcome in self.outcomes):
            return EXIT_BAD
        if all(outcome.verdict is Verdict.SKIP for outcome in self.outcomes):
            return EXIT_NOTHING
        return EXIT_GOOD

    @property
    def hint(self) -> str:
        """One sentence if the cookie is probably wrong: closed after the first Hello, and no case proved the cookie."""
        proved = any(o.verdict is Verdict.PASS and "EHS-DIG-2" in o.requirements for o in self.outcomes)
        if self.header.closed and not proved:
            return "The target closed the connection after every Hello: is the cookie right? (Or does it speak TLS?)"
        return ""
