"""One node of the soak: its agents talk to the other nodes and note whatever breaks an invariant.

What may fail is said by `EXPECTED`: links are cut and nodes are killed all the time.  What arrives has to be right.
"""

import asyncio
import contextlib
import os
import random
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final, NamedTuple

from ergo_conformance.model import subject
from ergo_conformance.model.terms import PID, Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.agents import Echo
from ergo_conformance.reference_node.failures import ErgoError, Stop
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions, NodeOptions
from ergo_conformance.reference_node.processes import Actor, Body, Call, Process
from ergo_conformance.reference_node.relations import Watched
from ergo_conformance.reference_node.routes import NetworkRoute

EXPECTED: Final = {"timed out", "no route", "no connection"}
"""What the other node's death, or that of a link, may do to whoever waits."""
MORE: Final = {"unknown process", "process terminated", "process ID belongs to the previous incarnation"}
"""What those hear who address something that has ended."""
BATCH: Final = 20
PAUSE: Final = 0.02
ORDER: Final = 255
AROUND: Final = 1.0
"""Seconds before and after the loss of a link in which order is not kept."""
LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Plan(NamedTuple):
    """What a node is started with. `ports`: of all nodes by their names."""

    name: str
    ports: dict[str, int]
    seed: int


class Notes:
    """What happened on this node. `broken`: sentences, each an invariant that does not hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self.going_on = True
        self._lost: defaultdict[Atom, list[float]] = defaultdict(list)
        self._late: list[tuple[float, Atom, str]] = []

    def link_lost(self, peer: Atom) -> None:
        """A link with this node is gone."""
        self._lost[peer] = [*self._lost[peer][-50:], time.monotonic()]

    def late(self, peer: Atom, what: str) -> None:
        """A message came behind a later one: a sender whose link was cut goes on with another, and what it sent before may
        be read after that (ENP-ORD-6). `judge` sees whether it was so.
        """
        self._late.append((time.monotonic(), peer, what))

    def judge(self) -> None:
        """Messages that came late, each a while ago: was a link lost then?"""
        due = [row for row in self._late if row[0] < time.monotonic() - AROUND]
        self._late = [row for row in self._late if row not in due]
        for when, peer, what in due:
            cut = any(abs(lost - when) < AROUND for lost in self._lost[peer])
            self.check(cut, what)
            self.counts["late at a cut"] += cut

    def check(self, holds: object, what: str) -> None:
        """One invariant."""
        if not holds and len(self.broken) < 100:
            self.broken.append(f"{self.name}: {what}")

    @contextlib.contextmanager
    def tolerant(self, *, also: set[str] = MORE) -> Any:
        """Lets fail what may fail."""
        try:
            yield
        except ErgoError as error:
            self.counts["failed"] += 1
            self.check(error.error.text in EXPECTED | also, f"unexpected error: {error.error.text!r}")


class Inbox(Actor):
    """Looks at the order of each sender's messages; tells which important ones of a batch have come."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.last: dict[PID, int] = {}
        self.batches: defaultdict[PID, list[int]] = defaultdict(list)

    async def handle_message(self, sender: PID, message: list[int]) -> None:
        number, is_important = message
        last = self.last.get(sender)
        if last is None:
            for old in [pid for pid in self.last if pid.node == sender.node and pid.creation != sender.creation]:
                del self.last[old]
                self.batches.pop(old, None)
            last = 0
        self.notes.check(number != last, f"message {number} of {sender} came twice")
        if number <= last:
            self.notes.late(sender.node, f"message {number} of {sender} came behind {last}")
        self.last[sender] = max(number, last)
        self.notes.counts["received"] += 1
        if is_important:
            self.batches[sender].append(number)

    async def handle_call(self, call: Call) -> Any:
        """Those that have come since the last time, and which life this is."""
        return [self.process.pid.creation, *self.batches.pop(call.sender, [])]


class Mortal(Actor):
    """Is spawned by another node, and ends when it is told to."""

    async def handle_message(self, sender: PID, message: str) -> None:
        raise Stop(Error(message))


