"""`ergo-conformance list`: lists the cases."""

import json
from dataclasses import dataclass

import typer
from rich.markup import escape
from rich.table import Table

from ..targets.options import option
from ..verdict.reports.console import make_console
from ..verdict.run.options import SelectionOptions
from .options import takes

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class ListOptions(SelectionOptions):
    """Options of `ergo-conformance list`."""

    suite: tuple[str, ...] = option((), "List only this suite; may be repeated.", metavar="NAME")
    as_json: bool = option(False, "Print an object with the key `cases`.", flags=("--json",))


@app.command()
@takes(ListOptions)
def list_cases(_context: typer.Context, options: ListOptions) -> None:
    """List the cases with their level, their requirements, and the offers and settings that they need."""
    from ..verdict.run.collection import collect_cases, select  # here, since they import pytest

    options.check()
    cases = [case.as_json() for case in select([*collect_cases(options.suite).values()], options)]
    if options.as_json:
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
