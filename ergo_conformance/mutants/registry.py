"""Registry of the mutants: the areas that the modules of this package declare."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from ..errors import UsageError, suggestion
from . import __name__ as package
from . import __path__ as folder
from .mutant import Area, Mutant


def _declared() -> Iterator[Area]:
    """Areas in the order of the names of their modules."""
    for name in sorted(module.name for module in iter_modules(folder)):
        if name != __name__.rpartition(".")[2]:
            yield from (value for value in vars(import_module(f".{name}", package)).values() if isinstance(value, Area))


AREAS: Final = tuple(dict.fromkeys(_declared()))
MUTANTS: Final[Mapping[str, Mutant]] = {mutant.id: mutant for area in AREAS for mutant in area.mutants}
"""Mutants by their ids."""


def mutant_named(text: str) -> Mutant:
    """Returns a mutant by its id, or by its name if only one area has it. UsageError for another text."""
    if text in MUTANTS:
        return MUTANTS[text]
    found = [mutant for mutant in MUTANTS.values() if mutant.name == text]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{text!r} names several mutants: {', '.join(mutant.id for mutant in found)}")
    names = (*MUTANTS, *(mutant.name for mutant in MUTANTS.values()))
    raise UsageError(f"unknown mutant {text!r}{suggestion(text, names)}")
