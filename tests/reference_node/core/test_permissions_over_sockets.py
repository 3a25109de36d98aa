"""Permissions (NAPI-PL), requested by peers over sockets on the loopback. Where upstream is unsafe: see permissions.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import RemoteNode
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.network.network import NodeNetwork
from ergo_conformance.reference_node.node import Node
from tests.support.loopback_nodes import Echo, dial, node_starter, raised_error_text
from tests.support.sockets import eventually

pytestmark = pytest.mark.real_loop


class PermissionScenario:
    """Nodes a and c request operations on b."""

    def __init__(self, b: Node, requesters: dict[str, RemoteNode], kind: str) -> None:
        self.b, self._requesters, self.kind = b, requesters, kind

    @property
    def network(self) -> NodeNetwork:
        return self.b.network

    def enable(self, *nodes: str) -> None:
        if self.kind == "spawn":
            self.network.enable_spawn("it", Echo, *nodes)
        else:
            self.network.enable_application_start("it", *nodes)

    def disable(self, *nodes: str, name: str = "it") -> None:
        if self.kind == "spawn":
            self.network.disable_spawn(name, *nodes)
        else:
            self.network.disable_application_start(name, *nodes)

    async def request_from(self, who: str) -> str:
        """Returns YES, or the text of the error."""
        remote = self._requesters[who]
        try:
            if self.kind == "spawn":
                await remote.spawn("it")
            else:
                await remote.application_start("it")
                await self.b.core.applications.stop("it")
        except ErgoError as error:
            return error.error.text
        return YES

    async def request_from_both(self) -> tuple[str, str]:
        return await self.request_from("a"), await self.request_from("c")

    def listed(self) -> tuple[tuple[Atom, ...], bool]:
        info = self.network.info
        [row] = info.enabled_spawn if self.kind == "spawn" else info.enabled_application_start
        assert row.name == "it"
        return row.nodes, row.closed


@asynccontextmanager
async def permission_scenario(kind: str) -> AsyncIterator[PermissionScenario]:
    async with node_starter() as start:
        b = await start("b")
        b.core.applications.load(ApplicationSpec("it", (ApplicationMember(Echo),)))
        requesters = {name: await dial(await start(name), b) for name in ("a", "c")}
        await eventually(lambda: len(b.network.connections) == 2)
        yield PermissionScenario(b, requesters, kind)


kinds = pytest.mark.parametrize("kind", ["spawn", "application start"])
A, C = "a@localhost", "c@localhost"
YES, NO = "yes", "not allowed"


@pytest.mark.covers("NAPI-PL-1")
@kinds
async def test_a_name_that_was_not_enabled_is_unknown_over_tcp(kind: str) -> None:
    """NAPI-PL-1."""
    async with permission_scenario(kind) as it:
        assert await it.request_from_both() == ("unknown name", "unknown name")


@pytest.mark.covers("The network: EnableSpawn", "The network: EnableApplicationStart", "NAPI-PL-2")
@kinds
async def test_enable_for_all_nodes_or_for_some(kind: str) -> None:
    """NAPI-PL-2."""
    async with permission_scenario(kind) as it:
        it.enable()
        assert (await it.request_from_both(), it.listed()) == ((YES, YES), ((), False))
        it.disable()
        it.enable(A)
        assert (await it.request_from_both(), it.listed()) == ((YES, NO), ((A,), False))


@pytest.mark.covers("NAPI-PL-3")
@kinds
async def test_enable_again_adds_nodes_or_clears_the_list(kind: str) -> None:
    """NAPI-PL-3: nodes are added; without nodes the list is cleared; after that, nodes are the only ones."""
    async with permission_scenario(kind) as it:
        it.enable(A)
        it.enable(C)
        assert (await it.request_from_both(), it.listed()) == ((YES, YES), ((A, C), False))
        it.enable()
        assert (await it.request_from_both(), it.listed()) == ((YES, YES), ((), False))
        it.enable(C)
        assert (await it.request_from_both(), it.listed()) == ((NO, YES), ((C,), False))


@pytest.mark.covers("NAPI-PL-4")
@kinds
async def test_disable_for_all_removes_the_name(kind: str) -> None:
    """NAPI-PL-4: disabling an unknown name is "unknown"."""
    async with permission_scenario(kind) as it:
        it.enable(A)
        it.disable()
        assert await it.request_from_both() == ("unknown name", "unknown name")
        assert raised_error_text(it.disable) == raised_error_text(lambda: it.disable(A)) == "unknown"
        it.enable()
        assert await it.request_from_both() == (YES, YES)


@pytest.mark.covers("NAPI-PL-5")
@kinds
async def test_disabling_the_last_node_leaves_an_empty_list(kind: str) -> None:
    """NAPI-PL-5 (upstream: all nodes may start the application), NAPI-PL-6."""
    async with permission_scenario(kind) as it:
        it.enable(A)
        it.disable(A)
        assert (await it.request_from_both(), it.listed()) == ((NO, NO), ((), True))
        it.enable(C)
        assert await it.request_from_both() == (NO, YES)
        it.disable(C)
        it.enable()
        assert (await it.request_from_both(), it.listed()) == ((YES, YES), ((), False))


@pytest.mark.covers("NAPI-PL-6")
@kinds
async def test_disabling_one_node_of_all_refuses_only_it(kind: str) -> None:
    """NAPI-PL-6 (upstream: no node may spawn)."""
    async with permission_scenario(kind) as it:
        it.enable()
        it.disable(A)
        assert await it.request_from_both() == (NO, YES)
        it.enable(A)
        assert await it.request_from_both() == (YES, NO)


@pytest.mark.covers("NAPI-PL-7")
async def test_an_unloaded_or_running_application_raises_its_error() -> None:
    """NAPI-PL-7; all three texts: connection/test_remote_node.py."""
    async with permission_scenario("application start") as it:
        it.enable()
        it.b.core.applications.unload("it")
        assert await it.request_from("a") == "unknown application"
        it.b.core.applications.load(ApplicationSpec("it", (ApplicationMember(Echo),)))
        await it.b.core.applications.start("it")
        assert await it.request_from("a") == "application is still running"


class Other(Echo):
    """Another factory."""


class Maker:
    """Makes processes by a method."""

    def make(self) -> Echo:
        return Echo()


@pytest.mark.covers("NAPI-PL-8")
async def test_another_factory_under_a_used_name_raises() -> None:
    """NAPI-PL-8."""
    async with node_starter() as start:
        network, maker = (await start("b")).network, Maker()
        network.enable_spawn("it", Echo)
        network.enable_spawn("it", Echo, A)
        text = "it associated with another process factory"
        assert raised_error_text(lambda: network.enable_spawn("it", Other)) == text
        [row] = network.info.enabled_spawn
        assert (row.behavior, row.nodes) == ("Echo", (A,))
        network.enable_spawn("made", maker.make)
        network.enable_spawn("made", maker.make)


@kinds
async def test_the_requesting_node_is_the_name_in_the_introduction(kind: str) -> None:
    """NAPI-PL-2: the fields of the request are not used."""
    async with permission_scenario(kind) as it:
        it.enable(C)
        assert it.network.nodes == [A, C]
        assert await it.request_from_both() == (NO, YES)
