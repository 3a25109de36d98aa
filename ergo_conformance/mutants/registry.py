"""Registry of the mutants."""

from collections.abc import Mapping
from typing import Final

from ..errors import UsageError, suggestion
from .enp import ENP
from .esrd import ESRD
from .esrd_clients import ESRD_CLIENTS
from .esrd_names import ESRD_NAMES
from .handshake import HANDSHAKE
from .mutant import Mutant
from .relations import RELATIONS
from .saturn import SATURN
from .saturn_clients import SATURN_CLIENTS
from .sending import SENDING
from .spawn import SPAWN

AREAS: Final = (HANDSHAKE, ENP, RELATIONS, SPAWN, SENDING, ESRD, ESRD_NAMES, SATURN, ESRD_CLIENTS, SATURN_CLIENTS)
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
