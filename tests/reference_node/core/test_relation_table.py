"""The table of links and monitors: each relation is added, removed or taken once, and no index keeps an entry."""

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
    """No index has an entry."""
    assert len(table) == 0
    assert not table._by_target
    assert not table._by_consumer
    assert not table._by_node
    assert not table._consumers_of_node


def full_table() -> RelationTable:
    """Table in which each consumer links and monitors each target."""
    table = RelationTable()
    for target in TARGETS:
        for consumer in CONSUMERS:
            for kind in RelationKind:
                assert table.add(kind, target, consumer)
    return table


@targets
@kinds
def test_a_relation_is_added_once(kind: RelationKind, target: RelationTarget) -> None:
    table = RelationTable()
    assert not table.has(kind, target, ONE)
    assert table.add(kind, target, ONE)
    assert not table.add(kind, target, ONE)
    assert len(table) == 1
    assert table.has(kind, target, ONE)
    assert table.of(target) == [Relation(kind, ONE)]


@targets
@kinds
def test_a_relation_is_removed_once(kind: RelationKind, target: RelationTarget) -> None:
    table = RelationTable()
    assert not table.remove(kind, target, ONE)
    table.add(kind, target, ONE)
    assert not table.remove(kind, target, OTHER)
    assert table.remove(kind, target, ONE)
    assert not table.remove(kind, target, ONE)
    assert_empty(table)


@targets
def test_links_and_monitors_are_separate(target: RelationTarget) -> None:
    table = RelationTable()
    table.add(RelationKind.LINK, target, ONE)
    assert not table.has(RelationKind.MONITOR, target, ONE)
    assert not table.remove(RelationKind.MONITOR, target, ONE)
    assert table.add(RelationKind.MONITOR, target, ONE)
    assert table.of(target) == [Relation(RelationKind.LINK, ONE), Relation(RelationKind.MONITOR, ONE)]
    table.remove(RelationKind.LINK, target, ONE)
    assert table.of(target) == [Relation(RelationKind.MONITOR, ONE)]


def test_equal_tuples_of_different_target_kinds_are_separate() -> None:
    """For example a name and an event, which are equal tuples."""
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


def test_pids_of_different_creations_are_separate() -> None:
    old, new = PID(A, 7, 1), PID(A, 7, 2)
    table = RelationTable()
    table.add(RelationKind.LINK, old, ONE)
    assert not table.has(RelationKind.LINK, new, ONE)
    assert not table.take(new)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_node_of_returns_the_node_of_each_target(target: RelationTarget) -> None:
    assert node_of(target) == (A if A in (target, target[0]) else B)


def test_relations_are_returned_in_the_order_of_addition() -> None:
    table = RelationTable()
    target = TARGETS[0]
    expected = [Relation(kind, consumer) for consumer in reversed(CONSUMERS) for kind in RelationKind]
    for kind, consumer in expected:
        table.add(kind, target, consumer)
    table.add(RelationKind.LINK, target, CONSUMERS[-1])
    assert table.of(target) == expected
    assert table.take(target) == expected


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_take_removes_the_relations_of_a_target_once(target: RelationTarget) -> None:
    table = full_table()
    all_of_them = len(table)
    assert len(table.take(target)) == 2 * len(CONSUMERS)
    assert table.take(target) == table.of(target) == []
    assert len(table) == all_of_them - 2 * len(CONSUMERS)


def test_forget_removes_all_relations_of_a_consumer() -> None:
    table = full_table()
    gone = table.forget(ONE)
    assert sorted(map(repr, gone)) == sorted(repr(target) for target in TARGETS for _ in RelationKind)
    assert table.forget(ONE) == []
    assert not any(relation.consumer == ONE for target in TARGETS for relation in table.of(target))
    assert len(table) == 2 * len(TARGETS) * (len(CONSUMERS) - 1)


def test_forget_node_removes_the_relations_of_its_consumers() -> None:
    table = full_table()
    assert len(table.forget_node(A)) == 2 * len(TARGETS) * 2
    assert table.forget_node(A) == []
    assert table.forget_node(Atom("nobody@localhost")) == []
    assert {relation.consumer.node for target in TARGETS for relation in table.of(target)} == {B, C}


