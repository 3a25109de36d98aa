"""Command line: one module for each verb."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from ..errors import UsageError, suggestion
from ..model.text import is_utf_8
from ..output import check_columns, replace_characters

VERBS: Final[Mapping[str, str]] = {
    "run": "run",
    "list": "list_",
    "explain": "explain",
    "node": "node",
    "registrar": "registrar",
    "vectors": "vectors",
    "mutants": "mutants",
}
"""Module of this package for each verb; its `app` is the command."""


class VerbGroup(TyperGroup):
    """Group of all verbs. The module of a verb is imported on first use, as every target process starts this program."""

    # Any: typer has a private copy of click and no public name for the base class of commands.

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            raise UsageError(f"unknown command {cmd_name!r}{suggestion(cmd_name, tuple(VERBS))}")
        command = typer.main.get_command(import_module(f".{VERBS[cmd_name]}", __package__).app)
        command.name = cmd_name
        return command


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
