"""The table of links and monitors: each relation once, told or taken back once, and nothing left in the indexes."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget, node_of
from ergo_conformance.reference_node.core.relation_table import Relation, RelationTable, key_of

A, B, C = Atom("a@localhost"), Atom("b@localhost"), Atom("c@localhost")
NAME = Atom("it")
TARGETS: list[RelationTarget] = [
    target
    for node in (A, B)
    for target in (PID(node, 7, 1), ProcessID(node, NAME), Alias(node, 1, (7, 8, 9)), Event(node, NAME), node)
]
CONSUMERS = [PID(node, id_, 1) for node in (A, B, C) for id_ in (1, 2)]
kinds = pytest.mark.parametrize("kind", list(RelationKind))
targets = pytest.mark.parametrize("target", TARGETS[:5], ids=lambda target: type(target).__name__)
ONE, OTHER = CONSUMERS[:2]


def assert_empty(table: RelationTable) -> None:
    """Nothing at all is left, in no index."""
    assert len(table) == 0
    assert not table._by_target
    assert not table._by_consumer
    assert not table._by_node
    assert not table._consumers_of_node


def filled() -> RelationTable:
    """Everybody watches everything, in both ways."""
    table = RelationTable()
    for target in TARGETS:
        for consumer in CONSUMERS:
            for kind in RelationKind:
                assert table.add(kind, target, consumer)
    return table


@targets
@kinds
def test_a_relation_is_there_once(kind: RelationKind, target: RelationTarget) -> None:
    table = RelationTable()
    assert not table.has(kind, target, ONE)
    assert table.add(kind, target, ONE)
    assert not table.add(kind, target, ONE)
    assert len(table) == 1
    assert table.has(kind, target, ONE)
    assert table.of(target) == [Relation(kind, ONE)]


@targets
@kinds
def test_a_relation_is_taken_out_once(kind: RelationKind, target: RelationTarget) -> None:
    table = RelationTable()
    assert not table.remove(kind, target, ONE)
    table.add(kind, target, ONE)
    assert not table.remove(kind, target, OTHER)
    assert table.remove(kind, target, ONE)
    assert not table.remove(kind, target, ONE)
    assert_empty(table)


@targets
def test_links_and_monitors_are_apart(target: RelationTarget) -> None:
    table = RelationTable()
    table.add(RelationKind.LINK, target, ONE)
    assert not table.has(RelationKind.MONITOR, target, ONE)
    assert not table.remove(RelationKind.MONITOR, target, ONE)
    assert table.add(RelationKind.MONITOR, target, ONE)
    assert table.of(target) == [Relation(RelationKind.LINK, ONE), Relation(RelationKind.MONITOR, ONE)]
    table.remove(RelationKind.LINK, target, ONE)
    assert table.of(target) == [Relation(RelationKind.MONITOR, ONE)]


def test_kinds_of_targets_that_look_the_same_are_apart() -> None:
    """A name and an event are equal tuples."""
    name, event = ProcessID(A, NAME), Event(A, NAME)
    assert tuple(name) == tuple(event)
    assert key_of(name) != key_of(event)
    table = RelationTable()
    table.add(RelationKind.LINK, name, ONE)
    assert not table.has(RelationKind.LINK, event, ONE)
    assert not table.take(event)
    table.add(RelationKind.MONITOR, event, ONE)
    assert table.take(name) == [Relation(RelationKind.LINK, ONE)]
    assert table.take(event) == [Relation(RelationKind.MONITOR, ONE)]
    assert_empty(table)


def test_the_same_number_of_another_incarnation_is_another_target() -> None:
    old, new = PID(A, 7, 1), PID(A, 7, 2)
    table = RelationTable()
    table.add(RelationKind.LINK, old, ONE)
    assert not table.has(RelationKind.LINK, new, ONE)
    assert not table.take(new)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_each_target_has_a_node(target: RelationTarget) -> None:
    assert node_of(target) == (A if A in (target, target[0]) else B)


def test_relations_are_told_in_the_order_in_which_they_came() -> None:
    table = RelationTable()
    target = TARGETS[0]
    wanted = [Relation(kind, consumer) for consumer in reversed(CONSUMERS) for kind in RelationKind]
    for kind, consumer in wanted:
        table.add(kind, target, consumer)
    table.add(RelationKind.LINK, target, CONSUMERS[-1])
    assert table.of(target) == wanted
    assert table.take(target) == wanted


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_a_target_is_taken_once(target: RelationTarget) -> None:
    table = filled()
    all_of_them = len(table)
    assert len(table.take(target)) == 2 * len(CONSUMERS)
    assert table.take(target) == table.of(target) == []
    assert len(table) == all_of_them - 2 * len(CONSUMERS)


def test_a_consumer_is_forgotten_with_all_that_it_had() -> None:
    table = filled()
    gone = table.forget(ONE)
    assert sorted(map(repr, gone)) == sorted(repr(target) for target in TARGETS for _ in RelationKind)
    assert table.forget(ONE) == []
    assert not any(relation.consumer == ONE for target in TARGETS for relation in table.of(target))
    assert len(table) == 2 * len(TARGETS) * (len(CONSUMERS) - 1)


def test_the_consumers_of_a_node_are_forgotten() -> None:
    table = filled()
    assert len(table.forget_node(A)) == 2 * len(TARGETS) * 2
    assert table.forget_node(A) == []
    assert table.forget_node(Atom("nobody@localhost")) == []
    assert {relation.consumer.node for target in TARGETS for relation in table.of(target)} == {B, C}


def test_what_is_watched_on_a_node_comes_once_and_the_node_last() -> None:
    table = filled()
    found = list(table.targets_on(A))
    assert found[-1] == A
    assert sorted(map(repr, found)) == sorted(map(repr, TARGETS[:5]))
    assert list(table.targets_on(C)) == []


@pytest.mark.parametrize("how", ["take", "forget", "forget_node", "remove"])
def test_nothing_is_left(how: str) -> None:
    table = filled()
    match how:
        case "take":
            for target in TARGETS:
                table.take(target)
        case "forget":
            for consumer in CONSUMERS:
                table.forget(consumer)
        case "forget_node":
            for node in (A, B, C):
                table.forget_node(node)
        case "remove":
            for target in TARGETS:
                for kind, consumer in table.of(target):
                    assert table.remove(kind, target, consumer)
    assert_empty(table)


# --- against a plain model --------------------------------------------------------------------------------------------

Row = tuple[RelationKind, type, RelationTarget, PID]
a_kind, a_target, a_consumer = st.sampled_from(list(RelationKind)), st.sampled_from(TARGETS), st.sampled_from(CONSUMERS)


class AgainstRows(RuleBasedStateMachine):
    """The same is done with a list of rows; whoever was added is told, taken back or forgotten exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.table = RelationTable()
        self.rows: list[Row] = []
        self.added = self.gone = 0

    def leave(self, rows: Iterable[Row]) -> list[Row]:
        left = list(rows)
        self.rows = [row for row in self.rows if row not in left]
        self.gone += len(left)
        return left

    @rule(kind=a_kind, watched=a_target, consumer=a_consumer)
    def add(self, kind: RelationKind, watched: RelationTarget, consumer: PID) -> None:
        row = (kind, type(watched), watched, consumer)
        assert self.table.add(kind, watched, consumer) == (row not in self.rows)
        if row not in self.rows:
            self.rows.append(row)
            self.added += 1

    @rule(kind=a_kind, watched=a_target, consumer=a_consumer)
    def remove(self, kind: RelationKind, watched: RelationTarget, consumer: PID) -> None:
        row = (kind, type(watched), watched, consumer)
        assert self.table.remove(kind, watched, consumer) == (row in self.rows)
        self.leave([row] if row in self.rows else [])

    @rule(watched=a_target)
    def take(self, watched: RelationTarget) -> None:
        told = self.table.take(watched)
        wanted = self.leave(row for row in self.rows if row[1:3] == (type(watched), watched))
        assert told == [Relation(kind, consumer) for kind, _, _, consumer in wanted]

    @rule(consumer=a_consumer)
    def forget(self, consumer: PID) -> None:
        self.check_targets(self.table.forget(consumer), self.leave(row for row in self.rows if row[3] == consumer))

    @rule(node=st.sampled_from([A, B, C]))
    def forget_node(self, node: Atom) -> None:
        self.check_targets(self.table.forget_node(node), self.leave(row for row in self.rows if row[3].node == node))

    @rule(node=st.sampled_from([A, B, C]))
    def node_down(self, node: Atom) -> None:
        """As the node does it: each target of the node is told, then its consumers are forgotten."""
        for target in list(self.table.targets_on(node)):
            assert self.table.of(target)
            self.take(target)
        assert not any(node_of(row[2]) == node for row in self.rows)
        self.forget_node(node)

    @staticmethod
    def check_targets(found: list[RelationTarget], rows: list[Row]) -> None:
        def spelled(targets: Iterable[Any]) -> list[str]:
            return sorted(map(repr, targets))

        assert spelled(found) == spelled(row[2] for row in rows)

    @invariant()
    def they_agree(self) -> None:
        assert len(self.table) == len(self.rows) == self.added - self.gone
        for target in TARGETS:
            mine = [(row[0], row[3]) for row in self.rows if row[1:3] == (type(target), target)]
            assert self.table.of(target) == mine
        for node in (A, B, C):
            watched = {key_of(row[2]) for row in self.rows if node_of(row[2]) == node}
            assert {key_of(target) for target in self.table.targets_on(node)} == watched

    def teardown(self) -> None:
        for node in (A, B, C):
            self.forget_node(node)
        assert self.added == self.gone
        assert_empty(self.table)


TestAgainstRows = AgainstRows.TestCase
TestAgainstRows.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
