"""`ergo-conformance run`: the suites against a target."""

import shlex
import sys
from typing import Annotated

import typer

from ..errors import UsageError
from ..locate import COOKIE_VARIABLE, TOKEN_VARIABLE
from .child import pytest_child


def run(  # noqa: PLR0913, PLR0917  one argument per option
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(help="self | tcp://HOST:PORT | tls://HOST:PORT | process:CMD, or a command behind `--`")
    ] = "self",
    cookie: Annotated[
        str | None, typer.Option(envvar=COOKIE_VARIABLE, help="Cookie of the node under test.", show_envvar=True)
    ] = None,
    node: Annotated[str | None, typer.Option(metavar="NAME@HOST", help="Name of the node under test.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Start the target with TLS.")] = False,
    tls_ca: Annotated[str | None, typer.Option(metavar="FILE", help="Verify its certificate against this CA.")] = None,
    offers: Annotated[
        str | None, typer.Option(metavar="LIST", help="What it offers: accept, agents, registrar, saturn.")
    ] = None,
    registrar: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the registrar of a running target listens.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar=TOKEN_VARIABLE, help="That registrar is a Saturn with this token.", show_envvar=True),
    ] = None,
    over: Annotated[str | None, typer.Option(metavar="memory|tcp", help="How the embedded node is reached.")] = None,
    profile: Annotated[str, typer.Option(help="Release whose requirements hold.")] = "ergo-3.1",
    suite: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this suite; may be repeated.")] = None,
    case: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this case; may be repeated; * and ? stand for more.")
    ] = None,
    level: Annotated[
        str, typer.Option(metavar="must|should|may|observed", help="Only cases this strict or stricter.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of all salts, names and ids.")] = 0,
    jobs: Annotated[int, typer.Option(help="Live cases at the same time.")] = 16,
    timeout: Annotated[float, typer.Option(help="Seconds that one live case may take.")] = 30.0,
    report: Annotated[
        list[str] | None, typer.Option(metavar="KIND=FILE", help="Write a report, junit or json; may be repeated.")
    ] = None,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Only cases that match, as in pytest.")
    ] = None,
    exit_first: Annotated[bool, typer.Option("--exitfirst", "-x", help="Stop at the first failure.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line per case.")] = False,
) -> None:
    """Run the suites against a target. Without one: the embedded reference node.

    Exit code 0: all as it should be; 1: it does not conform; 2: a wrong setting, or no target; 5: nothing was tested.
    """
    command: list[str] = context.obj or []
    if command:
        if target != "self":
            raise UsageError(f"two targets: {target} and the command behind --")
        target = "process:" + shlex.join(command)
    options = [
        "--ergo-terminal", "--ergo-target", target, "--ergo-profile", profile, "--ergo-level", level,
        "--ergo-seed", str(seed), "--ergo-jobs", str(jobs), "--ergo-timeout", str(timeout),
        "--ergo-rerun", rerun(sys.argv[1:]),
    ]  # fmt: skip
    for name, value in (
        ("node", node),
        ("tls-ca", tls_ca),
        ("offers", offers),
        ("over", over),
        ("registrar", registrar),
    ):
        if value is not None:
            options += [f"--ergo-{name}", value]
    for id_ in case or ():
        options += ["--ergo-case", id_]
    for spec in report or ():
        options += ["--ergo-report", spec]
    if keyword is not None:
        options += ["-k", keyword]
    options += ["-x"] * exit_first + ["-v"] * verbose + ["--ergo-tls"] * tls
    secrets = {COOKIE_VARIABLE: cookie, TOKEN_VARIABLE: token}
    given = {variable: secret for variable, secret in secrets.items() if secret is not None}
    raise typer.Exit(pytest_child(suite or (), options, given))


def rerun(arguments: list[str]) -> str:
    """The command line again, for one case: without what chose cases or wrote reports, the secrets hidden."""
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
