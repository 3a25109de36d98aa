"""One node of the soak: its agents communicate with the other nodes.

`EXPECTED` lists the errors that may occur, because sockets are cut and nodes are killed all the time.  Messages that arrive
must be correct.
"""

import asyncio
import os
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final, NamedTuple

from soak_agents import EXPECTED, PAUSE, Inbox, Mortal, Notes, Relater, Subscriber

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.api import Connection, Socket
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.process import Body, Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions, NodeOptions
from ergo_conformance.reference_node.target.agents import Echo

BATCH: Final = 20
ORDER: Final = 255
LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Plan(NamedTuple):
    """The arguments of a node. `ports`: the ports of all nodes by name."""

    name: str
    ports: dict[str, int]
    seed: int


class Soak:
    """The node with all its agents."""

    def __init__(self, node: Node, plan: Plan) -> None:
        self.node, self.notes = node, Notes(plan.name)
        self.rng = random.Random(plan.seed)
        self.peers = [Atom(name) for name in plan.ports if name != plan.name]
        self.relaters: list[Relater] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._watch_sockets()
        node.core.remote.enable_spawn("mortal", Mortal)
        node.spawn(Echo(), name="echo")
        node.spawn(Inbox(self.notes), name="inbox")
        self._run(self._publish)
        for peer in self.peers:
            for body in (self._stream, self._stream, self._call, self._use_old_addresses):
                self._run(body, peer)
            self.relaters.append(Relater(self.notes, node, peer, self.rng))
            node.spawn(self.relaters[-1])
            node.spawn(Subscriber(self.notes, node, peer))

    def _watch_sockets(self) -> None:
        """Records each lost socket and each closed connection."""
        table, network = self.node.network.table, self.node.network
        lose, closed = table.lose, network.connection_closed

        def lose_socket(socket: Socket) -> None:
            for connection in table.connections.values():
                if socket in connection.sockets:
                    self.notes.socket_lost(connection.name)
            lose(socket)

        def connection_closed(connection: Connection) -> None:
            self.notes.socket_lost(connection.name)
            closed(connection)

        table.lose, network.connection_closed = lose_socket, connection_closed  # type: ignore[method-assign]

    def _run(self, body: Body, *args: Any) -> None:
        """Starts an agent whose number keeps message order (ENP-ORD-5)."""
        while (self.node.core.tables._last_id + 1) % ORDER == 0:  # noqa: SLF001  the next number
            self.node.spawn(Mortal())
        process = self.node.spawn(body, *args)
        self.tasks.append(asyncio.ensure_future(process.join()))

    # --- agents -------------------------------------------------------------------------------------------------------

    async def _stream(self, process: Process, peer: Atom) -> None:
        """Sends batches of messages, every other one important, and checks that acknowledged messages have arrived."""
        inbox, number = ProcessID(peer, Atom("inbox")), 0
        while self.notes.going_on:
            await asyncio.sleep(PAUSE)
            with self.notes.tolerant():
                life, *_ = await process.call(inbox, "begin")
                sure: set[int] = set()
                for _ in range(BATCH):
                    number += 2
                    await process.send(inbox, [number - 1, 0])
                    with self.notes.tolerant():
                        await process.send(inbox, [number, 1], important=True)
                        sure.add(number)
                    self.notes.counts["sent"] += 2
                await self._compare(process, inbox, life, sure)

    async def _compare(self, process: Process, inbox: ProcessID, life: int, sure: set[int]) -> None:
        """Compares a batch with the peer's inbox, unless the peer was restarted in between."""
        now, *come = await process.call(inbox, "compare")
        if now == life:
            lost = sorted(sure - set(come))
            self.notes.check(not lost, f"acknowledged, but not received by {inbox}: {lost}")
            self.notes.check(len(come) == len(set(come)), f"received twice by {inbox}")
            self.notes.counts["acknowledged"] += len(sure)

    async def _call(self, process: Process, peer: Atom) -> None:
        """Checks that each call gets its own answer."""
        echo, number = ProcessID(peer, Atom("echo")), 0

        async def one(value: int) -> None:
            with self.notes.tolerant():
                answer = await process.call(echo, value)
                self.notes.check(answer == value, f"{answer!r} is the answer to {value}")
                self.notes.counts["calls"] += 1

        while self.notes.going_on:
            await asyncio.gather(*(one(number + i) for i in range(10)))
            number += 10
            await asyncio.sleep(PAUSE)

    async def _use_old_addresses(self, process: Process, peer: Atom) -> None:
        """Checks that a PID of an earlier incarnation of the peer is refused."""
        echo: PID | None = None
        while self.notes.going_on:
            await asyncio.sleep(PAUSE * 20)
            with self.notes.tolerant():
                await self.node.core.peers.connection(peer)
                found = self.node.core.open_connection(peer)
                if found is None:
                    continue
                if echo is None or found.peer.creation == echo.creation:
                    echo = echo or await process.call(ProcessID(peer, Atom("echo")), "!self")
                    await process.send(echo, "hello")
                    continue
                try:
                    await process.call(echo, "anybody?")
                except ErgoError as error:
                    old = error.error.text == "process ID belongs to the previous incarnation"
                    self.notes.check(
                        old or error.error.text in EXPECTED, f"a PID of an earlier incarnation: {error.error.text!r}"
                    )
                    self.notes.counts["old addresses"] += old
                    echo = None if old else echo
                else:
                    self.notes.check(False, f"a PID of an earlier incarnation of {peer} has answered")

    async def _publish(self, process: Process) -> None:
        process.register_event("tick")
        number = 0
        while self.notes.going_on:
            number += 1
            process.publish("tick", number)
            await asyncio.sleep(PAUSE)

    # --- requests of the conductor --------------------------------------------------------------------------------------

    async def cut(self) -> int:
        """Ends one socket of each connection that has more than one, with RST."""
        number = 0
        for connection in list(self.node.network.connections.values()):
            link: Any
            link, *others = self.rng.sample(list(connection.sockets), len(connection.sockets))
            if not others:
                continue
            sock: socket.socket = link._transport.get_extra_info("socket")  # noqa: SLF001  simulates a network failure
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            link.abort()
            number += 1
        return number

    async def disconnect(self) -> int:
        """Ends all connections."""
        nodes = self.node.network.nodes
        for name in nodes:
            self.node.network.node(name).disconnect()
        return len(nodes)

    async def connect(self) -> None:
        """Connects to all other nodes; failures are counted and show in `report`."""
        for peer in self.peers:
            with self.notes.tolerant():
                await self.node.network.get_node(peer)

    async def report(self) -> dict[str, Any]:
        """Returns the counts and the state of this node."""
        core, connections = self.node.core, self.node.network.connections
        self.notes.judge()
        return {
            "counts": dict(self.notes.counts),
            "broken": list(self.notes.broken),
            "connections": {str(n): (c.peer.connection_id, len(c.sockets)) for n, c in connections.items()},
            "files": open_files(),
            "memory": memory(),
            "waiting": len(core.pending),
            "open": sum(relater.open.total() for relater in self.relaters),
            "relations": len(core.monitoring.relations),
            "processes": len(core.tables.processes),
            "tasks": len(asyncio.all_tasks()),
        }

    async def quiet(self) -> None:
        """Stops all active agents; returns when they have stopped."""
        self.notes.going_on = False
        await asyncio.gather(*self.tasks, *(relater.work for relater in self.relaters if relater.work))


