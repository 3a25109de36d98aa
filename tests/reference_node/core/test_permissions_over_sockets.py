"""Who may start what (NAPI-PL), asked by a peer over sockets of the loopback. The safe reading holds: see permissions.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import RemoteNode
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.network.network import NodeNetwork
from ergo_conformance.reference_node.node import Node
from tests.support.network import Echo, dial, lan, refusal
from tests.support.sockets import eventually

pytestmark = pytest.mark.real_loop


class Scene:
    """Nodes a and c ask b."""

    def __init__(self, b: Node, askers: dict[str, RemoteNode], kind: str) -> None:
        self.b, self._askers, self.kind = b, askers, kind

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

    async def may(self, who: str) -> str:
        """YES, or the error."""
        remote = self._askers[who]
        try:
            if self.kind == "spawn":
                await remote.spawn("it")
            else:
                await remote.application_start("it")
                await self.b.core.applications.stop("it")
        except ErgoError as error:
            return error.error.text
        return YES

    async def both(self) -> tuple[str, str]:
        return await self.may("a"), await self.may("c")

    def shown(self) -> tuple[tuple[Atom, ...], bool]:
        info = self.network.info
        [row] = info.enabled_spawn if self.kind == "spawn" else info.enabled_application_start
        assert row.name == "it"
        return row.nodes, row.closed


@asynccontextmanager
async def scene(kind: str) -> AsyncIterator[Scene]:
    async with lan() as start:
        b = await start("b")
        b.core.applications.load(ApplicationSpec("it", (ApplicationMember(Echo),)))
        askers = {name: await dial(await start(name), b) for name in ("a", "c")}
        await eventually(lambda: len(b.network.connections) == 2)
        yield Scene(b, askers, kind)


kinds = pytest.mark.parametrize("kind", ["spawn", "application start"])
A, C = "a@localhost", "c@localhost"
YES, NO = "yes", "not allowed"


@pytest.mark.covers("NAPI-PL-1")
@kinds
async def test_a_name_that_was_not_enabled(kind: str) -> None:
    """NAPI-PL-1."""
    async with scene(kind) as it:
        assert await it.both() == ("unknown name", "unknown name")


@pytest.mark.covers("The network: EnableSpawn", "The network: EnableApplicationStart", "NAPI-PL-2")
@kinds
async def test_enabled_for_all_or_for_some(kind: str) -> None:
    """NAPI-PL-2."""
    async with scene(kind) as it:
        it.enable()
        assert (await it.both(), it.shown()) == ((YES, YES), ((), False))
        it.disable()
        it.enable(A)
        assert (await it.both(), it.shown()) == ((YES, NO), ((A,), False))


@pytest.mark.covers("NAPI-PL-3")
@kinds
async def test_enabled_again(kind: str) -> None:
    """NAPI-PL-3: for nodes they are added; for all the list is cleared; from all it becomes only these."""
    async with scene(kind) as it:
        it.enable(A)
        it.enable(C)
        assert (await it.both(), it.shown()) == ((YES, YES), ((A, C), False))
        it.enable()
        assert (await it.both(), it.shown()) == ((YES, YES), ((), False))
        it.enable(C)
        assert (await it.both(), it.shown()) == ((NO, YES), ((C,), False))


@pytest.mark.covers("NAPI-PL-4")
@kinds
async def test_disabled_for_all(kind: str) -> None:
    """NAPI-PL-4: the name is gone; a name that is not there is "unknown"."""
    async with scene(kind) as it:
        it.enable(A)
        it.disable()
        assert await it.both() == ("unknown name", "unknown name")
        assert refusal(it.disable) == refusal(lambda: it.disable(A)) == "unknown"
        it.enable()
        assert await it.both() == (YES, YES)


@pytest.mark.covers("NAPI-PL-5")
@kinds
async def test_when_the_last_node_is_disabled_nobody_may(kind: str) -> None:
    """NAPI-PL-5 (upstream: everybody may start the application), NAPI-PL-6."""
    async with scene(kind) as it:
        it.enable(A)
        it.disable(A)
        assert (await it.both(), it.shown()) == ((NO, NO), ((), True))
        it.enable(C)
        assert await it.both() == (NO, YES)
        it.disable(C)
        it.enable()
        assert (await it.both(), it.shown()) == ((YES, YES), ((), False))


@pytest.mark.covers("NAPI-PL-6")
@kinds
async def test_one_node_less_on_an_open_list_is_that_node_alone(kind: str) -> None:
    """NAPI-PL-6 (upstream: nobody may spawn any more)."""
    async with scene(kind) as it:
        it.enable()
        it.disable(A)
        assert await it.both() == (NO, YES)
        it.enable(A)
        assert await it.both() == (YES, NO)


@pytest.mark.covers("NAPI-PL-7")
async def test_what_the_application_says() -> None:
    """NAPI-PL-7; all three texts: connection/test_remote_node.py."""
    async with scene("application start") as it:
        it.enable()
        it.b.core.applications.unload("it")
        assert await it.may("a") == "unknown application"
        it.b.core.applications.load(ApplicationSpec("it", (ApplicationMember(Echo),)))
        await it.b.core.applications.start("it")
        assert await it.may("a") == "application is still running"


class Other(Echo):
    """Another process."""


class Maker:
    """Makes processes by a method."""

    def make(self) -> Echo:
        return Echo()


@pytest.mark.covers("NAPI-PL-8")
async def test_a_name_stands_for_one_factory() -> None:
    """NAPI-PL-8."""
    async with lan() as start:
        network, maker = (await start("b")).network, Maker()
        network.enable_spawn("it", Echo)
        network.enable_spawn("it", Echo, A)
        text = "it associated with another process factory"
        assert refusal(lambda: network.enable_spawn("it", Other)) == text
        [row] = network.info.enabled_spawn
        assert (row.behavior, row.nodes) == ("Echo", (A,))
        network.enable_spawn("made", maker.make)
        network.enable_spawn("made", maker.make)


@kinds
async def test_what_counts_is_how_the_peer_introduced_itself(kind: str) -> None:
    """NAPI-PL-2: not what a request says."""
    async with scene(kind) as it:
        it.enable(C)
        assert it.network.nodes == [A, C]
        assert await it.both() == (NO, YES)
