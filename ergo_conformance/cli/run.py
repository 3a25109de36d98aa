"""`ergo-conformance run`: runs the suites against a target."""

import dataclasses
import shlex
import sys
from dataclasses import dataclass

import typer

from ..errors import UsageError
from ..targets.kinds import forms
from ..targets.options import option
from ..verdict.run.options import RunOptions
from .chosen_suites import chosen_suites
from .options import pytest_arguments, takes
from .pytest_process import pytest_child

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class CommandOptions(RunOptions):
    """Options of `ergo-conformance run`: those of a run, and those that pytest itself has."""

    target: str = option("self", f"Target to test: {forms()}, or a command after `--`.")
    suite: tuple[str, ...] = option((), "Run only this suite; may be repeated.", metavar="NAME")
    keyword: str | None = option(None, "Select only cases that match, as in pytest.", metavar="EXPR", flags=("-k",))
    exit_first: bool = option(False, "Stop at the first failure.", flags=("--exitfirst", "-x"))
    verbose: bool = option(False, "Print one line per case.", flags=("--verbose", "-v"))


@app.command()
@takes(CommandOptions, arguments=("target",))
def run(context: typer.Context, options: CommandOptions) -> None:
    """Run the suites against a target. Without one: the embedded reference node.

    Exit code 0: the target conforms; 1: it does not; 2: an invalid option, or no target; 5: nothing was tested.
    """
    command: list[str] = context.obj or []
    if command:
        if options.target != "self":
            raise UsageError(f"two targets: {options.target} and the command after --")
        options = dataclasses.replace(options, target="process:" + shlex.join(command))
    arguments, environment = pytest_arguments(options, RunOptions)
    arguments += ["--ergo-terminal", "--ergo-rerun", rerun(sys.argv[1:])]
    if options.keyword is not None:
        arguments += ["-k", options.keyword]
    arguments += ["-x"] * options.exit_first + ["-v"] * options.verbose
    names = chosen_suites(options.suite, options.case)
    raise typer.Exit(pytest_child(names, arguments, environment, options.report))


def rerun(arguments: list[str]) -> str:
    """Command line that runs one case again: without options that select cases or write reports, with secrets hidden.

    `{case}` stands for the `--case` option.
    """
    kept: list[str] = []
    skip = 0
    for i, argument in enumerate(arguments):
        if skip:
            skip -= 1
            continue
        if argument == "--":
            return f"ergo-conformance {shlex.join(kept)} {{case}} {shlex.join(arguments[i:])}"
        name = argument.partition("=")[0]
        if name in ("--case", "--suite", "--report", "-k"):
            skip = 0 if "=" in argument else 1
        elif name in ("--cookie", "--token"):
            skip = 0 if "=" in argument else 1
            kept += [name, name.removeprefix("--").upper()]
        elif argument not in ("-x", "-v", "--exitfirst", "--verbose"):
            kept.append(argument)
    return f"ergo-conformance {shlex.join(kept)} {{case}}"
