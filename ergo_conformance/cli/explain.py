"""`ergo-conformance explain`: explains a requirement, cases, a mutant, an EDF type, or a fact of the protocols."""

import json
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from ..errors import UsageError, suggestion
from ..locate import suite_names, suites
from ..verdict.reports.console import make_console
from .chosen_suites import suites_of
from .explain_mutants import mutant_lines, print_mutants_of_case, print_mutants_of_requirement

if TYPE_CHECKING:
    from ..spec.requirements import Requirement

app = typer.Typer(add_completion=False)
SHOWN_VECTORS: Final = 6
"""Number of vectors that are listed for a requirement."""
Rows = Sequence[Mapping[str, Any]]
"""Cases, in the form of `list --json`."""


@app.command()
def explain(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Requirement, case or family of cases, mutant:NAME, EDF type (gen.Version), tag, frame (101), state.",
        ),
    ],
    code: Annotated[bool, typer.Option("--code", help="Show the code that is generated for an EDF type.")] = False,
) -> None:
    """Explain a requirement, cases, a mutant, an EDF type, or a name or number of the protocols."""
    found = [explained for explainer in EXPLAINERS if (explained := explainer(id_, code))]
    if not found:
        raise UsageError(
            f"{id_!r} is not known as a requirement, case, mutant, EDF type, tag, frame or state{_suggestion(id_)}"
        )
    for i, print_it in enumerate(found):
        if i:
            make_console().print()
        print_it()


Explanation = Callable[[], None]
"""Prints an explanation."""


def _of_requirement(id_: str, _code: bool) -> Explanation | None:
    from ..spec.requirements import catalogue

    row = catalogue().get(id_.upper()) or catalogue().get(id_)
    return None if row is None else lambda: _requirement(row, _cases(suite_names()))


def _of_mutant(id_: str, _code: bool) -> Explanation | None:
    lines = mutant_lines(id_)
    return None if lines is None else lambda: _print_lines(lines)


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        make_console().print(line, soft_wrap=True)


def _of_facts(id_: str, _code: bool) -> Explanation | None:
    from .explain_facts import facts

    found = facts(id_)
    return (lambda: _print_facts(found)) if found else None


def _of_type(id_: str, code: bool) -> Explanation | None:
    from .edf_types import find_type, print_type

    type_ = find_type(id_)
    return None if type_ is None else lambda: print_type(type_, make_console(), code=code)


def _of_cases(id_: str, _code: bool) -> Explanation | None:
    """A case, or all cases whose ids begin with these words or match them as a pattern."""
    names = suites_of([id_])
    if not names:
        return None
    rows = _cases(names)
    exact = [row for row in rows if row["id"] == id_]
    if exact:
        return lambda: _case(exact[0])
    pattern = id_.replace("[", "[[]")
    family = [row for row in rows if row["id"].startswith((f"{id_}.", f"{id_}[")) or fnmatchcase(row["id"], pattern)]
    return (lambda: _family(id_, family)) if family else None


EXPLAINERS: Final[tuple[Callable[[str, bool], Explanation | None], ...]] = (
    _of_requirement,
    _of_mutant,
    _of_facts,
    _of_type,
    _of_cases,
)
"""Each returns what prints the explanation of an id, or None if it does not know the id."""


def _cases(names: Sequence[str]) -> Rows:
    from ..verdict.run.collection import collect_cases

    return [case.as_json() for case in collect_cases(names).values()]


def _suggestion(id_: str) -> str:
    from ..spec.requirements import catalogue
    from .edf_types import type_names
    from .explain_facts import fact_names

    cases = [row["id"] for row in _cases(suites_of([id_]))] if suites_of([id_]) else []
    areas = dict.fromkeys(".".join(case.split(".")[:2]) for case in cases)
    types = [name for full in type_names() for name in (full, full.rsplit("/", 1)[-1])]
    return suggestion(id_, [*catalogue(), *cases, *areas, *suite_names(), *fact_names(), *types])


def _print_facts(found: Sequence[Sequence[str]]) -> None:
    say = make_console().print
    for i, (head, *lines) in enumerate(found):
        if i:
            say()
        say(f"[bold]{escape(head)}[/]")
        for line in lines:
            say(f"  {escape(line)}")


def _requirement(row: "Requirement", cases: Rows) -> None:
    id_, say = row.id, make_console().print
    say(f"[bold]{id_}[/]  {row.level}  {' '.join(row.profiles)}")
    say(escape(row.text))
    say(f"[dim]source  [/] {escape(row.source)} ({row.evidence})")
    if row.role:
        say(f"[dim]obliges [/] {row.role}")
    if row.differs:
        say("[dim]note    [/] behaviour of the upstream node; a target that behaves differently does not fail")
    if row.reason:
        say(f"[dim]level   [/] {escape(row.reason)}")
    if row.untested:
        say(f"[dim]untested[/] {escape(row.untested)}")
    shown = [case for case in cases if id_ in case["requirements"]]
    for first, more in _families(shown):
        say(f"[dim]case    [/] {escape(first['id'])}{more}: {escape(first['title'])}")
    vectors = vector_ids(id_)
    print_mutants_of_requirement(id_)
    if vectors:
        left = len(vectors) - SHOWN_VECTORS
        text = ", ".join(vectors[:SHOWN_VECTORS]) + (f" and {left} more" if left > 0 else "")
        say(f"[dim]vectors [/] {escape(text)}")


def _families(rows: Rows) -> list[tuple[Mapping[str, Any], str]]:
    """The first case of each function, and words about the others."""
    found = []
    for _, group in groupby(rows, key=lambda case: case["id"].partition("[")[0]):
        first, *rest = group
        found.append((first, f" and {len(rest)} with other parameters" if rest else ""))
    return found


def vector_ids(requirement: str) -> list[str]:
    """Ids of the golden vectors that cite a requirement."""
    found: list[str] = []
    for path in sorted((suites() / "golden").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [*content.get("vectors", ()), *content.get("cases", ())]
        found += [row["id"] for row in rows if requirement in row.get("requirements", ())]
    return found


def _case(row: Mapping[str, Any]) -> None:
    from ..spec.requirements import catalogue

    say = make_console().print
    say(f"[bold]{escape(row['id'])}[/]  {row['level']}  {' '.join(row['profiles'])}")
    say(escape(row["title"]))
    for id_ in row["requirements"]:
        say(f"[dim]shows [/] {id_} {catalogue()[id_].level}: {escape(catalogue()[id_].text)}")
    needs = [*row["needs"]["offers"], *row["needs"]["agents"]]
    needs += [f"{k}={json.dumps(v)}" for k, v in row["needs"]["config"].items()]
    say(f"[dim]needs [/] a target that offers {' '.join(needs)}")
    print_mutants_of_case(row["id"])
    say(f"[dim]run   [/] ergo-conformance run --case '{escape(row['id'])}'", soft_wrap=True)


def _family(id_: str, rows: Rows) -> None:
    say = make_console().print
    say(f"[bold]{escape(id_)}[/]  {len(rows)} case{'' if len(rows) == 1 else 's'}")
    for first, more in _families(rows):
        say(f"[dim]case    [/] {escape(first['id'])}{more}: {escape(first['title'])}")
    requirements = list(dict.fromkeys(id_ for row in rows for id_ in row["requirements"]))
    say(f"[dim]shows   [/] {' '.join(requirements)}")
    inside = ".*" if rows[0]["id"].startswith(f"{id_}.") else "*"
    pattern = id_ if "*" in id_ or "?" in id_ else id_ + inside
    say(f"[dim]run     [/] ergo-conformance run --case '{escape(pattern)}'", soft_wrap=True)
