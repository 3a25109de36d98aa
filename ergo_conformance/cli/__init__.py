"""The command line: one small module per verb."""

import sys

import typer

from ..errors import UsageError
from . import explain, list_, node, registrar, run, vectors

app = typer.Typer(
    name="ergo-conformance",
    help="Tells whether a node speaks the Ergo network stack correctly, and proves it.",
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
    """The console script. A wrong setting: one sentence and exit code 2."""
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
    """What stands before `--`, and the command behind it."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]
