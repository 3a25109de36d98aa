"""`ergo-conformance list`: the cases."""

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..verdict.reports.terminal import make_console
from .child import collect


def list_cases(
    suite: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this suite; may be repeated.")] = None,
    profile: Annotated[str, typer.Option(help="Release whose requirements hold.")] = "ergo-3.1",
    level: Annotated[
        str, typer.Option(metavar="must|should|may|observed", help="Only cases this strict or stricter.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="An object with the key `cases`.")] = False,
) -> None:
    """List the cases with level, requirements, and what they need of a target."""
    cases = collect(suite or (), ["--ergo-profile", profile, "--ergo-level", level])
    if as_json:
        print(json.dumps({"cases": cases}, indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("case", no_wrap=True)
    for column in ("level", "needs", "requirements"):
        table.add_column(column)
    for row in cases:
        needs = [*row["needs"]["offers"], *row["needs"]["agents"]]
        needs += [f"{k}={json.dumps(v)}" for k, v in row["needs"]["config"].items()]
        table.add_row(escape(row["id"]), row["level"], " ".join(needs), " ".join(row["requirements"]))
    console = make_console()
    console.print(table)
    console.print(f"{len(cases)} cases")
