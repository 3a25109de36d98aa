"""`ergo-conformance vectors`: golden files and captures against both readers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from ..errors import UsageError, suggestion
from ..verdict.vectors.edf import Difference

app = typer.Typer(help="Golden vectors and captures.", no_args_is_help=True)
console = Console(highlight=False, soft_wrap=True)
ONLY = ("edf", "ehs", "enp", "esrd", "saturn")
MAX_SHOWN = 20
NOTHING_CHECKED = 5


@app.callback()
def vectors() -> None:
    """Golden vectors and captures."""


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="ergo-vectors/1 or ergo-captures/1")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="edf|ehs|enp|esrd|saturn", help="Only this protocol.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="All differences.")] = False,
) -> None:
    """Hold both readers, the schemas and the reference node, against golden vectors and captures.

    Exit code 0: both meet every row; 1: one does not; 2: not such a file; 5: nothing was checked.
    """
    if only is not None and only not in ONLY:
        raise UsageError(f"--only {only}: no such protocol{suggestion(only, ONLY)}")
    differences: list[Difference] = []
    checked = 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for path in progress.track(list(files or ()), description="checking"):
            what, n, found = check_file(path, only)
            checked += n
            differences += found
            state = (
                f"[bold red]{len(found)} differences[/]"
                if found
                else "[green]good[/]"
                if n
                else "[yellow]nothing to check[/]"
            )
            console.print(f"{escape(str(path))}: {state}; {what}")
            for difference in found if verbose else found[:MAX_SHOWN]:
                console.print(f"  {escape(str(difference))}")
            if len(found) > MAX_SHOWN and not verbose:
                console.print(f"  … and {len(found) - MAX_SHOWN} more (-v shows all)")
    if not checked:
        console.print("[bold yellow]nothing was checked[/]")
        raise typer.Exit(NOTHING_CHECKED)
    if len(files or ()) > 1:
        console.print(f"{len(files or ())} files, {checked:,} checked, {len(differences)} differences")
    raise typer.Exit(1 if differences else 0)


@app.command()
def play(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="CAPTURE…", help="ergo-captures/1, handshake and ENP")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="a|b", help="Only this side, as the file names it; else both.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="All differences, and what the excuses are.")
    ] = False,
) -> None:
    """Play captures of real nodes to the reference node, which takes the place of one side.

    What it writes has to be what the real node wrote, ids that each run chooses anew aside. Exit code 0: it is; 1: it
    is not; 2: not such a file; 5: nothing was played.
    """
    from ..verdict.replay import EXCUSES, SATURN_EXCUSES

    different = checked = 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for path in progress.track(list(files or ()), description="playing"):
            for played in _played(path, as_):
                checked += played.checked
                different += len(played.differences)
                state = (
                    f"[bold red]{len(played.differences)} differences[/]" if played.differences else "[green]good[/]"
                )
                console.print(f"{escape(str(path))} as {escape(played.role)}: {state}; {escape(str(played))}")
                for difference in played.differences if verbose else played.differences[:MAX_SHOWN]:
                    console.print(f"  {escape(str(difference))}")
                for excuse in (*EXCUSES, *SATURN_EXCUSES) if verbose else ():
                    if excuse.id in played.excused:
                        console.print(f"  {excuse.id}: {excuse.text}")
    console.print(f"{len(files or ())} files, {checked:,} messages and frames as recorded, {different} differences")
    if different:
        raise typer.Exit(1)
    if not checked:
        raise typer.Exit(NOTHING_CHECKED)


def _played(path: Path, role: str | None) -> Iterator[Any]:
    """Both roles of a capture, or one; a line for a file without any."""
    from ..verdict.captures import load
    from ..verdict.replay import play as play_one
    from ..verdict.replay import roles

    capture = load(path)
    found = roles(capture, role)
    if not found:
        console.print(f"{escape(str(path))}: [yellow]nothing to play[/]; {escape(capture.protocol)}")
    for direction in found:
        yield play_one(capture, direction)


def check_file(path: Path, only: str | None) -> tuple[str, int, list[Difference]]:
    """A line about what was checked in a file, how much it was, and what differs."""
    from ..verdict import captures
    from ..verdict.vectors import edf as golden

    if path.suffix == ".jsonl":
        capture = captures.load(path)
        if only == "edf":
            return "a capture", 0, []
        result = captures.check(capture, only)
        what = str(result.counts) if result.counts.checked else f"a capture of {capture.protocol}"
        return what, result.counts.checked, result.differences
    content = golden.read_json(path)
    if not isinstance(content, dict) or not ({"vectors", "cases"} & content.keys()):
        if isinstance(content, dict) and content.get("format") == "ergo-types/1":
            return "a table of types", 0, []
        if isinstance(content, dict) and "$schema" in content:
            return "a JSON Schema", 0, []
        raise UsageError(f"{path}: neither ergo-vectors/1 nor ergo-captures/1")
    if content.get("format", golden.FORMAT) != golden.FORMAT:
        raise UsageError(f"{path}: format {content['format']!r}, {golden.FORMAT} is known")
    protocol = str(content.get("protocol", "EDF")).lower()
    if only is not None and only != protocol:
        return f"{content.get('protocol', 'EDF')} vectors", 0, []
    if protocol == "ehs":
        from ..verdict.vectors.handshake import check_frames

        return check_frames(content)
    if protocol == "enp":
        from ..verdict.vectors.frames import check_enp

        return check_enp(content)
    if protocol in ("esrd", "saturn"):
        from ..verdict.vectors.packets import check_packets

        return check_packets(content)
    try:
        return check_edf(content)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def check_edf(content: Any) -> tuple[str, int, list[Difference]]:
    """An EDF vector file: every `expect`, at both readers, and what each input may cost."""
    from ..targets.self_node import NodeCodec
    from ..verdict.vectors import edf as golden

    file = golden.EdfFile(content, golden.registry_of(content))
    readers = (("node", NodeCodec(), golden.NODE_LIMITS), ("schema", golden.SpecCodec(), golden.SPEC_LIMITS))
    found: list[Difference] = []
    counts: Counter[str] = Counter()
    for row in file.rows:
        counts[row["expect"]] += 1
        for name, codec, limits in readers:
            for what in golden.checks(row):
                found += _named(name, golden.check_row(codec, row, file.registry, what))
            found += _named(name, _cost(codec, row, file, limits))
    text = ", ".join(f"{n} {expect}" for expect, n in sorted(counts.items()))
    return f"{len(file.rows)} rows ({text}), two readers", len(file.rows), found


def _named(reader: str, found: Iterator[Difference]) -> Iterator[Difference]:
    return (Difference(difference.id, f"{reader}: {difference.text}") for difference in found)


def _cost(codec: Any, row: Any, file: Any, limits: Any) -> Iterator[Difference]:
    from ..verdict.vectors import edf as golden

    data = golden.input_of(row)
    if data is not None:
        caches = golden.caches_of(row)
        too_much = golden.check_cost(lambda: codec.decode(data, file.registry, caches), len(data), limits)
        if too_much:
            yield Difference(row["id"], too_much)
