"""`ergo-conformance explain`: explains a requirement, a case, a mutant, or an EDF type."""

import json
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from ..errors import UsageError, suggestion
from ..locate import suites
from ..verdict.reports.console import make_console
from .explain_mutants import mutant_lines, print_mutants_of_case, print_mutants_of_requirement
from .pytest_process import suites_of

if TYPE_CHECKING:
    from ..spec.requirements import Requirement

app = typer.Typer(add_completion=False)
SHOWN_VECTORS: Final = 6
"""Number of vectors that are listed for a requirement."""


@app.command()
def explain(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Requirement, case, mutant (mutant:NAME), or EDF type: []int32, gen/Version…"
        ),
    ],
    code: Annotated[bool, typer.Option("--code", help="Show the code that is generated for an EDF type.")] = False,
) -> None:
    """Explain a requirement, a case, a mutant, or an EDF type."""
    from ..spec.requirements import catalogue
    from ..verdict.run.collection import collect_cases
    from .edf_types import find_type, print_type, type_names

    if id_ in catalogue():
        _requirement(catalogue()[id_], [case.as_json() for case in collect_cases().values()])
        return
    lines = mutant_lines(id_)
    if lines is not None:
        for line in lines:
            make_console().print(line, soft_wrap=True)
        return
    type_ = find_type(id_)
    if type_ is not None:
        print_type(type_, make_console(), code=code)
        return
    cases = collect_cases(suites_of([id_]))
    if id_ in cases:
        _case(cases[id_].as_json())
        return
    known = [*catalogue(), *cases, *type_names()]
    raise UsageError(f"{id_!r} is not a requirement, case, mutant or EDF type{suggestion(id_, known)}")


def _requirement(row: "Requirement", cases: list[dict[str, Any]]) -> None:
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
    for _, group in groupby(shown, key=lambda case: case["id"].partition("[")[0]):
        first, *rest = group
        more = f" and {len(rest)} with other parameters" if rest else ""
        say(f"[dim]case    [/] {escape(first['id'])}{more}: {escape(first['title'])}")
    vectors = vector_ids(id_)
    print_mutants_of_requirement(id_)
    if vectors:
        left = len(vectors) - SHOWN_VECTORS
        text = ", ".join(vectors[:SHOWN_VECTORS]) + (f" and {left} more" if left > 0 else "")
        say(f"[dim]vectors [/] {escape(text)}")


def vector_ids(requirement: str) -> list[str]:
    """Ids of the golden vectors that cite a requirement."""
    found: list[str] = []
    for path in sorted((suites() / "golden").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [*content.get("vectors", ()), *content.get("cases", ())]
        found += [row["id"] for row in rows if requirement in row.get("requirements", ())]
    return found


def _case(row: dict[str, Any]) -> None:
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