def open_files() -> int:
    """Number of file descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def memory() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _serve(pipe: Pipe, plan: Plan) -> None:
    port = plan.ports[plan.name]
    acceptors = (AcceptorOptions(host="127.0.0.1", port=port, last_port=port),)
    network = NetworkOptions(cookie="soak", registrar=None, acceptors=acceptors)
    node = Node(plan.name, network, NodeOptions(types=agent_types.ROWS))
    for name, other in plan.ports.items():
        if name != plan.name:
            node.network.add_route(f"^{name}$", NetworkRoute(host="127.0.0.1", port=other))
    await node.network.start()
    soak = Soak(node, plan)
    questions: asyncio.Queue[str] = asyncio.Queue()

    def listen() -> None:
        try:
            questions.put_nowait(pipe.recv())
        except EOFError:  # the conductor was killed: end this process too
            os._exit(1)

    asyncio.get_running_loop().add_reader(pipe.fileno(), listen)
    pipe.send("ready")
    while (question := await questions.get()) != "stop":
        method: Callable[[], Awaitable[Any]] = getattr(soak, question)
        pipe.send(await method())
    soak.notes.going_on = False
    began = time.monotonic()
    await node.stop()
    pipe.send(time.monotonic() - began)


def child(pipe: Pipe, plan: Plan) -> None:
    """The process of a node."""
    asyncio.run(_serve(pipe, plan))
