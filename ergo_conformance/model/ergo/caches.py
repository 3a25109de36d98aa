"""Caches: the ids that one side announced for atoms, types and errors in the bytes it writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..values import Atom


@dataclass(frozen=True, slots=True)
class Caches:
    """The three tables of the writer (id → name), and the local atom mapping of the reader or writer (local → remote).

    Both directions use the writer's tables: an encoder looks up its own ids, a decoder those of its peer. The mapping is
    configuration and is never sent: a writer replaces local atoms by remote ones, a reader remote atoms by local ones.
    """

    atoms: Mapping[int, Atom] = field(default_factory=dict)
    types: Mapping[int, str] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)
    atom_mapping: Mapping[Atom, Atom] = field(default_factory=dict)


NO_CACHES = Caches()
