"""The error values (node-api §9) that our node raises: one call of the API for each."""

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
from tests.support.consumers import error_text
from tests.support.error_values import TEXTS, constant_name
from tests.support.loopback_nodes import Echo, dial, node_starter, process_id, raised_error_text, spawn_echo
from tests.support.nodes import run_as_process
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

pytestmark = pytest.mark.real_loop

NEVER_RAISED = {
    "ErrMetaUnknown",  # there are no meta processes
    "ErrMetaMailboxFull",
    "ErrApplicationDepends",  # applications depend on nothing
    "ErrApplicationLoadPanic",  # loading an application runs none of its code
    "ErrRegistrarTerminated",  # a lost registrar is dialed again; until then errors name the cause
    "ErrResponseIgnored",  # a late answer is dropped without an error
    "ErrInternal",  # no operation has an unexpected internal state
}


class ConnectedNodes:
    """Nodes a and b, which are connected; both have an `echo` and an application `app`."""

    def __init__(self, a: Node, b: Node) -> None:
        self.a, self.b = a, b
        for node in (a, b):
            spawn_echo(node)
            node.core.applications.load(ApplicationSpec("app", (ApplicationMember(Echo),)))
        self.remote = a.network.node(b.name)

    def error_of(self, work: Callable[[Process], Awaitable[Any]], **options: Any) -> Awaitable[str]:
        """Returns the text of the error that a process of a gets."""
        return error_text(run_as_process(self.a, work, **options))


async def name_unknown(it: ConnectedNodes) -> str:
    return await error_text(it.remote.spawn("nothing"))


async def parent_unknown(it: ConnectedNodes) -> str:
    it.b.network.enable_spawn("factory", Echo)
    extra = gen.ProcessOptionsExtra(gen.RemoteProcessOptions(), gen.NO_PID, gen.NO_PID)
    return await error_text(it.a.network.connections[it.b.name].remote_spawn(Atom("factory"), extra))


async def node_terminated(it: ConnectedNodes) -> str:
    await it.a.stop()
    return raised_error_text(lambda: it.a.spawn(Echo()))


class Busy(Actor):
    """Never finishes the first message."""

    options = ProcessOptions(mailbox_size=1)

    async def handle_message(self, sender: PID, message: Any) -> None:
        del sender, message
        await asyncio.Event().wait()


async def mailbox_full(it: ConnectedNodes) -> str:
    it.b.spawn(Busy(), name="busy")

    async def send_three(process: Process) -> None:
        for _ in range(3):
            await process.send(process_id(it.b, "busy"), 1, important=True)

    return await it.error_of(send_three)


async def process_unknown(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.send(process_id(it.b, "nobody"), 1, important=True))


async def process_incarnation(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.send(PID(it.b.name, 1001, it.b.creation - 1), 1))


async def process_terminated(it: ConnectedNodes) -> str:
    victim, _ = spawn_echo(it.a, "victim")

    async def send_to_stopped(process: Process) -> None:
        victim.stop()
        await process.send(victim.pid, 1)

    return await it.error_of(send_to_stopped)


async def application_unknown(it: ConnectedNodes) -> str:
    it.b.network.enable_application_start("other")
    return await error_text(it.remote.application_start("other"))


async def application_state(it: ConnectedNodes) -> str:
    it.a.core.applications.get("app").state = ApplicationState.STOPPING
    return await error_text(it.a.core.applications.start("app"))


async def application_empty(it: ConnectedNodes) -> str:
    return raised_error_text(lambda: it.a.core.applications.load(ApplicationSpec("empty", ())))


async def application_name(it: ConnectedNodes) -> str:
    return raised_error_text(lambda: it.a.core.applications.load(ApplicationSpec("", (ApplicationMember(Echo),))))


async def application_stopping(it: ConnectedNodes) -> str:
    it.a.core.applications.get("app").state = ApplicationState.STOPPING
    return await error_text(it.a.core.applications.stop("app"))


async def application_running(it: ConnectedNodes) -> str:
    await it.a.core.applications.start("app")
    return await error_text(it.a.core.applications.start("app"))


async def target_unknown(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.unlink(process_id(it.b)))


async def target_exist(it: ConnectedNodes) -> str:
    async def monitor_twice(process: Process) -> None:
        await process.monitor(process_id(it.b))
        await process.monitor(process_id(it.b))

    return await it.error_of(monitor_twice)


async def alias_unknown(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.link(Alias(it.b.name, it.b.creation, (1, 2, 3))))


async def alias_owner(it: ConnectedNodes) -> str:
    one, _ = spawn_echo(it.a, "one")
    two, _ = spawn_echo(it.a, "two")
    return raised_error_text(lambda: it.a.core.monitoring.delete_alias(two, one.create_alias()))


async def event_unknown(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.monitor(Event(it.b.name, Atom("nothing"))))