def test_targets_on_a_node_are_unique_and_end_with_the_node() -> None:
    table = full_table()
    found = list(table.targets_on(A))
    assert found[-1] == A
    assert sorted(map(repr, found)) == sorted(map(repr, TARGETS[:5]))
    assert list(table.targets_on(C)) == []


@pytest.mark.parametrize("how", ["take", "forget", "forget_node", "remove"])
def test_each_way_of_removal_leaves_an_empty_table(how: str) -> None:
    table = full_table()
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


class TableAgainstRows(RuleBasedStateMachine):
    """Applies the same operations to a table and to a list of rows; each relation leaves exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.table = RelationTable()
        self.rows: list[Row] = []
        self.added = self.gone = 0

    def remove_rows(self, rows: Iterable[Row]) -> list[Row]:
        removed = list(rows)
        self.rows = [row for row in self.rows if row not in removed]
        self.gone += len(removed)
        return removed

    @rule(kind=a_kind, relation_target=a_target, consumer=a_consumer)
    def add(self, kind: RelationKind, relation_target: RelationTarget, consumer: PID) -> None:
        row = (kind, type(relation_target), relation_target, consumer)
        assert self.table.add(kind, relation_target, consumer) == (row not in self.rows)
        if row not in self.rows:
            self.rows.append(row)
            self.added += 1

    @rule(kind=a_kind, relation_target=a_target, consumer=a_consumer)
    def remove(self, kind: RelationKind, relation_target: RelationTarget, consumer: PID) -> None:
        row = (kind, type(relation_target), relation_target, consumer)
        assert self.table.remove(kind, relation_target, consumer) == (row in self.rows)
        self.remove_rows([row] if row in self.rows else [])

    @rule(relation_target=a_target)
    def take(self, relation_target: RelationTarget) -> None:
        taken = self.table.take(relation_target)
        expected = self.remove_rows(row for row in self.rows if row[1:3] == (type(relation_target), relation_target))
        assert taken == [Relation(kind, consumer) for kind, _, _, consumer in expected]

    @rule(consumer=a_consumer)
    def forget(self, consumer: PID) -> None:
        self.check_targets(
            self.table.forget(consumer), self.remove_rows(row for row in self.rows if row[3] == consumer)
        )

    @rule(node=st.sampled_from([A, B, C]))
    def forget_node(self, node: Atom) -> None:
        self.check_targets(
            self.table.forget_node(node), self.remove_rows(row for row in self.rows if row[3].node == node)
        )

    @rule(node=st.sampled_from([A, B, C]))
    def node_down(self, node: Atom) -> None:
        """As the node does it: takes each target of the node, then forgets its consumers."""
        for target in list(self.table.targets_on(node)):
            assert self.table.of(target)
            self.take(target)
        assert not any(node_of(row[2]) == node for row in self.rows)
        self.forget_node(node)

    @staticmethod
    def check_targets(found: list[RelationTarget], rows: list[Row]) -> None:
        def sorted_texts(targets: Iterable[Any]) -> list[str]:
            return sorted(map(repr, targets))

        assert sorted_texts(found) == sorted_texts(row[2] for row in rows)

    @invariant()
    def table_equals_rows(self) -> None:
        assert len(self.table) == len(self.rows) == self.added - self.gone
        for target in TARGETS:
            mine = [(row[0], row[3]) for row in self.rows if row[1:3] == (type(target), target)]
            assert self.table.of(target) == mine
        for node in (A, B, C):
            relation_target = {key_of(row[2]) for row in self.rows if node_of(row[2]) == node}
            assert {key_of(target) for target in self.table.targets_on(node)} == relation_target

    def teardown(self) -> None:
        for node in (A, B, C):
            self.forget_node(node)
        assert self.added == self.gone
        assert_empty(self.table)


TestTableAgainstRows = TableAgainstRows.TestCase
TestTableAgainstRows.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
