"""Registered types of a node, and the ids that it announces in its introduction."""

from ...model.ergo import edf, records
from ...model.ergo.caches import Caches
from ...model.registry import Registry
from ...model.values import Atom
from ..options import NodeOptions


def make_registry(options: NodeOptions) -> Registry:
    """Returns the types that a node knows: the framework's and its own."""
    registry = records.framework()
    for row in options.types:
        registry.add(row)
    return registry


def initial_caches(name: str, options: NodeOptions) -> Caches:
    """Returns the ids of a node's atoms, types and errors, in the order of registration."""
    atoms = dict.fromkeys((Atom(name), *map(Atom, options.atoms)))
    types = (*records.ROWS, *options.types)
    errors = (*records.ERRORS, *(error.text for error in options.errors))
    return Caches(
        atoms={edf.FIRST_ATOM_ID + i: atom for i, atom in enumerate(atoms)},
        types={edf.FIRST_TYPE_ID + i: row.name for i, row in enumerate(types)},
        errors={edf.FIRST_ERROR_ID + i: text for i, text in enumerate(errors)},
    )
