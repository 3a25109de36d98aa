"""Command line: one module for each verb."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import UsageError, suggestion
from ..model.text import is_utf_8
from ..output import check_columns, replace_characters

VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("run", "Run the suites against a target. Without one: the embedded reference node."),
    "list": (
        "list_",
        "List the cases with their level, their requirements, and the offers and settings that they need.",
    ),
    "explain": (
        "explain",
        "Explain a requirement, cases, a mutant, an EDF type, or a name or number of the protocols.",
    ),
    "node": ("node", "Run a reference node. It prints one READY line and serves until SIGTERM."),
    "registrar": ("registrar", "Run a registrar without a node."),
    "vectors": ("vectors", "Vector files and captures."),
    "mutants": (
        "mutants",
        "Run mutants, the reference node with one seeded fault each, and show which cases find them.",
    ),
}
"""Module of this package for each verb, whose `app` is the command, and its first line of help."""


class VerbGroup(TyperGroup):
    """Group of all verbs. The module of a verb is imported when the verb runs, as every target process starts this program."""

    # Any: typer has a private copy of click and no public name for the base class of commands.

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        """The name and the help of a verb, for `--help`."""
        return TyperCommand(cmd_name, help=VERBS[cmd_name][1])

    def resolve_command(self, _ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command of a verb, to run it."""
        name = args[0]
        if name not in VERBS:
            raise UsageError(f"unknown command {name!r}{suggestion(name, tuple(VERBS))}")
        command = typer.main.get_command(import_module(f".{VERBS[name][0]}", __package__).app)
        command.name = name
        return name, command, args[1:]


app = typer.Typer(
    name="ergo-conformance",
    cls=VerbGroup,
    help="Tests whether a node implements the Ergo network stack correctly, and shows the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _verbs() -> None:
    """Makes the program a group of verbs; it has no options besides --help."""


def main() -> None:
    """Runs the console script. A UsageError is printed as one sentence; the exit code is then 2."""
    replace_characters()
    check_columns()
    arguments, command = split(sys.argv[1:])
    try:
        for argument in arguments:
            if not is_utf_8(argument):
                raise UsageError(f"the argument {argument} is not UTF-8")
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
