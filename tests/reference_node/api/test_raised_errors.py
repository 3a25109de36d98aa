"""Where our node raises the error values (node-api §9): a call on the API for each of them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import gen
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.reference_node.api.applications import ApplicationState
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.api.messages import Down, ProcessOptions
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.error_values import TEXTS, spelled
from tests.support.network import Echo, at, dial, echo, failure, lan, refusal
from tests.support.nodes import run_as_process
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

pytestmark = pytest.mark.real_loop

NEVER_RAISED = {
    "ErrMetaUnknown",  # there are no meta processes
    "ErrMetaMailboxFull",
    "ErrApplicationDepends",  # applications depend on nothing
    "ErrApplicationLoadPanic",  # to load one runs no code of its
    "ErrRegistrarTerminated",  # a registrar that is lost is found again, and meanwhile the cause is told
    "ErrResponseIgnored",  # an answer that nobody waits for is dropped: who answers is not told
    "ErrInternal",  # nothing is unexpected
}


class Scene:
    """a is connected with b; both have an `echo` and an application `app`."""

    def __init__(self, a: Node, b: Node) -> None:
        self.a, self.b = a, b
        for node in (a, b):
            echo(node)
            node.core.applications.load(ApplicationSpec("app", (ApplicationMember(Echo),)))
        self.remote = a.network.node(b.name)

    def does(self, work: Callable[[Process], Awaitable[Any]], **options: Any) -> Awaitable[str]:
        """The error that a process of a gets."""
        return failure(run_as_process(self.a, work, **options))


async def name_unknown(it: Scene) -> str:
    return await failure(it.remote.spawn("nothing"))


async def parent_unknown(it: Scene) -> str:
    it.b.network.enable_spawn("factory", Echo)
    extra = gen.ProcessOptionsExtra(gen.RemoteProcessOptions(), gen.NO_PID, gen.NO_PID)
    return await failure(it.a.network.connections[it.b.name].remote_spawn(Atom("factory"), extra))


async def node_terminated(it: Scene) -> str:
    await it.a.stop()
    return refusal(lambda: it.a.spawn(Echo()))


class Busy(Actor):
    """Never comes to its second message."""

    options = ProcessOptions(mailbox_size=1)

    async def handle_message(self, sender: PID, message: Any) -> None:
        del sender, message
        await asyncio.Event().wait()


async def mailbox_full(it: Scene) -> str:
    it.b.spawn(Busy(), name="busy")

    async def floods(process: Process) -> None:
        for _ in range(3):
            await process.send(at(it.b, "busy"), 1, important=True)

    return await it.does(floods)


async def process_unknown(it: Scene) -> str:
    return await it.does(lambda process: process.send(at(it.b, "nobody"), 1, important=True))


async def process_incarnation(it: Scene) -> str:
    return await it.does(lambda process: process.send(PID(it.b.name, 1001, it.b.creation - 1), 1))


async def process_terminated(it: Scene) -> str:
    victim, _ = echo(it.a, "victim")

    async def strikes(process: Process) -> None:
        victim.stop()
        await process.send(victim.pid, 1)

    return await it.does(strikes)


async def application_unknown(it: Scene) -> str:
    it.b.network.enable_application_start("other")
    return await failure(it.remote.application_start("other"))


async def application_state(it: Scene) -> str:
    it.a.core.applications.get("app").state = ApplicationState.STOPPING
    return await failure(it.a.core.applications.start("app"))


async def application_empty(it: Scene) -> str:
    return refusal(lambda: it.a.core.applications.load(ApplicationSpec("empty", ())))


async def application_name(it: Scene) -> str:
    return refusal(lambda: it.a.core.applications.load(ApplicationSpec("", (ApplicationMember(Echo),))))


async def application_stopping(it: Scene) -> str:
    it.a.core.applications.get("app").state = ApplicationState.STOPPING
    return await failure(it.a.core.applications.stop("app"))


async def application_running(it: Scene) -> str:
    await it.a.core.applications.start("app")
    return await failure(it.a.core.applications.start("app"))


async def target_unknown(it: Scene) -> str:
    return await it.does(lambda process: process.unlink(at(it.b)))


async def target_exist(it: Scene) -> str:
    async def twice(process: Process) -> None:
        await process.monitor(at(it.b))
        await process.monitor(at(it.b))

    return await it.does(twice)


async def alias_unknown(it: Scene) -> str:
    return await it.does(lambda process: process.link(Alias(it.b.name, it.b.creation, (1, 2, 3))))


async def alias_owner(it: Scene) -> str:
    one, _ = echo(it.a, "one")
    two, _ = echo(it.a, "two")
    return refusal(lambda: it.a.core.monitoring.delete_alias(two, one.create_alias()))


async def event_unknown(it: Scene) -> str:
    return await it.does(lambda process: process.monitor(Event(it.b.name, Atom("nothing"))))


async def event_owner(it: Scene) -> str:
    one, _ = echo(it.a, "one")
    two, _ = echo(it.a, "two")
    one.register_event("ev")
    return refusal(lambda: two.publish("ev", 1))


async def taken(it: Scene) -> str:
    it.b.network.enable_spawn("factory", Echo)
    return await failure(it.remote.spawn_register("echo", "factory"))


async def atom_too_long(it: Scene) -> str:
    del it
    with pytest.raises(UsageError) as caught:
        await start_node("a" * 255 + "@localhost")
    return str(caught.value).partition(": 265 bytes")[0]


async def timeout(it: Scene) -> str:
    return await it.does(lambda process: process.call(at(it.b, "nobody"), 1, timeout=0.01))


async def unsupported(it: Scene) -> str:
    it.a.network.node(it.b.name).disconnect()
    await eventually(lambda: not it.b.network.connections)
    it.b.network.flags = Flags.ENABLE
    await dial(it.a, it.b)
    return await it.does(lambda process: process.send(at(it.b), 1, important=True))


async def unknown(it: Scene) -> str:
    return refusal(lambda: it.a.network.remove_route("nothing"))


async def not_allowed(it: Scene) -> str:
    it.b.network.enable_spawn("factory", Echo, "c@localhost")
    return await failure(it.remote.spawn("factory"))


async def incorrect(it: Scene) -> str:
    del it
    with pytest.raises(RegistrarError) as caught:
        await EsrdRegistrar(port=1).resolve(Atom("no host"))
    return str(caught.value)


async def malformed(it: Scene) -> str:
    del it
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))
        server.setblocking(False)
        asked = asyncio.ensure_future(EsrdRegistrar(port=server.getsockname()[1]).resolve(Atom(f"x@{HOST}")))
        _, who = await asyncio.get_running_loop().sock_recvfrom(server, 1000)
        server.sendto(b"no reply", who)
        with pytest.raises(RegistrarError) as caught:
            await asked
        return str(caught.value)


async def end_of(it: Scene, work: Callable[[Process], Awaitable[None]], target: Any = None) -> str:
    """The reason that a process of a, which monitors what `work` runs in, is told."""

    async def victim(process: Process) -> None:
        await process.receive()
        await work(process)

    async def watches(process: Process) -> str:
        other = it.b.spawn(victim, name="victim")
        await other.started
        await process.monitor(target or other.pid)
        await process.send(other.pid, "now")
        down = await process.receive()
        assert isinstance(down, Down)
        return down.reason.text

    return await run_as_process(it.a, watches)


async def unregistered(it: Scene) -> str:
    owner, _ = echo(it.b, "owner")
    owner.register_event("ev")

    async def ends(process: Process) -> None:
        del process
        owner.unregister_event("ev")

    return await end_of(it, ends, Event(it.b.name, Atom("ev")))


async def too_large(it: Scene) -> str:
    object.__setattr__(it.a.network.connections[it.b.name].peer, "max_message_size", 100)
    return await it.does(lambda process: process.send(at(it.b), "x" * 100))


async def network_stopped(it: Scene) -> str:
    await it.a.network.stop()
    return await it.does(lambda process: process.send(at(it.b), 1))


async def no_connection(it: Scene) -> str:
    return refusal(lambda: it.a.network.node("x@localhost"))


async def no_route(it: Scene) -> str:
    return await it.does(lambda process: process.send(ProcessID(Atom("x@localhost"), Atom("echo")), 1))


async def normal(it: Scene) -> str:
    async def returns(process: Process) -> None:
        """It has done its work."""

    return await end_of(it, returns)


async def kill(it: Scene) -> str:
    async def cancelled(process: Process) -> None:

        process.cancel()
        await asyncio.sleep(0)

    return await end_of(it, cancelled)


async def panic(it: Scene) -> str:
    async def fails(process: Process) -> None:
        raise ZeroDivisionError(process)

    return await end_of(it, fails)


async def shutdown(it: Scene) -> str:
    async def stops(process: Process) -> None:
        process.stop()
        await asyncio.sleep(0)

    return await end_of(it, stops)


RAISED: dict[str, Callable[[Scene], Awaitable[str]]] = {
    name: globals()[spelled(name).lower()] for name in TEXTS if name not in NEVER_RAISED
}


@pytest.mark.covers("Errors: calls of the API raise 36 of them")
def test_36_of_43_are_raised() -> None:
    """The others need what our node has not got."""
    assert (len(RAISED), len(NEVER_RAISED)) == (36, 7)


@pytest.mark.covers("Errors: calls of the API raise 36 of them")
@pytest.mark.parametrize("name", list(RAISED))
async def test_where_our_node_raises_it(name: str) -> None:
    """§9: by a call on the API, most of them to another node."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        await eventually(lambda: b.network.connections)
        assert await RAISED[name](Scene(a, b)) == TEXTS[name]
