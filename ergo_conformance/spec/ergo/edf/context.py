"""Context for reading and writing EDF: registered types and caches."""

from dataclasses import dataclass, field

from ....model.ergo.caches import NO_CACHES, Caches
from ....model.ergo.edf import FIRST_ATOM_ID, FIRST_ERROR_ID, FIRST_TYPE_ID, LAST_ERROR_ID
from ....model.registry import Registry
from ....model.values import Atom


@dataclass(frozen=True)
class EdfContext:
    """The registered types, the writer's caches, and the local atom mapping of the reader or writer."""

    registry: Registry
    caches: Caches = NO_CACHES
    local_atoms: dict[Atom, Atom] = field(init=False, repr=False)
    atom_ids: dict[Atom, int] = field(init=False, repr=False)
    type_ids: dict[str, int] = field(init=False, repr=False)
    error_ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        caches = self.caches
        fill = object.__setattr__
        fill(self, "local_atoms", {remote: local for local, remote in caches.atom_mapping.items()})
        fill(self, "atom_ids", {atom: id_ for id_, atom in caches.atoms.items() if id_ >= FIRST_ATOM_ID})
        fill(self, "type_ids", {name: id_ for id_, name in caches.types.items() if id_ >= FIRST_TYPE_ID})
        ids = ((text, id_) for id_, text in caches.errors.items())
        fill(self, "error_ids", {text: id_ for text, id_ in ids if FIRST_ERROR_ID <= id_ <= LAST_ERROR_ID})
