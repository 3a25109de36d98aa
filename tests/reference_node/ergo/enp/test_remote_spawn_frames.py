"""Requests to spawn and to start an application, in both directions, checked with the schemas."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, gen
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.gen import (
    ApplicationOptions,
    ApplicationOptionsExtra,
    ProcessOptionsExtra,
    RemoteProcessOptions,
)
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.peers.ergo.connection import PROCESS, Peer
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agent_operations import permit_remote_starts
from ergo_conformance.reference_node.target.agents import Echo
from tests.support.consumers import Consumer, Termination, error_text, spawn_consumer
from tests.support.nodes import context, node, settle

BYE = Error("bye")
FACTORY = Atom("echo_factory")
WITHOUT = [Flags.REMOTE_SPAWN, Flags.REMOTE_APPLICATION_START]


@asynccontextmanager
async def connected_peer(peer_flags: Flags = DEFAULT_FLAGS, **options: Any) -> AsyncIterator[tuple[Node, Peer]]:
    """Yields a node and a peer with these flags."""
    b = node(**options)
    permit_remote_starts(b.core, "allowed@localhost")
    peer = await context(b).peer(Flags=peer_flags.to_bytes(FLAGS_WIDTH, "big"))
    await settle()
    try:
        yield b, peer
    finally:
        await b.stop()


def spawn_request(peer: Peer, name: str = FACTORY, parent: PID | None = None, **more: Any) -> enp.Spawn:
    """Returns a spawn request of the peer; `more` are fields of either record of options."""
    result_of = {key: more.pop(key) for key in list(more) if key in RemoteProcessOptions._fields}
    mine = peer.pid() if parent is None else parent
    options = ProcessOptionsExtra(RemoteProcessOptions(**result_of), mine, mine)._replace(**more)
    return enp.Spawn(Atom(name), options, peer.control_ref())


async def result_of(peer: Peer, message: Any) -> enp.Result:
    peer.send_frame(enp.Control(0, message))
    return await peer.result(message.Ref)


def error_of(result: enp.Result) -> str | None:
    return result.Error and result.Error.text


# --- requests of the peer ---------------------------------------------------------------------------------------------


async def test_a_spawn_request_gets_the_pid() -> None:
    """The Result has the order byte of the parent (ENP §8)."""
    async with connected_peer() as (b, peer):
        message = spawn_request(peer, Register=Atom("it"))
        peer.send_frame(enp.Control(0, message))
        frame = (await peer.wait_for(lambda f: isinstance(f, enp.Control), "a Result")).value
        pid = b.core.tables.names[Atom("it")].pid
        assert frame == enp.Control(PROCESS % 255, enp.Result(None, pid, message.Ref))
        assert await peer.call(pid.id, "!self") == pid


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "nothing"}, "unknown name"),
        ({"name": "restricted_factory"}, "not allowed"),
        ({"parent": gen.NO_PID}, "parent/leader is not set"),
        ({"ParentLeader": gen.NO_PID}, "parent/leader is not set"),
        ({"Register": Atom("taken")}, "resource is taken"),
    ],
)
async def test_a_refused_spawn_gets_the_error_and_the_zero_pid(change: dict[str, Any], error: str) -> None:
    """The zero PID and the error (ENP-SPAWN-1)."""
    async with connected_peer() as (b, peer):
        b.spawn(Echo(), name="taken")
        processes = len(b.core.tables.processes)
        result = await result_of(peer, spawn_request(peer, **change))
        assert (error_of(result), result.Result) == (error, gen.NO_PID)
        assert len(b.core.tables.processes) == processes


@pytest.mark.parametrize("without", WITHOUT, ids=lambda flag: flag.name)
async def test_a_request_that_our_flags_exclude_gets_not_allowed(without: Flags) -> None:
    """Upstream does not answer (ENP-SPAWN-3, NAPI-RN-4). The other request is served."""
    async with connected_peer(flags=DEFAULT_FLAGS & ~without) as (b, peer):
        spawned = await result_of(peer, spawn_request(peer))
        started_ = await result_of(peer, start_request(peer))
        errors = [error_of(spawned), error_of(started_)]
        assert errors == (["not allowed", None] if without is Flags.REMOTE_SPAWN else [None, "not allowed"])
        assert len(b.core.tables.processes) == 1


async def test_without_enable_the_flags_exclude_nothing() -> None:
    async with connected_peer(flags=Flags(0)) as (_, peer):
        assert error_of(await result_of(peer, spawn_request(peer))) is None
        assert error_of(await result_of(peer, start_request(peer))) is None


async def test_parent_and_child_are_linked_as_requested() -> None:
    async with connected_peer() as (b, peer):
        result = await result_of(peer, spawn_request(peer, LinkChild=True, LinkParent=True))
        child = b.core.tables.processes[result.Result.id]
        child.stop(BYE)
        frame = (await peer.wait_for(lambda f: isinstance(f, enp.TerminatePID), "the end")).value
        assert frame == enp.TerminatePID(0, 1, child.pid.id, BYE)
        result = await result_of(peer, spawn_request(peer, LinkParent=True))
        child = b.core.tables.processes[result.Result.id]
        peer.send_frame(enp.TerminatePID(0, 1, PROCESS, BYE))
        await settle()
        assert child.reason == BYE
        assert len(b.core.monitoring.relations) == 0


async def test_a_child_is_not_linked_for_a_third_node() -> None:
    async with connected_peer() as (b, peer):
        await result_of(peer, spawn_request(peer, parent=PID(Atom("stranger@localhost"), 7, 1), LinkChild=True))
        assert len(b.core.monitoring.relations) == 0


@pytest.mark.parametrize("started", [False, True])
async def test_a_peer_that_disconnects_after_its_request_leaves_no_process(started: bool) -> None:
    """No process that is linked to its parent is left."""
    async with connected_peer() as (b, peer):
        connection = b.network.connections[peer.name]
        data = peer.data_of(enp.Control(0, spawn_request(peer, LinkParent=True, LinkChild=True)))
        connection.receive(connection.sockets[0], data)
        if started:
            await settle()
            assert b.core.tables.processes
        b.core.disconnect(peer.name)
        await settle()
        assert not b.core.tables.processes
        assert len(b.core.monitoring.relations) == 0


def start_request(peer: Peer, name: str = "test_app", mode: int = 0) -> enp.ApplicationStart:
    return enp.ApplicationStart(
        Atom(name), mode, ApplicationOptionsExtra(ApplicationOptions(), peer.pid(1)), peer.control_ref()
    )


@pytest.mark.parametrize(
    ("name", "error"),
    [("nothing", "unknown name"), ("restricted_app", "not allowed"), ("enabled", "unknown application")],
)
async def test_a_refused_application_start_gets_the_error(name: str, error: str) -> None:
    async with connected_peer() as (b, peer):
        b.core.remote.enable_application_start("enabled")
        result = await result_of(peer, start_request(peer, name))
        assert (error_of(result), result.Result) == (error, None)


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 9, -1])
async def test_an_application_start_request_starts_it_in_the_mode(mode: int) -> None:
    """A number that is not a mode stands for the application's default mode (ENP-APP-1, -2)."""
    async with connected_peer() as (b, peer):
        message = start_request(peer, mode=mode)
        peer.send_frame(enp.Control(0, message))
        frame = (await peer.wait_for(lambda f: isinstance(f, enp.Control), "a Result")).value
        assert frame == enp.Control(0, enp.Result(None, None, message.Ref))
        application = b.core.applications.get("test_app")
        assert application.mode == (mode if mode in (1, 2, 3) else 2)
        assert await peer.call("test_app_worker", "hi") == "hi"
        assert error_of(await result_of(peer, start_request(peer))) == "application is still running"


