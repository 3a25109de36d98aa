"""Two reference nodes in two processes: a million messages, 10,000 concurrent calls, important messages under load.

The results are checked: every message arrives once and in the order of its sender, and every answer and acknowledgement
reaches its caller or sender; otherwise the exit code is 1.  The same run measures the receive path of a bare asyncio
protocol that splits the same frames and does nothing with them: the result is the ratio of the processor times per message.
Speed does not affect the exit code.
"""

import argparse
import asyncio
import multiprocessing as mp
import platform
import struct
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final, NamedTuple

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.ergo.enp import MessageNameCache, MessagePID
from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.enp.codec import FrameEncoder
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.network.initial_caches import initial_caches, make_registry
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions, NodeOptions
from ergo_conformance.reference_node.target.agents import Echo

COOKIE: Final = "bench"
POOL: Final = EhsHandshake(pool_size=3)
HEAD: Final = struct.Struct(">HIBB")
CONNECT_TRIES: Final = 20
PATIENCE: Final = 30.0
"""Seconds to wait for messages that may have been lost."""


class Plan(NamedTuple):
    """Numbers of messages, senders, calls and important messages."""

    messages: int
    senders: int
    calls: int
    important: int


class Counter(Actor):
    """Counts received messages and checks the order of each sender's messages."""

    def __init__(self) -> None:
        self.next: dict[PID, int] = {}
        self.count = self.disorder = 0

    async def handle_message(self, sender: PID, message: Any) -> None:
        expected = self.next.get(sender, 0)
        if message[0] != expected:
            self.disorder += 1
        self.next[sender] = expected + 1
        self.count += 1

    async def handle_call(self, call: Call) -> Any:  # noqa: ARG002  every request is the same
        return [self.count, self.disorder, time.process_time()]


class Slot(NamedTuple):
    """The result of one measurement."""

    what: str
    n: int
    seconds: float
    receiver: float
    """Seconds of processor time in the receiving process."""
    good: bool

    def __str__(self) -> str:
        state = "" if self.good else "   WRONG"
        per_message = self.receiver / self.n * 1e6
        return f"{self.what:<52}{self.n:>10,}{self.n / self.seconds:12,.0f}/s{per_message:9.2f} us{state}"


# --- the receiving process --------------------------------------------------------------------------------------------


OPTIONS = NodeOptions(types=agent_types.ROWS, atoms=("counter",))


def network(**more: Any) -> NetworkOptions:
    """Options that both nodes have in common."""
    return NetworkOptions(cookie=COOKIE, handshake=POOL, registrar=None, **more)


async def receive(pipe: Pipe) -> None:
    """Runs a node with a counter and an echo, and the bare protocol on a second port."""
    acceptors = (AcceptorOptions(host="127.0.0.1", port=0),)
    node = await Node("receiver@localhost", network(acceptors=acceptors), OPTIONS).start()
    node.spawn(Counter(), name="counter")
    echo = node.spawn(Echo(), name="echo")
    counts = [0]
    server = await asyncio.get_running_loop().create_server(lambda: Bare(counts), "127.0.0.1", 0)
    pipe.send((node.network.acceptors[0].port, server.sockets[0].getsockname()[1], echo.pid))
    while (question := await asyncio.to_thread(pipe.recv)) != "stop":
        if question == "counter":
            node.core.spawner.end(node.core.tables.names[Atom("counter")], agent_types.CUSTOM_ERROR)
            await asyncio.sleep(0.05)
            pipe.send(node.spawn(Counter(), name="counter").pid)
        else:
            pipe.send((counts[0], time.process_time()))
    server.close()
    await node.stop()