class Relater(Actor):
    """Spawns processes on another node, watches them, and hears of each end once. `open`: not told yet."""

    def __init__(self, notes: Notes, peer: Atom, rng: random.Random) -> None:
        self.notes, self.peer, self.rng = notes, peer, rng
        self.open: Counter[tuple[str, Watched]] = Counter()
        self.unsure: Counter[tuple[str, Watched]] = Counter()
        self.work: asyncio.Task[None] | None = None

    async def init(self) -> None:
        self.process.options = replace(self.process.options, trap_exit=True)
        self.work = asyncio.get_running_loop().create_task(self._relate())

    async def handle_exit(self, source: Watched, reason: Error) -> None:
        self._told(("link", source), reason)

    async def handle_down(self, source: Watched, reason: Error) -> None:
        self._told(("monitor", source), reason)

    def _told(self, key: tuple[str, Watched], reason: Error) -> None:
        known = self.open if self.open[key] else self.unsure
        self.notes.check(known[key], f"told a second time, or of nothing: {key}, {reason.text}")
        self.notes.check(reason.text in {"ended", "no connection", "shutdown", "kill"}, f"reason {reason.text!r}")
        self.notes.counts["told"] += 1
        known[key] -= 1
        if not known[key]:
            del known[key]

    async def _take(self, kind: str, target: Watched) -> bool:
        key = kind, target
        self.open[key] += 1
        try:
            await (self.process.link(target) if kind == "link" else self.process.monitor(target))
        except ErgoError as error:  # the Result may be lost, or may be just too late
            self.notes.check(error.error.text in EXPECTED | MORE, f"{kind}: {error.error.text!r}")
            if self.open[key]:
                self.open[key] -= 1
                self.unsure = Counter({key: 1})
            return False
        self.notes.counts["relations"] += 1
        return True

    async def _relate(self) -> None:
        while self.notes.going_on:
            await asyncio.sleep(PAUSE * 5)
            with self.notes.tolerant():
                node = await self.process.core.connection(self.peer)
                pid = await node.node().spawn("mortal")
                self.notes.counts["spawned"] += 1
                taken = [kind for kind in ("link", "monitor") if await self._take(kind, pid)]
                if "link" in taken and self.rng.random() < 0.2:
                    await self._give_back(pid)
                await self.process.send(pid, "ended")

    async def _give_back(self, pid: PID) -> None:
        """Unlinks. If the answer is lost we may be told or not."""
        key = "link", pid
        with self.notes.tolerant(also=MORE | {"unknown target"}):
            await self.process.unlink(pid)
            self.notes.check(self.open[key] or self.process.core.open_connection(self.peer) is None, f"told of {key}")
            self.open.pop(key, None)
            self.notes.counts["unlinked"] += 1


class Subscriber(Actor):
    """Watches an event of another node: what is published comes in order, and once."""

    def __init__(self, notes: Notes, peer: Atom) -> None:
        self.notes, self.event = notes, Event(peer, Atom("tick"))
        self.last = 0

    async def init(self) -> None:
        self.process.core.run(self._subscribe())

    async def _subscribe(self) -> None:
        while self.notes.going_on and self.process.reason is None:
            self.last = 0
            with self.notes.tolerant(also={"unknown event", "target is already exist"}):
                await self.process.monitor(self.event)
                self.notes.counts["subscribed"] += 1
                return
            await asyncio.sleep(0.5)

    async def handle_event(self, event: Event, timestamp: int, message: int) -> None:
        self.notes.check(message != self.last, f"{event} {message} came twice")
        if message <= self.last:
            self.notes.late(event.node, f"{event} {message} came behind {self.last}")
        self.last = max(message, self.last)
        self.notes.counts["events"] += 1

    async def handle_down(self, source: Watched, reason: Error) -> None:
        self.process.core.run(self._subscribe())