# --- requests of the node ---------------------------------------------------------------------------------------------

Work = Callable[[Consumer], Awaitable[Any]]


def both_requests(b: Node, peer: Peer) -> list[Work]:
    """Returns both requests, made by a process of the node."""
    remote = b.core.remote
    return [
        lambda it: remote.spawn(
            it.process, peer.name, FACTORY, [1], RemoteProcessOptions(LinkChild=True, LinkParent=True)
        ),
        lambda it: remote.start_application(peer.name, Atom("app"), 2),
    ]


async def next_request(peer: Peer) -> Any:
    return (await peer.wait_for(lambda f: isinstance(f, enp.Control), "a request")).value


which = pytest.mark.parametrize("which", [0, 1], ids=["spawn", "start"])


async def test_a_sent_spawn_request_has_all_fields() -> None:
    async with connected_peer() as (b, peer):
        it = spawn_consumer(b)
        it.process.application, it.process.leader = Atom("app"), peer.pid(5)
        asked_for = RemoteProcessOptions(MailboxSize=4, LinkChild=True, Env={"A": 1})
        for args, register in ((None, ""), ([], "name"), ([1, "a"], "")):
            task = asyncio.ensure_future(
                b.core.remote.spawn(it.process, peer.name, FACTORY, args, asked_for, register=register)
            )
            frame = await next_request(peer)
            extra = ProcessOptionsExtra(
                asked_for, it.process.pid, peer.pid(5), None, 1, Atom(register), Atom("app"), args
            )
            assert frame == enp.Control(0, enp.Spawn(FACTORY, extra, frame.message.Ref))
            peer.send_frame(enp.Control(0, enp.Result(None, peer.pid(77), frame.message.Ref)))
            assert await task == peer.pid(77)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
