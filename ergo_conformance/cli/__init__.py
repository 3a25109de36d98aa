"""Command line: one module for each verb."""

import sys

import typer

from ..errors import UsageError
from . import explain, list_, node, registrar, run, vectors

app = typer.Typer(
    name="ergo-conformance",
    help="Tests whether a node implements the Ergo network stack correctly, and shows the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("list")(list_.list_cases)
app.command("explain")(explain.explain)
app.command("node")(node.node)
app.add_typer(registrar.app, name="registrar")
app.add_typer(vectors.app, name="vectors")


def main() -> None:
    """Runs the console script. A UsageError is printed as one sentence; the exit code is then 2."""
    arguments, command = split(sys.argv[1:])
    try:
        app(args=arguments, obj=command, prog_name="ergo-conformance")
    except UsageError as error:
        print(f"ergo-conformance: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        sys.exit(1)


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Splits the arguments into those before `--` and the command after it."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]
