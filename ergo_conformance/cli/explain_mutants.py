"""What `explain` prints of mutants."""

from collections.abc import Iterator

from rich.markup import escape

from ..verdict.reports.console import make_console

PREFIX = "mutant:"


def mutant_lines(id_: str) -> list[str] | None:
    """The explanation of a mutant, by its id or `mutant:` and its id or name; None if there is none of this id."""
    from ..mutants.registry import MUTANTS, mutant_named  # here, since it imports the node

    if id_.startswith(PREFIX):
        mutant = mutant_named(id_.removeprefix(PREFIX))
    elif id_ in MUTANTS:
        mutant = MUTANTS[id_]
    else:
        return None
    return list(_mutant(mutant.id))


def _mutant(id_: str) -> Iterator[str]:
    from ..mutants.registry import MUTANTS
    from ..spec.requirements import catalogue

    mutant = MUTANTS[id_]
    yield f"[bold]{PREFIX}{id_}[/]  a reference node with a fault{', subtle' if mutant.subtle else ''}"
    yield escape(mutant.breaks)
    for requirement in mutant.requirements:
        yield f"[dim]breaks  [/] {requirement} {catalogue()[requirement].level}: {escape(catalogue()[requirement].text)}"
    for case in mutant.found_by:
        yield f"[dim]found by[/] {escape(case)}"
    yield f"[dim]runs    [/] {'over TCP' if mutant.needs_tcp else 'in memory'}"
    yield f"[dim]run     [/] ergo-conformance run mutant:{id_}"


def print_mutants_of_case(id_: str) -> None:
    """Prints the mutants that declare this case."""
    from ..mutants.registry import MUTANTS
    from ..verdict.run.collection import matches

    _print(
        "mutant",
        (mutant.id for mutant in MUTANTS.values() if any(matches(id_, pattern) for pattern in mutant.found_by)),
    )


def print_mutants_of_requirement(id_: str) -> None:
    """Prints the mutants that break this requirement."""
    from ..mutants.registry import MUTANTS

    _print("mutant  ", (mutant.id for mutant in MUTANTS.values() if id_ in mutant.requirements))


def _print(label: str, ids: Iterator[str]) -> None:
    from ..mutants.registry import MUTANTS

    for id_ in ids:
        make_console().print(f"[dim]{label}[/] {id_}: {escape(MUTANTS[id_].breaks)}")
