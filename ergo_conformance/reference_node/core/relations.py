"""Who watches what: the table of links and monitors of one node.

Consumers are PIDs, of this node or of others that asked for it.  Targets are whatever can end: a process by PID, by name or
by alias, an event, a node.  Each relation is there once, and is gone as soon as it was told about or taken back.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from ...model.values import PID, Alias, Atom, Event, ProcessID

Watched = PID | ProcessID | Alias | Event | Atom
"""A target; an Atom is a node."""
Key = tuple[type, Watched]
"""Equal tuples of different kinds are different targets: a name and an event look the same."""


class Kind(Enum):
    """Link: the consumer gets an exit signal, and ends with it unless it traps them. Monitor: it gets a message."""

    LINK = "link"
    MONITOR = "monitor"


class Relation(NamedTuple):
    """One consumer of one target."""

    kind: Kind
    consumer: PID


def key_of(target: Watched) -> Key:
    """A target with its kind."""
    return type(target), target


def node_of(target: Watched) -> Atom:
    """The node that a target is on."""
    return target if isinstance(target, Atom) else target.node


class Relations:
    """The table. Work is in proportion to the relations touched, not to all there are."""

    def __init__(self) -> None:
        self._by_target: dict[Key, dict[Relation, None]] = {}
        self._by_consumer: dict[PID, set[tuple[Key, Relation]]] = {}
        self._by_node: dict[Atom, set[Key]] = {}
        self._consumers_of_node: dict[Atom, set[PID]] = {}

    def __len__(self) -> int:
        return sum(len(relations) for relations in self._by_target.values())

    def add(self, kind: Kind, target: Watched, consumer: PID) -> bool:
        """False if it is there already."""
        key, relation = key_of(target), Relation(kind, consumer)
        relations = self._by_target.setdefault(key, {})
        if relation in relations:
            return False
        relations[relation] = None
        self._by_consumer.setdefault(consumer, set()).add((key, relation))
        self._by_node.setdefault(node_of(target), set()).add(key)
        self._consumers_of_node.setdefault(consumer.node, set()).add(consumer)
        return True

    def has(self, kind: Kind, target: Watched, consumer: PID) -> bool:
        """Whether it is there."""
        return Relation(kind, consumer) in self._by_target.get(key_of(target), {})

    def remove(self, kind: Kind, target: Watched, consumer: PID) -> bool:
        """False if it was not there."""
        key, relation = key_of(target), Relation(kind, consumer)
        if relation not in self._by_target.get(key, {}):
            return False
        self._remove(key, relation)
        return True

    def of(self, target: Watched) -> list[Relation]:
        """The relations to a target, oldest first."""
        return list(self._by_target.get(key_of(target), ()))

    def take(self, target: Watched) -> list[Relation]:
        """The same, and the target has none any more."""
        relations = self.of(target)
        for relation in relations:
            self._remove(key_of(target), relation)
        return relations

    def forget(self, consumer: PID) -> list[Watched]:
        """A consumer has ended; the targets it had."""
        gone = list(self._by_consumer.get(consumer, ()))
        for key, relation in gone:
            self._remove(key, relation)
        return [target for (_, target), _ in gone]

    def forget_node(self, node: Atom) -> list[Watched]:
        """The consumers of a node are out of reach; the targets they had."""
        return [target for consumer in list(self._consumers_of_node.get(node, ())) for target in self.forget(consumer)]

    def targets_on(self, node: Atom) -> Iterator[Watched]:
        """What is watched on a node, the node itself last."""
        targets = [target for _, target in self._by_node.get(node, ())]
        yield from sorted(targets, key=lambda target: isinstance(target, Atom))

    def _remove(self, key: Key, relation: Relation) -> None:
        relations = self._by_target[key]
        del relations[relation]
        if not relations:
            del self._by_target[key]
            _discard(self._by_node, node_of(key[1]), key)
        theirs = self._by_consumer[relation.consumer]
        theirs.discard((key, relation))
        if not theirs:
            del self._by_consumer[relation.consumer]
            _discard(self._consumers_of_node, relation.consumer.node, relation.consumer)


def _discard(sets: dict[Atom, set[Any]], name: Atom, value: Any) -> None:
    sets[name].discard(value)
    if not sets[name]:
        del sets[name]
