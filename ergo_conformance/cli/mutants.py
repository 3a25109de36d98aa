"""`ergo-conformance mutants`: the kill matrix, i.e. which cases find which faulty nodes."""

import os
from dataclasses import dataclass

import typer

from ..targets.options import option
from .options import takes

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class MutantsOptions:
    """Options of `ergo-conformance mutants`."""

    names: tuple[str, ...] = option((), "Only these mutants; * and ? are wildcards.", metavar="NAME")
    suite: tuple[str, ...] = option((), "Only the cases of this suite; may be repeated.", metavar="NAME")
    case: tuple[str, ...] = option((), "Only this case; may be repeated; * and ? are wildcards.", metavar="ID")
    all_cases: bool = option(False, "Run all selected cases against each mutant, not only its declared cases.")
    jobs: int = option(os.cpu_count() or 1, "Number of runs in memory at once.", metavar="N")


@app.command()
@takes(MutantsOptions, arguments=("names",))
def mutants(_context: typer.Context, options: MutantsOptions) -> None:
    """Run mutants, the reference node with one seeded fault each, and show which cases find them.

    Exit code 0: each mutant is found as its declaration says; 1: one is not; 2: an invalid option; 5: nothing is selected.
    """
    from ..verdict.matrix.command import run_matrix

    raise typer.Exit(run_matrix(options.names, options.suite, options.case, options.jobs, all_cases=options.all_cases))
