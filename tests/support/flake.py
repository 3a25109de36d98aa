"""Repeats the suites with a new seed each time and counts the verdicts of each case, over any number of invocations.

`tox -e flake -- --runs N` runs it. A case is unstable if its verdict changes. INCONCLUSIVE beside busy processes is no change.
The exit code is 1 if a case of this profile was unstable, FAIL or ERROR in any run of the state file.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ergo_conformance
from ergo_conformance.locate import suites
from ergo_conformance.targets.create import target_of
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.collection import collect_cases, select
from ergo_conformance.verdict.run.mutant_run import outcomes
from ergo_conformance.verdict.run.options import RunOptions
from ergo_conformance.verdict.run.outcome import Outcome, Verdict

FORMAT: Final = "ergo-flake/1"
BUSY_PROGRAM: Final = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))\n"
"""Keeps a processor busy until its parent ends."""
COMMAND: Final = f"{sys.executable} -P -m ergo_conformance node"
OVER: Final[dict[str, RunOptions]] = {
    "memory": RunOptions(target="self"),
    "tcp": RunOptions(target="self", over="tcp"),
    "process": RunOptions(target=f"process:{COMMAND}"),
}
"""Options of the target, by the value of `--over`."""
NEVER: Final = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.ERROR})
KEPT_EVIDENCE: Final = 5
"""Outcomes that are kept of one case."""


@dataclass
class Tally:
    """The verdicts of all runs of one profile."""

    runs: int = 0
    """Number of runs. The seed of the next one is this number."""
    versions: dict[str, int] = field(default_factory=dict)
    """Number of runs by the digest of the code that ran."""
    verdicts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of runs by case and verdict."""
    evidence: list[dict[str, Any]] = field(default_factory=list)

    def add(self, found: Sequence[Outcome], version: str) -> None:
        """Counts one run."""
        for outcome in found:
            row = self.verdicts.setdefault(outcome.id, {})
            seen = set(row)
            row[outcome.verdict.value] = row.get(outcome.verdict.value, 0) + 1
            if outcome.verdict in NEVER or (seen and outcome.verdict.value not in seen):
                self._keep(outcome)
        self.runs += 1
        self.versions[version] = self.versions.get(version, 0) + 1

    def _keep(self, outcome: Outcome) -> None:
        if sum(row["case"] == outcome.id for row in self.evidence) < KEPT_EVIDENCE:
            self.evidence.append(
                {
                    "seed": self.runs,
                    "case": outcome.id,
                    "verdict": outcome.verdict.value,
                    "expected": list(outcome.expected),
                    "received": outcome.received or outcome.reason,
                    "transcripts": [(label, [str(line) for line in lines]) for label, lines in outcome.transcripts],
                }
            )

    def unstable(self, *, busy: bool) -> dict[str, dict[str, int]]:
        """Returns the cases with a verdict that may not occur, or with more than one verdict."""
        allowed = {Verdict.INCONCLUSIVE} if busy else set()
        return {id_: row for id_, row in self.verdicts.items() if set(row) & NEVER or len(set(row) - allowed) > 1}

    def counted(self) -> Counter[str]:
        """Returns the number of verdicts of each kind."""
        total: Counter[str] = Counter()
        for row in self.verdicts.values():
            total.update({str(verdict): n for verdict, n in row.items()})
        return total


@dataclass
class State:
    """The state file: the tallies by profile, such as `tcp` or `memory beside 4 busy processes`."""

    path: Path
    tallies: dict[str, Tally] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "State":
        """Reads a state file; a missing one has no runs."""
        if not path.exists():
            return cls(path)
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            sys.exit(f"{path}: not a state file of format {FORMAT}")
        return cls(path, {name: Tally(**row) for name, row in content["profiles"].items()})

    def save(self) -> None:
        """Writes the file; an interruption leaves the former file or the new one."""
        content = {"format": FORMAT, "profiles": {name: vars(tally) for name, tally in self.tallies.items()}}
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(self.path)


def code_version() -> str:
    """Returns a digest of the package and the suites."""
    digest = hashlib.sha256()
    for root in (Path(ergo_conformance.__file__).parent, suites()):
        for path in sorted(path for path in root.rglob("*") if path.suffix in {".py", ".json", ".toml"}):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def busy_processes(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs processes that each keep a processor busy."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY_PROGRAM]) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_suites(cases: Sequence[CollectedCase], options: RunOptions, seed: int) -> list[Outcome]:
    """Runs cases once against a new target."""
    return list(outcomes(target_of(options), cases, seed))


def repeat(tally: Tally, runs: int, run: Callable[[int], list[Outcome]], saved: Callable[[], None]) -> None:
    """Adds runs to a tally and saves the state after each."""
    version = code_version()
    for _ in range(runs):
        found = run(tally.runs)
        tally.add(found, version)
        saved()
        counts = Counter(outcome.verdict.value for outcome in found)
        say(f"run {tally.runs}: {', '.join(f'{n} {name}' for name, n in sorted(counts.items()))}")


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)  # noqa: T201  a program


def report(name: str, tally: Tally, *, busy: bool) -> int:
    """Prints the rate of unstable verdicts; returns the exit code."""
    counts = tally.counted()
    total, unstable = sum(counts.values()), tally.unstable(busy=busy)
    kinds = ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(counts.items()))
    say(f"{name}: {tally.runs} runs of {len(tally.verdicts)} cases, {total:,} verdicts ({kinds})")
    changed = sum(sum(row.values()) - max(row.values()) for row in unstable.values())
    say(f"{len(unstable)} unstable cases, {changed} of {total:,} verdicts differ from the usual one of their case")
    for id_, row in sorted(unstable.items()):
        say(f"  {id_}: {', '.join(f'{n} {verdict}' for verdict, n in row.items())}")
    return 1 if unstable else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="flake", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="number of further runs; 0 only reports")
    parser.add_argument("--over", choices=tuple(OVER), default="memory", help="the target: in memory, sockets, process")
    parser.add_argument("--busy", type=int, default=0, metavar="K", help="busy processes beside the runs")
    parser.add_argument("--suite", action="append", default=[], metavar="NAME", help="only this suite; may be repeated")
    parser.add_argument("--state", type=Path, default=Path("flake.json"), metavar="FILE", help="adds to this file")
    given = parser.parse_args(arguments)
    state = State.load(given.state)
    name = given.over + (f" beside {given.busy} busy processes" if given.busy else "")
    name += f" ({', '.join(given.suite)})" if given.suite else ""
    tally = state.tallies.setdefault(name, Tally())
    options = OVER[given.over]
    if given.runs:
        cases = select(list(collect_cases(given.suite).values()), options)
        with busy_processes(given.busy):
            repeat(tally, given.runs, lambda seed: run_suites(cases, options, seed), state.save)
    return report(name, tally, busy=bool(given.busy))


if __name__ == "__main__":
    sys.exit(main())
