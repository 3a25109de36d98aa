"""What a node says of itself: the ids in what it writes, the types it knows, the protocols it speaks."""

from typing import Final

from ..model import edf, ehs, enp, records
from ..model.caches import Caches
from ..model.ehs import Version
from ..model.esrd import Route
from ..model.registry import Registry
from ..model.terms import Atom
from .options import NetworkOptions

EHS: Final = Version(ehs.PROTOCOL, ehs.RELEASE, "", "MIT")
ENP: Final = Version(enp.PROTOCOL, enp.RELEASE, "", "MIT")


def is_spoken(route: Route) -> bool:
    """Whether a route names our protocols; commit and licence don't matter (ESRD-PL-3)."""
    return (route.HandshakeVersion[:2], route.ProtoVersion[:2]) == (EHS[:2], ENP[:2])


def registry_of(options: NetworkOptions) -> Registry:
    """The types a node knows: the framework's and its own."""
    registry = records.framework()
    for row in options.types:
        registry.add(row)
    return registry


def announce(options: NetworkOptions) -> Caches:
    """The ids of a node, handed out in order of registration."""
    atoms = dict.fromkeys((Atom(options.name), *map(Atom, options.atoms)))
    types = (*records.ROWS, *options.types)
    errors = (*records.ERRORS, *(error.text for error in options.errors))
    return Caches(
        atoms={edf.FIRST_ATOM_ID + i: atom for i, atom in enumerate(atoms)},
        types={edf.FIRST_TYPE_ID + i: row.name for i, row in enumerate(types)},
        errors={edf.FIRST_ERROR_ID + i: text for i, text in enumerate(errors)},
    )
