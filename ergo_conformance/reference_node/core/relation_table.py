"""Table of the links and monitors of one node.

Consumers are PIDs of this node or of other nodes.  A target is a process by PID, name or alias, an event, or a node.  Each
relation exists once, and is removed when its consumer was notified of the end of the target, or on request.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...model.values import PID, Atom
from ..api.relations import RelationKind, RelationTarget, node_of

Key = tuple[type, RelationTarget]
"""A target with its type: a name and an event with equal parts are different targets."""


class Relation(NamedTuple):
    """One consumer of one target."""

    kind: RelationKind
    consumer: PID


def key_of(target: RelationTarget) -> Key:
    """Returns a target with its type."""
    return type(target), target


class RelationTable:
    """The relations of one node. Every method takes time in proportion to the relations it touches."""

    def __init__(self) -> None:
        self._by_target: dict[Key, dict[Relation, None]] = {}
        self._by_consumer: dict[PID, set[tuple[Key, Relation]]] = {}
        self._by_node: dict[Atom, set[Key]] = {}
        self._consumers_of_node: dict[Atom, set[PID]] = {}

    def __len__(self) -> int:
        return sum(len(relations) for relations in self._by_target.values())

    def add(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        """Adds a relation. False if it exists already."""
        key, relation = key_of(target), Relation(kind, consumer)
        relations = self._by_target.setdefault(key, {})
        if relation in relations:
            return False
        relations[relation] = None
        self._by_consumer.setdefault(consumer, set()).add((key, relation))
        self._by_node.setdefault(node_of(target), set()).add(key)
        self._consumers_of_node.setdefault(consumer.node, set()).add(consumer)
        return True

    def has(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        """Returns whether a relation exists."""
        return Relation(kind, consumer) in self._by_target.get(key_of(target), {})

    def remove(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        """Removes a relation. False if it does not exist."""
        key, relation = key_of(target), Relation(kind, consumer)
        if relation not in self._by_target.get(key, {}):
            return False
        self._remove(key, relation)
        return True

    def has_consumers(self, target: RelationTarget) -> bool:
        """Returns whether a target has relations."""
        return key_of(target) in self._by_target

    def of(self, target: RelationTarget) -> list[Relation]:
        """Returns the relations to a target, oldest first."""
        return list(self._by_target.get(key_of(target), ()))

    def take(self, target: RelationTarget) -> list[Relation]:
        """Removes and returns the relations to a target, oldest first."""
        relations = self.of(target)
        for relation in relations:
            self._remove(key_of(target), relation)
        return relations

    def forget(self, consumer: PID) -> list[RelationTarget]:
        """Removes all relations of a consumer; returns their targets."""
        gone = list(self._by_consumer.get(consumer, ()))
        for key, relation in gone:
            self._remove(key, relation)
        return [target for (_, target), _ in gone]

    def forget_node(self, node: Atom) -> list[RelationTarget]:
        """Removes all relations of the consumers on a node; returns their targets."""
        return [target for consumer in list(self._consumers_of_node.get(node, ())) for target in self.forget(consumer)]

    def targets_on(self, node: Atom) -> Iterator[RelationTarget]:
        """Yields the targets on a node, the node itself last."""
        targets = [target for _, target in self._by_node.get(node, ())]
        yield from sorted(targets, key=lambda target: isinstance(target, Atom))

    def _remove(self, key: Key, relation: Relation) -> None:
        relations = self._by_target[key]
        del relations[relation]
        if not relations:
            del self._by_target[key]
            _discard(self._by_node, node_of(key[1]), key)
        of_consumer = self._by_consumer[relation.consumer]
        of_consumer.discard((key, relation))
        if not of_consumer:
            del self._by_consumer[relation.consumer]
            _discard(self._consumers_of_node, relation.consumer.node, relation.consumer)


def _discard(sets: dict[Atom, set[Any]], name: Atom, value: Any) -> None:
    sets[name].discard(value)
    if not sets[name]:
        del sets[name]
