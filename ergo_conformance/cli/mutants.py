"""`ergo-conformance mutants`: the kill matrix, i.e. which cases find which faulty nodes."""

import typer

from ..verdict.matrix.options import MutantsOptions
from .options import takes

app = typer.Typer(add_completion=False)


@app.command()
@takes(MutantsOptions, arguments=("names",))
def mutants(_context: typer.Context, options: MutantsOptions) -> None:
    """Run mutants, the reference node with one seeded fault each, and show which cases find them.

    Without options: all mutants against the cases that their declarations name, which has to find each of them, and each
    case of a MUST has to find one. Exit code 0: so it is; 1: it is not; 2: an invalid option; 5: nothing was selected.
    """
    from ..verdict.matrix.command import run_matrix  # here, since it imports pytest and the node

    raise typer.Exit(run_matrix(options))
