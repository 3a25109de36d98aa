"""Permissions to spawn and to start applications (NAPI-PL): the lists of nodes, and their effect in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.core.permissions import Permission
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import MemoryNetwork

A, B, C = Atom("a@localhost"), Atom("b@localhost"), Atom("c@localhost")
ALL = (A, B, C)
NAME = "it"


def allowed(permission: Permission) -> set[Atom]:
    return {node for node in ALL if permission.allows(node)}


Steps = list[tuple[str, tuple[Atom, ...]]]
ROWS: list[tuple[Steps, set[Atom], list[Atom]]] = [
    ([], {A, B, C}, []),
    ([("enable", (A,))], {A}, [A]),
    ([("enable", (A,)), ("enable", (B,))], {A, B}, [A, B]),
    ([("enable", (A,)), ("enable", ())], {A, B, C}, []),
    ([("disable", (A,))], {B, C}, []),
    ([("disable", (A,)), ("enable", ())], {A, B, C}, []),
    ([("disable", (A,)), ("enable", (A,))], {A}, [A]),
    ([("disable", (A,)), ("enable", (B,))], {B}, [B]),
    ([("enable", (A, B)), ("disable", (A,))], {B}, [B]),
    ([("enable", (A,)), ("disable", (A,))], set(), []),
    ([("enable", (A,)), ("disable", (B,))], {A}, [A]),
    ([("enable", (A,)), ("disable", (A, B, C))], set(), []),
    ([("enable", (A,)), ("disable", (A,)), ("enable", (B,))], {B}, [B]),
    ([("enable", (A,)), ("disable", (A,)), ("enable", ())], {A, B, C}, []),
    ([("enable", (B, A)), ("disable", ())], {A, B}, [A, B]),
]


@pytest.mark.parametrize(("steps", "nodes_allowed", "named"), ROWS)
def test_a_sequence_of_enable_and_disable_allows_these_nodes(
    steps: Steps, nodes_allowed: set[Atom], named: list[Atom]
) -> None:
    permission = Permission()
    for verb, nodes in steps:
        getattr(permission, verb)(nodes)
    assert (allowed(permission), permission.nodes) == (nodes_allowed, named)


def test_a_permission_created_with_nodes_allows_only_them() -> None:
    assert allowed(Permission((A, B))) == {A, B}
    assert allowed(Permission(iter(()))) == {A, B, C}


@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(ALL), unique=True))))
def test_the_last_enable_or_disable_decides_for_each_node(steps: list[tuple[bool, list[Atom]]]) -> None:
    """Only `enable` permits a node, also one that was disabled before (NAPI-PL-5)."""
    permission = Permission()
    for enable, nodes in steps:
        before = allowed(permission)
        (permission.enable if enable else permission.disable)(nodes)
        after = allowed(permission)
        if not enable:
            assert after == before - set(nodes)
        elif nodes:
            assert set(nodes) <= after <= before | set(nodes)
        else:
            assert after == set(ALL)


# --- on a node --------------------------------------------------------------------------------------------------------


class PermissionUnderTest:
    """Permission for a spawn or an application start under the name NAME on the node `there`."""

    def __init__(self, operation: str, there: Node) -> None:
        remote = there.core.remote
        self.operation, self.there = operation, there
        if operation == "spawn":
            self.enable: Callable[..., None] = lambda *nodes: remote.enable_spawn(NAME, Actor, *nodes)
            self.disable: Callable[..., None] = lambda *nodes: remote.disable_spawn(NAME, *nodes)
        else:
            there.core.applications.load(ApplicationSpec(NAME, (ApplicationMember(Actor),)))
            self.enable = lambda *nodes: remote.enable_application_start(NAME, *nodes)
            self.disable = lambda *nodes: remote.disable_application_start(NAME, *nodes)

    async def request_from(self, node: Node) -> str:
        """Requests the operation from `node`; returns the text of the error, empty without one."""
        try:
            if self.operation == "spawn":
                await node.core.remote.spawn(None, self.there.name, Atom(NAME))
            else:
                await node.core.remote.start_application(self.there.name, Atom(NAME), 0)
                await self.there.core.applications.stop(NAME)
        except ErgoError as error:
            return error.error.text
        return ""


operations = pytest.mark.parametrize("operation", ["spawn", "application"])


@asynccontextmanager
async def permission_on_node(operation: str) -> AsyncIterator[tuple[PermissionUnderTest, Node, Node]]:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    a, c = net.node("a@localhost"), net.node("c@localhost")
    try:
        yield PermissionUnderTest(operation, b), a, c
    finally:
        await net.stop()


@operations
async def test_a_name_that_was_not_enabled_is_unknown(operation: str) -> None:
    """NAPI-PL-1."""
    async with permission_on_node(operation) as (permission, a, _):
        assert await permission.request_from(a) == "unknown name"


@operations
async def test_enable_for_all_nodes_and_for_some(operation: str) -> None:
    """NAPI-PL-2, NAPI-PL-3."""
    async with permission_on_node(operation) as (permission, a, c):

        async def errors_of_a_and_c() -> tuple[str, str]:
            return await permission.request_from(a), await permission.request_from(c)

        permission.enable()
        assert await errors_of_a_and_c() == ("", "")
        permission.enable(A)
        assert await errors_of_a_and_c() == ("", "not allowed")
        permission.enable(C)
        assert await errors_of_a_and_c() == ("", "")
        permission.disable(A)
        assert await errors_of_a_and_c() == ("not allowed", "")
        permission.enable()
        assert await errors_of_a_and_c() == ("", "")


@operations
async def test_disabling_the_last_node_allows_no_node(operation: str) -> None:
    """No node is allowed (NAPI-PL-5, -6: upstream allows all nodes to start the application and none to spawn)."""
    async with permission_on_node(operation) as (permission, a, c):
        permission.enable(A)
        permission.disable(A)
        assert await permission.request_from(a) == await permission.request_from(c) == "not allowed"


@operations
async def test_disabling_one_node_while_all_are_allowed_refuses_only_it(operation: str) -> None:
    """The others stay allowed (NAPI-PL-6: upstream refuses them, too)."""
    async with permission_on_node(operation) as (permission, a, c):
        permission.enable()
        permission.disable(A)
        assert (await permission.request_from(a), await permission.request_from(c)) == ("not allowed", "")


@operations
@pytest.mark.parametrize("nodes", [(), (A,)])
async def test_a_name_disabled_for_all_is_unknown(operation: str, nodes: tuple[Atom, ...]) -> None:
    """NAPI-PL-4."""
    async with permission_on_node(operation) as (permission, a, _):
        for _ in range(2):
            with pytest.raises(ErgoError, match=r"^unknown$"):
                permission.disable(*nodes)
            permission.enable(*nodes)
            assert await permission.request_from(a) == ""
            permission.disable()
            assert await permission.request_from(a) == "unknown name"


async def test_the_requesting_node_is_the_peer_of_the_connection() -> None:
    """The parent in the request may be a process of any node."""
    async with permission_on_node("spawn") as (permission, a, c):
        permission.enable(A)
        parent: Any = a.spawn(Actor())
        assert await permission.request_from(a) == ""
        with pytest.raises(ErgoError, match="not allowed"):
            await c.core.remote.spawn(parent, permission.there.name, Atom(NAME))


async def test_another_factory_under_a_used_name_is_refused() -> None:
    """NAPI-PL-8."""
    async with permission_on_node("spawn") as (permission, a, c):

        class Other(Actor):
            pass

        permission.enable(A)
        with pytest.raises(ErgoError, match=r"^it associated with another process factory$"):
            permission.there.core.remote.enable_spawn(NAME, Other)
        assert (await permission.request_from(a), await permission.request_from(c)) == ("", "not allowed")
        permission.disable()
        permission.there.core.remote.enable_spawn(NAME, Other)
        assert await permission.request_from(c) == ""


async def test_a_running_or_unloaded_application_is_not_started() -> None:
    """NAPI-PL-7."""
    async with permission_on_node("application") as (permission, a, _):
        permission.enable()
        applications = permission.there.core.applications
        await applications.start(NAME)
        assert await permission.request_from(a) == "application is still running"
        await applications.stop(NAME)
        applications.unload(NAME)
        assert await permission.request_from(a) == "unknown application"