class Soak:
    """The node with all its agents."""

    def __init__(self, node: Node, plan: Plan) -> None:
        self.node, self.notes = node, Notes(plan.name)
        self.rng = random.Random(plan.seed)
        self.peers = [Atom(name) for name in plan.ports if name != plan.name]
        self.relaters: list[Relater] = []
        self.tasks: list[asyncio.Task[None]] = []
        table = node.network.table
        closed = table.closed

        def connection_closed(connection: Any) -> None:
            self.notes.link_lost(connection.name)
            closed(connection)

        table.closed = connection_closed
        table.link_lost = lambda connection: self.notes.link_lost(connection.name)
        node.core.remote.enable_spawn("mortal", Mortal)
        node.spawn(Echo(), name="echo")
        node.spawn(Inbox(self.notes), name="inbox")
        self._run(self._publish)
        for peer in self.peers:
            for body in (self._stream, self._stream, self._call, self._use_old_addresses):
                self._run(body, peer)
            self.relaters.append(Relater(self.notes, peer, self.rng))
            node.spawn(self.relaters[-1])
            node.spawn(Subscriber(self.notes, peer))

    def _run(self, body: Body, *args: Any) -> None:
        """An agent whose number is good for order (ENP-ORD-5)."""
        while (self.node.core._last_id + 1) % ORDER == 0:  # noqa: SLF001  the next number
            self.node.spawn(Mortal())
        process = self.node.spawn(body, *args)
        assert process.task is not None
        self.tasks.append(process.task)

    # --- agents -------------------------------------------------------------------------------------------------------

    async def _stream(self, process: Process, peer: Atom) -> None:
        """Batches of messages, every other one important: what was acknowledged has come."""
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
        """If an answer is lost nobody knows any more: then this batch is not compared."""
        now, *come = await process.call(inbox, "compare")
        if now == life:
            lost = sorted(sure - set(come))
            self.notes.check(not lost, f"acknowledged, but not come to {inbox}: {lost}")
            self.notes.check(len(come) == len(set(come)), f"came twice to {inbox}")
            self.notes.counts["acknowledged"] += len(sure)

    async def _call(self, process: Process, peer: Atom) -> None:
        """Each call has its own answer."""
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
        """A PID of a former life of the peer says so."""
        echo: PID | None = None
        while self.notes.going_on:
            await asyncio.sleep(PAUSE * 20)
            with self.notes.tolerant():
                await self.node.core.connection(peer)
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
                    self.notes.check(old or error.error.text in EXPECTED, f"an old PID: {error.error.text!r}")
                    self.notes.counts["old addresses"] += old
                    echo = None if old else echo
                else:
                    self.notes.check(False, f"an old PID of {peer} has answered")

    async def _publish(self, process: Process) -> None:
        process.register_event("tick")
        number = 0
        while self.notes.going_on:
            number += 1
            process.publish("tick", number)
            await asyncio.sleep(PAUSE)

    # --- what the conductor asks --------------------------------------------------------------------------------------

    async def cut(self) -> int:
        """Ends one link of each connection that has more than one, with RST."""
        number = 0
        for connection in list(self.node.network.connections.values()):
            if len(connection.links) < 2:
                continue
            link: Any = self.rng.choice(list(connection.links))
            sock: socket.socket = link._transport.get_extra_info("socket")  # noqa: SLF001  as a network fails
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            link.abort()
            number += 1
        return number

    async def disconnect(self) -> int:
        """Ends all connections."""
        nodes = self.node.network.nodes()
        for name in nodes:
            self.node.network.node(name).disconnect()
        return len(nodes)

    async def connect(self) -> None:
        """With all others; AssertionError is not raised: `report` tells."""
        for peer in self.peers:
            with self.notes.tolerant():
                await self.node.network.get_node(peer)

    async def report(self) -> dict[str, Any]:
        """All that is known here."""
        core, connections = self.node.core, self.node.network.connections
        self.notes.judge()
        return {
            "counts": dict(self.notes.counts),
            "broken": list(self.notes.broken),
            "connections": {str(n): (c.peer.connection_id, len(c.links)) for n, c in connections.items()},
            "files": len(os.listdir("/proc/self/fd")),
            "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            "waiting": sum(len(core.waiters(peer)) for peer in self.peers),
            "open": sum(relater.open.total() for relater in self.relaters),
            "relations": len(core.watching.relations),
            "processes": len(core.processes),
            "tasks": len(asyncio.all_tasks()),
        }

    async def quiet(self) -> None:
        """Ends all agents that do something; answers when they have."""
        self.notes.going_on = False
        await asyncio.gather(*self.tasks, *(relater.work for relater in self.relaters if relater.work))


async def _serve(pipe: Pipe, plan: Plan) -> None:
    port = plan.ports[plan.name]
    acceptors = (AcceptorOptions(host="127.0.0.1", port=port, last_port=port),)
    network = NetworkOptions(cookie="soak", registrar=None, acceptors=acceptors)
    node = Node(plan.name, network, NodeOptions(types=subject.ROWS))
    for name, other in plan.ports.items():
        if name != plan.name:
            node.network.add_route(f"^{name}$", NetworkRoute(host="127.0.0.1", port=other))
    await node.network.start()
    soak = Soak(node, plan)
    questions: asyncio.Queue[str] = asyncio.Queue()

    def listen() -> None:
        try:
            questions.put_nowait(pipe.recv())
        except EOFError:  # the conductor was killed: so are we
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
