"""A node floods one process of another node: what the other processes of the flooded node still send, and the lag of its loop.

Two nodes in two processes.  The flooded node has senders whose messages the other node counts, first alone, then while the
other node writes encoded messages for one of its processes to all sockets as fast as they take them.  The goals: the senders
keep at least 30 % of their rate, and the loop is never late by more than 100 ms.  Lag is measured twice: by the clock, which
counts what other programs take from the processor, too, and in processor time of the flooded node.  The exit code is 1 if a
goal is missed (for the lag: in processor time), or if a message is lost.
"""

import argparse
import asyncio
import multiprocessing as mp
import platform
import resource
import sys
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final, NamedTuple

from ergo_conformance.model.ergo import agent_types, enp
from ergo_conformance.model.ergo.enp import MessageNameCache
from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.api import Socket
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.api.stack import FlowLimits
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.enp.codec import FrameEncoder
from ergo_conformance.reference_node.ergo.enp.proto import EnpProto
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.network.initial_caches import initial_caches, make_registry
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions, NodeOptions

FLOODED, FLOODER = Atom("flooded@localhost"), Atom("flooder@localhost")
SHARE: Final = 0.3
"""Goal: the part of their rate that the senders keep."""
LAG: Final = 0.1
"""Goal: seconds."""
TICK: Final = 0.01
"""Seconds between two measurements of the lag."""
BATCH: Final = 100
"""Messages of one write of the flood."""
TEXT: Final = "twenty characters ok"


class PatientProto(EnpProto):
    """ENP without our own rule that a peer is given up after 30 s without progress: upstream has none.

    A receiver's kernel announces room in steps of a sixteenth of its buffer, which a slow machine fills in half a minute.
    """

    @property
    def flow_limits(self) -> FlowLimits:
        return FlowLimits(enp.MAX_QUEUED, float(60 * 60))


