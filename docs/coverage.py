"""Coverage of the requirements by real runs: `python docs/coverage.py PROFILE=REPORT.json…` rewrites docs/coverage.json.

PROFILE is the name of a column: `self`, `self --over tcp`, `process:`, `tcp://` or `tls://`. REPORT.json is a JSON
report of `ergo-conformance run`. Columns that are not named stay. `python docs/generate.py` then makes the page.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ergo_conformance.locate import suites
from ergo_conformance.spec.requirements import STRICTNESS, Requirement, catalogue

DATA = Path(__file__).parent / "coverage.json"
PROFILES = ("self", "self --over tcp", "process:", "tcp://", "tls://")
TRIED = ("PASS", "FAIL", "WARN", "INFO")
"""Verdicts of cases that tested the target."""
HEAD = """# Coverage of the requirements

Made by `python docs/generate.py` from `docs/coverage.json`, which `python docs/coverage.py PROFILE=REPORT.json…` writes
from JSON reports of real runs. A number is the number of cases that tested the requirement in that run; – means that no case
was applicable, since the target does not offer what its cases need; ? that the data have no run of this profile. `vectors`
counts golden rows, which `ergo-conformance vectors check` tests with both implementations. A requirement that no case and no
row can test has a reason.
"""


def counts_of(report: Mapping[str, Any]) -> dict[str, int]:
    """Returns the number of cases that tested each requirement; 0 if all its cases were skipped or had no verdict."""
    tested: Counter[str] = Counter()
    for case in report["cases"]:
        for id_ in case["requirements"]:
            tested[id_] += case["verdict"] in TRIED
    return dict(sorted(tested.items()))


def vectors() -> Counter[str]:
    """Returns the number of golden rows that cite each requirement."""
    cited: Counter[str] = Counter()
    for path in [*sorted((suites() / "golden").glob("*_vectors.json")), suites() / "golden" / "edf_negative.json"]:
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in (*content.get("vectors", ()), *content.get("cases", ())):
            cited.update(row.get("requirements", ()))
    return cited


def page() -> str:
    """Returns the page of all requirements, by protocol."""
    runs: dict[str, dict[str, int]] = json.loads(DATA.read_text(encoding="utf-8"))
    rows, golden = list(catalogue().values()), vectors()
    lines = [HEAD, "## Sums", "", f"| level | requirements | {' | '.join(PROFILES)} | vectors | untestable |"]
    lines.append("|---" * (len(PROFILES) + 4) + "|")
    lines += (_sum(level, [row for row in rows if row.level is level], runs, golden) for level in STRICTNESS)
    for protocol in dict.fromkeys(row.protocol for row in rows):
        lines += [
            "",
            f"## {protocol.upper()}",
            "",
            f"| requirement | level | {' | '.join(PROFILES)} | vectors | reason |",
        ]
        lines.append("|---" * (len(PROFILES) + 4) + "|")
        lines += (_row(row, runs, golden) for row in rows if row.protocol == protocol)
    return "\n".join(lines) + "\n"


def _sum(level: str, rows: list[Requirement], runs: Mapping[str, Mapping[str, int]], golden: Mapping[str, int]) -> str:
    tested = [str(sum(runs[name].get(row.id, 0) > 0 for row in rows)) if name in runs else "?" for name in PROFILES]
    cited = sum(golden.get(row.id, 0) > 0 for row in rows)
    cells = [level, str(len(rows)), *tested, str(cited), str(sum(bool(row.untested) for row in rows))]
    return f"| {' | '.join(cells)} |"


def _row(row: Requirement, runs: Mapping[str, Mapping[str, int]], golden: Mapping[str, int]) -> str:
    cells = list(_cells(row.id, runs))
    rows = str(golden.get(row.id, "")) or ""
    return f"| {row.id} | {row.level} | {' | '.join(cells)} | {rows} | {row.untested.replace('|', chr(92) + '|')} |"


def _cells(id_: str, runs: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for name in PROFILES:
        if name not in runs:
            yield "?"
        else:
            count = runs[name].get(id_)
            yield "" if count is None else str(count or "–")


def main(arguments: list[str]) -> None:
    """Adds reports to the data."""
    runs = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {}
    for argument in arguments:
        name, _, file = argument.rpartition("=")
        if name not in PROFILES:
            sys.exit(f"{argument}: expected PROFILE=REPORT.json with a profile of: {', '.join(PROFILES)}")
        runs[name] = counts_of(json.loads(Path(file).read_text(encoding="utf-8")))
    lines = (f"{json.dumps(name)}: {json.dumps(runs[name])}" for name in PROFILES if name in runs)
    DATA.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
