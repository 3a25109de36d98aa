"""What a node says of itself: the ids in what it writes, and the types it knows."""

from ...model.ergo import edf, records
from ...model.ergo.caches import Caches
from ...model.registry import Registry
from ...model.values import Atom
from ..options import NodeOptions


def registry_of(options: NodeOptions) -> Registry:
    """The types a node knows: the framework's and its own."""
    registry = records.framework()
    for row in options.types:
        registry.add(row)
    return registry


def announce(name: str, options: NodeOptions) -> Caches:
    """The ids of a node, handed out in order of registration."""
    atoms = dict.fromkeys((Atom(name), *map(Atom, options.atoms)))
    types = (*records.ROWS, *options.types)
    errors = (*records.ERRORS, *(error.text for error in options.errors))
    return Caches(
        atoms={edf.FIRST_ATOM_ID + i: atom for i, atom in enumerate(atoms)},
        types={edf.FIRST_TYPE_ID + i: row.name for i, row in enumerate(types)},
        errors={edf.FIRST_ERROR_ID + i: text for i, text in enumerate(errors)},
    )