class Count(Actor):
    """Counts its messages."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_message(self, sender: PID, message: Any) -> None:  # noqa: ARG002  every message is the same
        self.count += 1


class Lag:
    """The greatest lag of a loop, by the clock and in processor time, in seconds."""

    def __init__(self) -> None:
        self.clock = self.processor = 0.0

    async def watch(self) -> None:
        """Measures until it is cancelled."""
        while True:
            clock, processor = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            self.clock = max(self.clock, time.perf_counter() - clock - TICK)
            self.processor = max(self.processor, time.thread_time() - processor - TICK)


class Phase(NamedTuple):
    """What the flooded node did in one phase. `sent`: by its senders; `flood`: messages that the flooded process handled."""

    sent: int
    flood: int
    seconds: float
    lag: float
    processor_lag: float
    longest: int
    megabytes: float
    """Greatest memory so far."""


def network(**more: Any) -> NetworkOptions:
    """Options that both nodes have in common."""
    return NetworkOptions(
        cookie="bench", handshake=EhsHandshake(pool_size=3), proto=PatientProto(), registrar=None, **more
    )


async def send_forever(process: Process, to: ProcessID, counts: list[int], number: int) -> None:
    """Sends until it is stopped."""
    while True:
        await process.send(to, agent_types.Small(number, TEXT))
        counts[number] += 1


# --- the flooded node -------------------------------------------------------------------------------------------------


class Flooded:
    """The flooded node."""

    def __init__(self, node: Node, senders: int) -> None:
        self.node, self.senders = node, senders
        self.sink = Count()
        self.process = node.spawn(self.sink, name="sink")

    async def phase(self, seconds: float) -> Phase:
        """Lets the senders send for some seconds."""
        lag, sent, before, longest = Lag(), [0] * self.senders, self.sink.count, 0
        watch = asyncio.create_task(lag.watch())
        to = ProcessID(FLOODER, Atom("counter"))
        processes = [self.node.spawn(send_forever, to, sent, i) for i in range(self.senders)]
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            await asyncio.sleep(0.1)
            longest = max(longest, len(self.process.mailbox))
        lasted = time.perf_counter() - began
        total, flood = sum(sent), self.sink.count - before
        for process in processes:
            process.stop()
        watch.cancel()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Phase(total, flood, lasted, lag.clock, lag.processor, longest, memory)


async def serve(pipe: Pipe, senders: int) -> None:
    """Runs the flooded node until it is told to stop."""
    acceptors = (AcceptorOptions(host="127.0.0.1", port=0),)
    options = NodeOptions(types=agent_types.ROWS, atoms=("sink", "counter"))
    node = await Node(FLOODED, network(acceptors=acceptors), options).start()
    flooded = Flooded(node, senders)
    pipe.send(node.network.acceptors[0].port)
    while (seconds := await asyncio.to_thread(pipe.recv)) is not None:
        pipe.send(await flooded.phase(seconds))
    await node.stop()


def child(pipe: Pipe, senders: int) -> None:
    """The process of the flooded node."""
    asyncio.run(serve(pipe, senders))


# --- the flooding node ------------------------------------------------------------------------------------------------


async def flood(pipe: Pipe, port: int, alone: float, flooded: float) -> tuple[Phase, Phase, int]:
    """Runs both phases. Returns what the flooded node did, and the number of messages of its senders that arrived."""
    options = NodeOptions(types=agent_types.ROWS, atoms=("sink", "counter"))
    node = Node(FLOODER, network(), options)
    node.network.add_route("^flooded@", NetworkRoute(host="127.0.0.1", port=port))
    counter = Count()
    node.spawn(counter, name="counter")
    await node.network.get_node(FLOODED)
    quiet = await ask(pipe, alone)
    flooding = [
        asyncio.create_task(write_forever(node, socket)) for socket in node.network.connections[FLOODED].sockets
    ]
    busy = await ask(pipe, flooded)
    for task in flooding:
        task.cancel()
    for _ in range(300):  # what is still on its way
        if counter.count == quiet.sent + busy.sent:
            break
        await asyncio.sleep(0.1)
    await node.stop()
    return quiet, busy, counter.count


async def write_forever(node: Node, socket: Socket) -> None:
    """Floods the sink over one socket. Another node may write faster than we can encode: so the messages are encoded once."""
    encoder = FrameEncoder(make_registry(node.options), initial_caches(node.name, node.options))
    message = MessageNameCache(1, 1001, 0, 0, Atom("sink"), agent_types.Small(1, TEXT))
    batch = encoder.write(message) * BATCH
    while True:
        socket.write(batch)
        await asyncio.sleep(0)
        await socket.drain()


async def ask(pipe: Pipe, seconds: float) -> Phase:
    """Runs one phase."""
    pipe.send(seconds)
    phase: Phase = await asyncio.to_thread(pipe.recv)
    return phase


def report(quiet: Phase, busy: Phase, arrived: int) -> bool:
    """Prints the figures. Returns whether the goals are met and no message is lost."""
    for name, phase in (("alone", quiet), ("flooded", busy)):
        print(
            f"{name:<8} {phase.seconds:5.1f} s  senders {phase.sent / phase.seconds:9,.0f}/s"
            f"  flooded process {phase.flood / phase.seconds:9,.0f}/s  its mailbox at most {phase.longest:7,}"
            f"  lag {phase.lag * 1000:4.0f} ms, of processor time {phase.processor_lag * 1000:4.0f} ms"
            f"  {phase.megabytes:4.0f} MB"
        )
    share = (busy.sent / busy.seconds) / (quiet.sent / quiet.seconds)
    # a sender may be stopped between its send and its count
    complete = arrived >= quiet.sent + busy.sent
    print(f"the senders keep {share:.0%} of their rate (goal: {SHARE:.0%})")
    print(f"the loop is late by {busy.processor_lag * 1000:.0f} ms of processor time (goal: {LAG * 1000:.0f} ms)")
    print("all messages of the senders arrived" if complete else f"WRONG: {arrived:,} messages arrived")
    return share >= SHARE and busy.processor_lag <= LAG and complete


def main() -> int:
    """Returns 0, or 1 if a goal is missed or a message is lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of the flood")
    parser.add_argument("--senders", type=int, default=4, help="sending processes of the flooded node")
    parser.add_argument("--quick", action="store_true", help="flood for 5 seconds")
    given = parser.parse_args()
    seconds = 5.0 if given.quick else given.seconds
    ours, theirs = mp.get_context("spawn").Pipe()
    flooded = mp.get_context("spawn").Process(target=child, args=(theirs, given.senders), daemon=True)
    flooded.start()
    quiet, busy, arrived = asyncio.run(flood(ours, ours.recv(), min(seconds, 10.0), seconds))
    ours.send(None)
    flooded.join(10)
    print(f"Python {platform.python_version()}, two processes, {given.senders} senders, pool 3")
    return 0 if report(quiet, busy, arrived) else 1


if __name__ == "__main__":
    sys.exit(main())
