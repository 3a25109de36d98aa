"""Permissions of nodes: a list that is open to every node, or to the nodes it names.

Where upstream's code and documents differ, the stricter one applies: a list from which the last node was removed is closed
(upstream opens it to every node, NAPI-PL-5), and removing one node from an open list excludes that node alone (upstream
excludes every node, NAPI-PL-6).
"""

from collections.abc import Iterable

from ...model.values import Atom


class Permission:
    """The nodes that may use one factory or application."""

    def __init__(self, nodes: Iterable[Atom] = ()) -> None:
        """Without `nodes` the permission is open to every node."""
        self._nodes: set[Atom] | None = set(nodes) or None
        self._denied: set[Atom] = set()

    def allows(self, node: Atom) -> bool:
        """Returns whether this node is permitted."""
        return node not in self._denied and (self._nodes is None or node in self._nodes)

    def enable(self, nodes: Iterable[Atom]) -> None:
        """Adds nodes; an open list becomes one of only these. Without nodes: opens the list (NAPI-PL-3)."""
        added = set(nodes)
        self._denied = self._denied - added if added else set()
        self._nodes = (self._nodes or set()) | added if added else None

    def disable(self, nodes: Iterable[Atom]) -> None:
        """Removes nodes."""
        removed = set(nodes)
        if self._nodes is None:
            self._denied |= removed
        else:
            self._nodes -= removed

    @property
    def nodes(self) -> list[Atom]:
        """The named nodes; empty if the list is open or closed."""
        return sorted(self._nodes or ())

    @property
    def closed(self) -> bool:
        """True if no node is permitted."""
        return self._nodes == set()