class Bare(asyncio.Protocol):
    """Splits frames by their length and counts them: the minimum work of any receiver."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        offset, end, n = 0, len(data), 0
        while end - offset >= HEAD.size:
            length = HEAD.unpack_from(data, offset)[1]
            if end - offset < length:
                break
            offset += length
            n += 1
        self.counts[0] += n
        self.rest = data[offset:]


def child(pipe: Pipe) -> None:
    """The receiving process."""
    asyncio.run(receive(pipe))


# --- the sending process ----------------------------------------------------------------------------------------------


class Sender:
    """The sending node, and the pipe to the other process."""

    def __init__(self, pipe: Pipe, plan: Plan) -> None:
        self.pipe, self.plan = pipe, plan
        self.port, self.bare_port, self.echo = pipe.recv()
        self.node = Node("sender@localhost", network(), OPTIONS)
        self.node.network.add_route("^receiver@", NetworkRoute(host="127.0.0.1", port=self.port))
        self.slots: list[Slot] = []

    def ask(self, question: str) -> Any:
        self.pipe.send(question)
        return self.pipe.recv()

    async def connect(self) -> None:
        """Connects with the receiver; tries again, since a handshake may miss its deadlines on a busy machine."""
        for left in range(CONNECT_TRIES - 1, -1, -1):
            try:
                await self.node.network.get_node("receiver@localhost")
                return
            except ErgoError:
                if not left:
                    raise

    async def run(self) -> list[Slot]:
        """Runs all measurements."""
        await self.connect()
        counter = self.ask("counter")
        by_name = ProcessID(Atom("receiver@localhost"), Atom("counter"))
        await self.messages("messages by PID", lambda: counter)
        counter = self.ask("counter")
        await self.messages("messages by name", lambda: by_name)
        await self.bare()
        await self.calls()
        await self.important(by_name)
        await self.node.stop()
        return self.slots

    async def messages(self, what: str, target: Callable[[], Any]) -> None:
        """Sends half of the messages from all senders concurrently; ends when the counter has received them."""
        each = self.plan.messages // 2 // self.plan.senders
        _, before = self.ask("time")
        started = time.perf_counter()

        async def sender(process: Process) -> None:
            for i in range(each):
                await process.send(target(), agent_types.Small(i, "twenty characters ok"))

        await self.all_done([sender] * self.plan.senders)
        n = each * self.plan.senders
        count, disorder = await self.settled(n)
        seconds = time.perf_counter() - started
        _, after = self.ask("time")
        self.slots.append(Slot(what, n, seconds, after - before, count == n and disorder == 0))

    async def settled(self, n: int) -> tuple[int, int]:
        """Returns the counter's figures when it has received all messages, or after PATIENCE."""
        answers: list[Any] = []

        async def asker(process: Process) -> None:
            deadline = time.monotonic() + PATIENCE
            while not answers or (answers[-1][0] < n and time.monotonic() < deadline):
                counter = ProcessID(Atom("receiver@localhost"), Atom("counter"))
                answers.append(await process.call(counter, "count", timeout=60))
                await asyncio.sleep(0.01)

        await self.all_done([asker])
        return answers[-1][0], answers[-1][1]

    async def bare(self) -> None:
        """Sends the same frames to the bare protocol."""
        caches = initial_caches(self.node.name, self.node.options)
        encoder = FrameEncoder(make_registry(self.node.options), caches)
        value = agent_types.Small(1, "twenty characters ok")
        one = [encoder.write(MessagePID(1, 1001, 0, 0, 1002, value)),
               encoder.write(MessageNameCache(1, 1001, 0, 0, Atom("counter"), value))]  # fmt: skip
        n = self.plan.messages
        _, writer = await asyncio.open_connection("127.0.0.1", self.bare_port)
        counted, before = self.ask("time")
        started = time.perf_counter()
        batch = b"".join(one) * 250
        for _ in range(n // 500):
            writer.write(batch)
            await writer.drain()
        while self.ask("time")[0] - counted < n // 500 * 500:
            time.sleep(0.005)  # noqa: ASYNC251  only the other process has work
        seconds = time.perf_counter() - started
        found, after = self.ask("time")
        writer.close()
        self.slots.append(Slot("bare asyncio protocol, the same frames", n, seconds, after - before,
                               found - counted == n // 500 * 500))  # fmt: skip

    async def calls(self) -> None:
        """Concurrent calls, each with its own answer."""
        n = self.plan.calls
        good = [False]

        async def caller(process: Process) -> None:
            answers = await asyncio.gather(*(process.call(self.echo, i, timeout=60) for i in range(n)))
            good[0] = answers == list(range(n))

        _, before = self.ask("time")
        started = time.perf_counter()
        await self.all_done([caller])
        seconds = time.perf_counter() - started
        _, after = self.ask("time")
        self.slots.append(Slot("concurrent calls", n, seconds, after - before, good[0]))

    async def important(self, to: ProcessID) -> None:
        """Important messages from all senders under load: every send returns, so each was acknowledged."""
        counter = self.ask("counter")
        n = self.plan.important // self.plan.senders
        acknowledged = [0]

        async def sender(process: Process) -> None:
            for start in range(0, n, 100):
                batch = range(start, min(start + 100, n))
                await asyncio.gather(*(process.send(to, agent_types.Small(i, "x"), important=True) for i in batch))
                acknowledged[0] += len(batch)

        async def flood(process: Process) -> None:
            for i in range(self.plan.important):
                await process.send(counter, agent_types.Small(i, "y"))

        _, before = self.ask("time")
        started = time.perf_counter()
        await self.all_done([sender] * self.plan.senders + [flood])
        seconds = time.perf_counter() - started
        _, after = self.ask("time")
        total = n * self.plan.senders
        good = acknowledged[0] == total and not self.node.core.pending
        self.slots.append(
            Slot("important messages, all acknowledged, under load", total, seconds, after - before, good)
        )

    async def all_done(self, bodies: list[Any]) -> None:
        """Runs processes of the node to their end."""
        processes = [self.node.spawn(body) for body in bodies]
        await asyncio.gather(*(process.join() for process in processes))


def main() -> int:
    """Returns 0, or 1 if a message, answer or acknowledgement is missing or wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="run one hundredth of the messages and calls")
    given = parser.parse_args()
    share = 100 if given.quick else 1
    plan = Plan(given.messages // share, 8, given.calls // share, given.messages // 20 // share)
    ours, theirs = mp.get_context("spawn").Pipe()
    receiver = mp.get_context("spawn").Process(target=child, args=(theirs,), daemon=True)
    receiver.start()
    slots = asyncio.run(_send(ours, plan))
    ours.send("stop")
    receiver.join(10)
    print(f"Python {platform.python_version()}, two processes, {plan.senders} senders, pool {POOL.pool_size}")
    print(f"{'':<52}{'n':>10}{'rate':>14}{'receiver':>12}")
    for slot in slots:
        print(slot)
    bare = next(slot for slot in slots if slot.what.startswith("bare"))
    for slot in slots:
        if slot.what.startswith("messages"):
            ratio = (slot.receiver / slot.n) / (bare.receiver / bare.n)
            print(f"{slot.what}: {ratio:.1f} times the processor time of the bare protocol")
    return 0 if all(slot.good for slot in slots) else 1


async def _send(pipe: Pipe, plan: Plan) -> list[Slot]:
    return await Sender(pipe, plan).run()


if __name__ == "__main__":
    sys.exit(main())
