"""`ergo-conformance vectors`: vector files and captures against the schemas and the reference node."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from ..errors import UsageError, suggestion
from ..verdict.vectors.difference import Difference

if TYPE_CHECKING:
    from ..verdict.replay import ReplayResult

app = typer.Typer(help="Vector files and captures.", no_args_is_help=True, add_completion=False)
console = Console(highlight=False, soft_wrap=True)
MAX_SHOWN = 20
"""Differences per file that are printed without --verbose."""
NOTHING_CHECKED = 5
"""Exit code."""


@app.callback()
def vectors() -> None:
    """Check vector files and captures, and replay captures."""


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE…", help="Vector files (ergo-vectors/1), captures (ergo-captures/1)."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="edf|ehs|enp|esrd|saturn", help="Check only this protocol.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print all differences.")] = False,
) -> None:
    """Check vector files and captures with both readers and writers: the schemas and the reference node.

    Exit code 0: no difference; 1: a difference; 2: a file in another format; 5: nothing was checked.
    """
    from ..verdict.check import PROTOCOLS, check_file

    if only is not None and only not in PROTOCOLS:
        raise UsageError(f"--only {only}: unknown protocol{suggestion(only, PROTOCOLS)}")
    paths = files or []
    different = checked = 0
    for path in _progress(paths, "checking"):
        result = check_file(path, only)
        checked += result.checked
        different += len(result.differences)
        state = _state(result.differences) if result.checked or result.differences else "[yellow]nothing to check[/]"
        console.print(f"{escape(str(path))}: {state}; {escape(result.summary)}")
        _print_differences(result.differences, verbose=verbose)
    if not checked:
        console.print("[bold yellow]nothing was checked[/]")
        raise typer.Exit(NOTHING_CHECKED)
    if len(paths) > 1:
        console.print(f"{len(paths)} files, {checked:,} checked, {different} differences")
    raise typer.Exit(1 if different else 0)


@app.command()
def play(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CAPTURE…", help="Captures (ergo-captures/1) of EHS and ENP, or of Saturn."),
    ] = None,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="a|b", help="Replay only this side, by its name in the file; default: each in turn."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print all differences, and the texts of known deviations.")
    ] = False,
) -> None:
    """Replay captures of real nodes: the reference node takes the place of one side.

    The node has to write what the real node wrote, except for ids that each run chooses anew. Exit code 0: no
    difference; 1: a difference; 2: not a capture; 5: nothing was replayed.
    """
    from ..verdict.replay import KNOWN_DEVIATIONS

    paths = files or []
    different = checked = 0
    for path in _progress(paths, "replaying"):
        for result in _replays(path, as_):
            checked += result.checked
            different += len(result.differences)
            place = f"{escape(str(path))} as {escape(result.side)}"
            console.print(f"{place}: {_state(result.differences)}; {escape(str(result))}")
            _print_differences(result.differences, verbose=verbose)
            for id_, text in KNOWN_DEVIATIONS.items() if verbose else ():
                if id_ in result.deviations:
                    console.print(f"  {id_}: {text}")
    console.print(f"{len(paths)} files, {checked:,} messages and frames as recorded, {different} differences")
    if different:
        raise typer.Exit(1)
    if not checked:
        raise typer.Exit(NOTHING_CHECKED)


def _replays(path: Path, side: str | None) -> "Iterator[ReplayResult]":
    """Replays both sides of a capture, or one; prints a line for a capture without a side to replay."""
    from ..verdict.captures import load
    from ..verdict.replay import replay, replayable_directions

    capture = load(path)
    directions = replayable_directions(capture, side)
    if not directions:
        console.print(f"{escape(str(path))}: [yellow]nothing to replay[/]; {escape(capture.protocol)}")
    for direction in directions:
        yield replay(capture, direction)


def _progress(paths: list[Path], description: str) -> Iterator[Path]:
    """Yields the files; shows a progress bar meanwhile if the output is a terminal."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(paths, description=description)


def _state(differences: list[Difference]) -> str:
    return f"[bold red]{len(differences)} differences[/]" if differences else "[green]good[/]"


def _print_differences(differences: list[Difference], *, verbose: bool) -> None:
    for difference in differences if verbose else differences[:MAX_SHOWN]:
        console.print(f"  {escape(str(difference))}")
    if len(differences) > MAX_SHOWN and not verbose:
        console.print(f"  … and {len(differences) - MAX_SHOWN} more (-v prints all)")