async def event_owner(it: ConnectedNodes) -> str:
    one, _ = spawn_echo(it.a, "one")
    two, _ = spawn_echo(it.a, "two")
    one.register_event("ev")
    return raised_error_text(lambda: two.publish("ev", 1))


async def taken(it: ConnectedNodes) -> str:
    it.b.network.enable_spawn("factory", Echo)
    return await error_text(it.remote.spawn_register("echo", "factory"))


async def atom_too_long(it: ConnectedNodes) -> str:
    del it
    with pytest.raises(UsageError) as caught:
        await start_node("a" * 255 + "@localhost")
    return str(caught.value).partition(": 265 bytes")[0]


async def timeout(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.call(process_id(it.b, "nobody"), 1, timeout=0.01))


async def unsupported(it: ConnectedNodes) -> str:
    it.a.network.node(it.b.name).disconnect()
    await eventually(lambda: not it.b.network.connections)
    it.b.network.flags = Flags.ENABLE
    await dial(it.a, it.b)
    return await it.error_of(lambda process: process.send(process_id(it.b), 1, important=True))


async def unknown(it: ConnectedNodes) -> str:
    return raised_error_text(lambda: it.a.network.remove_route("nothing"))


async def not_allowed(it: ConnectedNodes) -> str:
    it.b.network.enable_spawn("factory", Echo, "c@localhost")
    return await error_text(it.remote.spawn("factory"))


async def incorrect(it: ConnectedNodes) -> str:
    del it
    with pytest.raises(RegistrarError) as caught:
        await EsrdRegistrar(port=1).resolve(Atom("no host"))
    return str(caught.value)


async def malformed(it: ConnectedNodes) -> str:
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


async def end_reason(it: ConnectedNodes, work: Callable[[Process], Awaitable[None]], target: Any = None) -> str:
    """Returns the reason that a process of a, which monitors the process of `work`, receives."""

    async def victim(process: Process) -> None:
        await process.receive()
        await work(process)

    async def monitor_victim(process: Process) -> str:
        other = it.b.spawn(victim, name="victim")
        await other.started
        await process.monitor(target or other.pid)
        await process.send(other.pid, "now")
        down = await process.receive()
        assert isinstance(down, Down)
        return down.reason.text

    return await run_as_process(it.a, monitor_victim)


async def unregistered(it: ConnectedNodes) -> str:
    owner, _ = spawn_echo(it.b, "owner")
    owner.register_event("ev")

    async def unregister(process: Process) -> None:
        del process
        owner.unregister_event("ev")

    return await end_reason(it, unregister, Event(it.b.name, Atom("ev")))


async def too_large(it: ConnectedNodes) -> str:
    object.__setattr__(it.a.network.connections[it.b.name].peer, "max_message_size", 100)
    return await it.error_of(lambda process: process.send(process_id(it.b), "x" * 100))


async def network_stopped(it: ConnectedNodes) -> str:
    await it.a.network.stop()
    return await it.error_of(lambda process: process.send(process_id(it.b), 1))


async def no_connection(it: ConnectedNodes) -> str:
    return raised_error_text(lambda: it.a.network.node("x@localhost"))


async def no_route(it: ConnectedNodes) -> str:
    return await it.error_of(lambda process: process.send(ProcessID(Atom("x@localhost"), Atom("echo")), 1))


async def normal(it: ConnectedNodes) -> str:
    async def returns(process: Process) -> None:
        """Returns at once."""

    return await end_reason(it, returns)


async def kill(it: ConnectedNodes) -> str:
    async def cancel_itself(process: Process) -> None:

        process.cancel()
        await asyncio.sleep(0)

    return await end_reason(it, cancel_itself)


async def panic(it: ConnectedNodes) -> str:
    async def fails(process: Process) -> None:
        raise ZeroDivisionError(process)

    return await end_reason(it, fails)


async def shutdown(it: ConnectedNodes) -> str:
    async def stops(process: Process) -> None:
        process.stop()
        await asyncio.sleep(0)

    return await end_reason(it, stops)


RAISED: dict[str, Callable[[ConnectedNodes], Awaitable[str]]] = {
    name: globals()[constant_name(name).lower()] for name in TEXTS if name not in NEVER_RAISED
}


@pytest.mark.covers("Errors: calls of the API raise 36 of them")
def test_the_node_raises_36_of_43_error_values() -> None:
    """The others belong to features that our node does not have."""
    assert (len(RAISED), len(NEVER_RAISED)) == (36, 7)


@pytest.mark.covers("Errors: calls of the API raise 36 of them")
@pytest.mark.parametrize("name", list(RAISED))
async def test_the_api_raises_the_error_value(name: str) -> None:
    """§9: by a call on the API, most of them to another node."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        await eventually(lambda: b.network.connections)
        assert await RAISED[name](ConnectedNodes(a, b)) == TEXTS[name]
