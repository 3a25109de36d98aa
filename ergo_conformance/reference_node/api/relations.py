"""Links and monitors: their kinds and their targets."""

from enum import Enum

from ...model.values import PID, Alias, Atom, Event, ProcessID

RelationTarget = PID | ProcessID | Alias | Event | Atom
"""A target of a link or monitor; an Atom is a node."""


class RelationKind(Enum):
    """Link: the consumer gets an exit signal, and ends with it unless it traps exits. Monitor: the consumer gets a message."""

    LINK = "link"
    MONITOR = "monitor"


def node_of(target: RelationTarget) -> Atom:
    """Returns the node that a target is on."""
    return target if isinstance(target, Atom) else target.node