async def test_a_sent_application_start_request_has_all_fields(mode: int) -> None:
    """NAPI-RN-7."""
    async with connected_peer(env={"N": "node"}, expose_env=True) as (b, peer):
        options = ApplicationOptions(Env={"A": 1})
        task = asyncio.ensure_future(b.core.remote.start_application(peer.name, Atom("app"), mode, options))
        frame = await next_request(peer)
        extra = ApplicationOptionsExtra(options, b.core.pid, {"N": "node"}, 1)
        assert frame == enp.Control(0, enp.ApplicationStart(Atom("app"), mode, extra, frame.message.Ref))
        peer.send_frame(enp.Control(0, enp.Result(None, None, frame.message.Ref)))
        await task


@which
async def test_a_request_without_a_result_times_out(which: int) -> None:
    async with connected_peer() as (b, peer):
        it = spawn_consumer(b)
        task = asyncio.ensure_future(error_text(both_requests(b, peer)[which](it)))
        frame = await next_request(peer)
        started = asyncio.get_running_loop().time()
        assert await task == "timed out"
        assert asyncio.get_running_loop().time() - started == pytest.approx(5)
        peer.send_frame(enp.Control(0, enp.Result(None, peer.pid(77), frame.message.Ref)))
        await settle()
        assert len(b.core.monitoring.relations) == 0


@which
@pytest.mark.parametrize("error", ["unknown name", "not allowed", "anything else"])
async def test_the_error_of_a_result_is_raised(which: int, error: str) -> None:
    async with connected_peer() as (b, peer):
        task = asyncio.ensure_future(error_text(both_requests(b, peer)[which](spawn_consumer(b))))
        frame = await next_request(peer)
        peer.send_frame(enp.Control(0, enp.Result(Error(error), gen.NO_PID, frame.message.Ref)))
        assert await task == error
        assert len(b.core.monitoring.relations) == 0


@pytest.mark.parametrize("value", [None, 1, "pid", ["a"]], ids=repr)
async def test_a_result_that_is_not_a_pid_is_malformed(value: Any) -> None:
    async with connected_peer() as (b, peer):
        task = asyncio.ensure_future(error_text(both_requests(b, peer)[0](spawn_consumer(b))))
        frame = await next_request(peer)
        peer.send_frame(enp.Control(0, enp.Result(None, value, frame.message.Ref)))
        assert await task == "malformed value"


@which
async def test_a_pending_request_fails_when_the_peer_disconnects(which: int) -> None:
    async with connected_peer() as (b, peer):
        task = asyncio.ensure_future(error_text(both_requests(b, peer)[which](spawn_consumer(b))))
        await next_request(peer)
        peer.sockets[0].close()
        assert await task == "no connection"


@which
@pytest.mark.parametrize("without", WITHOUT, ids=lambda flag: flag.name)
async def test_no_request_is_sent_that_the_flags_of_the_peer_exclude(which: int, without: Flags) -> None:
    async with connected_peer(peer_flags=DEFAULT_FLAGS & ~without) as (b, peer):
        task = asyncio.ensure_future(both_requests(b, peer)[which](spawn_consumer(b)))
        if without is WITHOUT[which]:
            assert await error_text(task) == "not allowed"
            assert await peer.receive(1) is None
        else:
            frame = await next_request(peer)
            peer.send_frame(enp.Control(0, enp.Result(None, peer.pid(77), frame.message.Ref)))
            await task


async def test_the_end_of_a_child_directly_after_the_result_is_notified() -> None:
    """Both arrive in one segment."""
    async with connected_peer() as (b, peer):
        it = spawn_consumer(b)
        task = asyncio.ensure_future(both_requests(b, peer)[0](it))
        frame = await next_request(peer)
        result = enp.Control(0, enp.Result(None, peer.pid(77), frame.message.Ref))
        peer.send_bytes(peer.data_of(result) + peer.data_of(enp.TerminatePID(0, 1, 77, BYE)), "a Result and an end")
        await task
        await settle()
        assert it.received == [Termination("exit", peer.pid(77), "bye")]
        it.process.stop(BYE)
        frame = (await peer.wait_for(lambda f: isinstance(f, enp.TerminatePID), "the end of the parent")).value
        assert frame == enp.TerminatePID(0, 1, it.process.pid.id, BYE)
