"""The registrar of a target: where it is told, what it adds to the offers, how it is reached."""

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
from ergo_conformance.targets.base import Running, Target, TargetError
from ergo_conformance.targets.kinds import Settings, address_of, target_of
from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.targets.self_node import SelfTarget
from tests.support.settings import start_node
from tests.support.sockets import run

UNKNOWN = ResolveReply(None, Error("unknown"))


@contextlib.asynccontextmanager
async def started(target: Target, **config: Any) -> AsyncIterator[Running]:
    running = await target.start(config)
    try:
        yield running
    finally:
        await running.stop()
        await target.close()


def ready(told: Mapping[str, Any]) -> ProcessTarget:
    program = (
        f"import threading; print('READY', {json.dumps(json.dumps(told))}, flush=True); threading.Event().wait(30)"
    )
    return ProcessTarget([sys.executable, "-S", "-c", program])


# --- where it is told -------------------------------------------------------------------------------------------------


def test_an_address() -> None:
    assert address_of(None) is None
    assert address_of("localhost:4499") == ("localhost", 4499)
    assert address_of("[::1]:65535") == ("::1", 65_535)


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":4499", "localhost:0", "localhost:65536", "a:b"])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=f"--registrar {text}: written HOST:PORT"):
        address_of(text)


@pytest.mark.parametrize("settings", [Settings(), Settings("process:x"), Settings(command=("x",))])
def test_only_a_node_that_runs_already_has_it_told(settings: Settings) -> None:
    told = Settings(settings.spelled, settings.command, registrar=f"{HOST}:4499")
    with pytest.raises(UsageError, match="--registrar is for a node that runs already"):
        target_of(told)


@pytest.mark.parametrize("port", ["4499", 65_536, -1])
def test_a_target_that_tells_no_port(port: Any) -> None:
    async def scenario() -> None:
        with pytest.raises(TargetError, match="READY has no good registrar_port"):
            await ready({"name": "a@b", "port": 1, "registrar_port": port}).start({})

    run(scenario())


# --- what it adds -----------------------------------------------------------------------------------------------------


def test_a_target_without_one() -> None:
    async def scenario() -> None:
        async with started(ready({"name": "a@b", "port": 1})) as running:
            assert running.offers == {"accept"}
            with pytest.raises(UnreachableError, match="serves no registrar"):
                await running.registrar_socket()
            with pytest.raises(UnreachableError, match="serves no registrar"):
                await running.resolver()

    run(scenario())


def test_a_registrar_without_a_node() -> None:
    """Whatever it says it offers, it can't be dialed."""

    async def scenario() -> None:
        told = {"name": "", "registrar_port": 4499, "offers": ["accept", "agents", "registrar"]}
        async with started(ready(told)) as running:
            assert running.offers == {"registrar"}
        with pytest.raises(TargetError, match="needs at least name and port"):
            await ready({"name": "", "registrar_port": None}).start({})

    run(scenario())


def test_a_running_target_and_its_registrar() -> None:
    async def scenario() -> None:
        acceptors = (AcceptorOptions(host=HOST, port=0),)
        node = await start_node("n@localhost", cookie="c", acceptors=acceptors)
        server = await ScriptedEsrdServer().start()
        spelled = f"tcp://{HOST}:{node.network.acceptors[0].port}"
        try:
            async with started(target_of(Settings(spelled, cookie="c"))) as running:
                assert running.offers == {"accept"}
            told = Settings(spelled, cookie="c", registrar=f"{HOST}:{server.port}")
            async with started(target_of(told)) as running:
                assert running.offers == {"accept", "registrar"}
                (await running.registrar_socket()).close()
                await server.registration()
        finally:
            await server.stop()
            await node.stop()

    run(scenario())


# --- how it is reached ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["memory", "tcp"])
def test_the_embedded_node_serves(over: str) -> None:
    """Its links and datagrams lead to one table, which has the node itself and ends with it."""

    async def scenario() -> None:
        async with started(SelfTarget(over=over), name="self@localhost") as running:
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

    run(scenario())


def test_an_address_of_the_same_machine() -> None:
    async def scenario() -> None:
        async with started(SelfTarget(over="tcp")) as running:
            resolver = await running.resolver(host="127.0.0.2")
            assert await resolver.resolve("b@localhost") == UNKNOWN
            resolver.close()
        async with started(SelfTarget()) as running:
            with pytest.raises(UnreachableError, match="in memory there are no addresses"):
                await running.resolver(host="127.0.0.2")

    run(scenario())


def test_what_runs_without_a_registrar_says_so() -> None:
    async def scenario() -> None:
        running = Running(TargetInfo("a@b", "c"), tls=False, offers=frozenset())
        with pytest.raises(UnreachableError):
            await running.registrar_socket()

    run(scenario())
