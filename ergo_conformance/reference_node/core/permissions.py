"""Which nodes may use something: a list that is open to all, or to those it names.

Where upstream's code and documents differ the safe reading holds: the list from which the last node was taken is open to
nobody (upstream opens it to everybody, NAPI-PL-5), and to take one node off an open list shuts out that node alone (upstream
shuts out all, NAPI-PL-6).
"""

from collections.abc import Iterable

from ...model.values import Atom


class Permission:
    """One list."""

    def __init__(self, nodes: Iterable[Atom] = ()) -> None:
        self._nodes: set[Atom] | None = set(nodes) or None
        self._denied: set[Atom] = set()

    def allows(self, node: Atom) -> bool:
        """Whether this node may."""
        return node not in self._denied and (self._nodes is None or node in self._nodes)

    def enable(self, nodes: Iterable[Atom]) -> None:
        """Adds nodes; from everybody it becomes only these. Without nodes: everybody (NAPI-PL-3)."""
        added = set(nodes)
        self._denied = self._denied - added if added else set()
        self._nodes = (self._nodes or set()) | added if added else None

    def disable(self, nodes: Iterable[Atom]) -> None:
        """Takes nodes off."""
        gone = set(nodes)
        if self._nodes is None:
            self._denied |= gone
        else:
            self._nodes -= gone

    @property
    def nodes(self) -> list[Atom]:
        """The nodes that are named; empty if everybody may, or nobody."""
        return sorted(self._nodes or ())

    @property
    def closed(self) -> bool:
        """Whether nobody may."""
        return self._nodes == set()
