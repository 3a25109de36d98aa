"""Registrar of a target: its address, its offers, its sockets."""

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo.esrd import ResolveReply
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.esrd_client import ScriptedEsrdClient, route
from ergo_conformance.peers.ergo.esrd_server import ScriptedEsrdServer
from ergo_conformance.peers.ergo.handshake import TargetInfo
from ergo_conformance.peers.listener import HOST
from ergo_conformance.peers.violation import UnreachableError
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.targets.base import RunningTarget, Target, TargetError
from ergo_conformance.targets.create import target_of
from ergo_conformance.targets.options import TargetOptions
from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.targets.tcp import address_of
from tests.support.settings import start_node

pytestmark = pytest.mark.real_loop

UNKNOWN = ResolveReply(None, Error("unknown"))


@contextlib.asynccontextmanager
async def started_target(target: Target, **config: Any) -> AsyncIterator[RunningTarget]:
    running = await target.start(config)
    try:
        yield running
    finally:
        await running.stop()
        await target.close()


def ready_target(facts: Mapping[str, Any]) -> ProcessTarget:
    program = (
        f"import threading; print('READY', {json.dumps(json.dumps(facts))}, flush=True); threading.Event().wait(30)"
    )
    return ProcessTarget([sys.executable, "-S", "-c", program])


# --- address of the registrar -----------------------------------------------------------------------------------------


def test_registrar_address_is_parsed() -> None:
    assert address_of(None) is None
    assert address_of("localhost:4499") == ("localhost", 4499)
    assert address_of("[::1]:65535") == ("::1", 65_535)


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":4499", "localhost:0", "localhost:65536", "a:b"])
def test_another_form_than_host_and_port_raises(text: str) -> None:
    with pytest.raises(UsageError, match=f"--registrar {text}: expected HOST:PORT"):
        address_of(text)


@pytest.mark.parametrize("target", ["self", "process:x"])
def test_registrar_option_with_a_target_that_the_toolkit_starts_raises(target: str) -> None:
    supported = "is not supported by .* targets \\(supported by: tcp://, tls://\\)"
    with pytest.raises(UsageError, match="--registrar " + supported):
        target_of(TargetOptions(target=target, registrar=f"{HOST}:4499"))


@pytest.mark.parametrize("port", ["4499", 65_536, -1])
async def test_invalid_registrar_port_in_ready_raises(port: Any) -> None:
    with pytest.raises(TargetError, match="READY has no valid registrar_port"):
        await ready_target({"name": "a@b", "port": 1, "registrar_port": port}).start({})


# --- offers -----------------------------------------------------------------------------------------------------------


async def test_target_without_a_registrar_is_unreachable_there() -> None:
    async with started_target(ready_target({"name": "a@b", "port": 1})) as running:
        assert running.offers == {"accept"}
        with pytest.raises(UnreachableError, match="serves no registrar"):
            await running.registrar_socket()
        with pytest.raises(UnreachableError, match="serves no registrar"):
            await running.resolver()


async def test_registrar_without_a_node_offers_only_the_registrar() -> None:
    """Other offers of the READY line are ignored: the target can't be dialed."""
    facts = {"name": "", "registrar_port": 4499, "offers": ["accept", "agents", "registrar"]}
    async with started_target(ready_target(facts)) as running:
        assert running.offers == {"registrar"}
    with pytest.raises(TargetError, match="needs at least name and port"):
        await ready_target({"name": "", "registrar_port": None}).start({})


async def test_registrar_option_adds_the_offer_registrar() -> None:
    acceptors = (AcceptorOptions(host=HOST, port=0),)
    node = await start_node("n@localhost", cookie="c", acceptors=acceptors)
    server = await ScriptedEsrdServer().start()
    address = f"tcp://{HOST}:{node.network.acceptors[0].port}"
    try:
        async with started_target(target_of(TargetOptions(target=address, cookie="c"))) as running:
            assert running.offers == {"accept"}
        options = TargetOptions(target=address, cookie="c", registrar=f"{HOST}:{server.port}")
        async with started_target(target_of(options)) as running:
            assert running.offers == {"accept", "registrar"}
            (await running.registrar_socket()).close()
            await server.registration()
    finally:
        await server.stop()
        await node.stop()


# --- sockets of the registrar -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["memory", "tcp"])
async def test_embedded_node_serves_a_registrar(over: str) -> None:
    """Sockets and datagrams use one table, which contains the node itself."""
    async with started_target(SelfTarget(over=over), name="self@localhost") as running:
        assert "registrar" in running.offers
        client = ScriptedEsrdClient(await running.registrar_socket(), random.Random(1), "b@localhost")
        resolver = await running.resolver()
        assert (await resolver.resolve("self@localhost")).Routes
        assert await resolver.resolve("b@localhost") == UNKNOWN
        await client.register()
        assert await resolver.resolve("b@localhost") == ResolveReply([route()], None)
        client.socket.close()
        while await resolver.resolve("b@localhost") != UNKNOWN:
            await asyncio.sleep(0.01)
        resolver.close()


async def test_resolver_uses_another_address_of_the_machine() -> None:
    async with started_target(SelfTarget(over="tcp")) as running:
        resolver = await running.resolver(host="127.0.0.2")
        assert await resolver.resolve("b@localhost") == UNKNOWN
        resolver.close()
    async with started_target(SelfTarget()) as running:
        with pytest.raises(UnreachableError, match="in memory there are no addresses"):
            await running.resolver(host="127.0.0.2")


async def test_running_target_without_a_registrar_raises_unreachable() -> None:
    running = RunningTarget(TargetInfo("a@b", "c"), tls=False, offers=frozenset())
    with pytest.raises(UnreachableError):
        await running.registrar_socket()
