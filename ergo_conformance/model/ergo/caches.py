"""What one side announced about the ids in the bytes it writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..values import Atom


@dataclass(frozen=True, slots=True)
class Caches:
    """The writer's three tables (id → name) and the reader's or writer's own atom mapping (local → remote).

    Both directions use the writer's tables: whoever encodes looks its own ids up, whoever decodes the peer's.
    The mapping is configuration, never sent: a writer replaces local atoms by remote ones, a reader the reverse.
    """

    atoms: Mapping[int, Atom] = field(default_factory=dict)
    types: Mapping[int, str] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)
    atom_mapping: Mapping[Atom, Atom] = field(default_factory=dict)


NO_CACHES = Caches()
