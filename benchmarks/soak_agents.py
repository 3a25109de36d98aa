"""The receiving agents of the soak's nodes, and the records of broken invariants."""

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

from ergo_conformance.model.values import PID, Atom, Error, Event
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.messages import Call, ProcessOptions
from ergo_conformance.reference_node.api.relations import RelationTarget
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.node import Node

EXPECTED: Final = {"timed out", "no route", "no connection", "node terminated"}
"""Errors of a request when the other node stops or dies, or a socket is cut."""
MORE: Final = {"unknown process", "process terminated", "process ID belongs to the previous incarnation"}
"""Errors of requests to a process that has terminated."""
PAUSE: Final = 0.02
"""Seconds between two actions of an agent."""
READ_BY_THEN: Final = 0.5
"""Seconds after which an agent has emptied its mailbox."""
LIFE: Final = 10.0
"""Maximum lifetime of a spawned process in seconds."""
AROUND: Final = 1.0
"""Seconds before and after the loss of a socket in which order is not guaranteed."""
MOST_NOTES: Final = 100
UNLINKED: Final = 0.2
"""Share of the links that are removed again."""


class Notes:
    """Counts and broken invariants of this node. `broken`: one sentence for each broken invariant."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self.going_on = True
        self._lost: defaultdict[Atom, list[float]] = defaultdict(list)
        self._late: list[tuple[float, Atom, str]] = []

    def socket_lost(self, peer: Atom) -> None:
        """Records the loss of a socket to this node."""
        self._lost[peer] = [*self._lost[peer][-50:], time.monotonic()]

    def late(self, peer: Atom, what: str) -> None:
        """Records a message that arrived after a later one. A sender whose socket was cut continues on another socket, so its
        earlier messages may be read later. `judge` checks whether a socket was lost.
        """
        self._late.append((time.monotonic(), peer, what))

    def judge(self) -> None:
        """Checks for each recorded late message, after some time, whether a socket was lost at that moment."""
        due = [row for row in self._late if row[0] < time.monotonic() - AROUND]
        self._late = [row for row in self._late if row not in due]
        for when, peer, what in due:
            cut = any(abs(lost - when) < AROUND for lost in self._lost[peer])
            self.check(cut, what)
            self.counts["reordered at a cut"] += cut

    def check(self, holds: object, what: str) -> None:
        """Records a broken invariant."""
        if not holds and len(self.broken) < MOST_NOTES:
            self.broken.append(f"{self.name}: {what}")

    @contextlib.contextmanager
    def tolerant(self, *, also: set[str] = MORE) -> Iterator[None]:
        """Counts and suppresses expected errors."""
        try:
            yield
        except ErgoError as error:
            self.counts["failed"] += 1
            self.check(error.error.text in EXPECTED | also, f"unexpected error: {error.error.text!r}")


class Inbox(Actor):
    """Checks the order of each sender's messages; reports which important messages of a batch have arrived."""

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
        self.notes.check(number != last, f"message {number} of {sender} arrived twice")
        if number <= last:
            self.notes.late(sender.node, f"message {number} of {sender} arrived after {last}")
        self.last[sender] = max(number, last)
        self.notes.counts["received"] += 1
        if is_important:
            self.batches[sender].append(number)

    async def handle_call(self, call: Call) -> Any:
        """Returns the node's creation and the important messages that arrived since the last call."""
        return [self.process.pid.creation, *self.batches.pop(call.sender, [])]


class Mortal(Actor):
    """A process spawned by another node; it terminates on request, or after a while if the request was lost."""

    async def init(self) -> None:
        asyncio.get_running_loop().call_later(LIFE, self.process.stop)

    async def handle_message(self, sender: PID, message: str) -> None:  # noqa: ARG002  any sender
        raise Stop(Error(message))


class Relater(Actor):
    """Spawns, links and monitors processes on another node; expects one notification each. `open`: not yet notified."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self, notes: Notes, node: Node, peer: Atom, rng: random.Random) -> None:
        self.notes, self.node, self.peer, self.rng = notes, node, peer, rng
        self.open: Counter[tuple[str, RelationTarget]] = Counter()
        self.unsure: Counter[tuple[str, RelationTarget]] = Counter()
        self.work: asyncio.Task[None] | None = None

    async def init(self) -> None:
        self.work = asyncio.get_running_loop().create_task(self._relate())

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        self._told(("link", source), reason)

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        self._told(("monitor", source), reason)

    def _told(self, key: tuple[str, RelationTarget], reason: Error) -> None:
        known = self.open if self.open[key] else self.unsure
        self.notes.check(known[key], f"reported a second time, or without a relation: {key}, {reason.text}")
        self.notes.check(reason.text in {"ended", "no connection", "shutdown", "kill"}, f"reason {reason.text!r}")
        self.notes.counts["reported"] += 1
        known[key] -= 1
        if not known[key]:
            del known[key]

    async def _take(self, kind: str, target: RelationTarget) -> bool:
        key = kind, target
        self.open[key] += 1
        try:
            await (self.process.link(target) if kind == "link" else self.process.monitor(target))
        except ErgoError as error:  # the Result may be lost or late
            self.notes.check(error.error.text in EXPECTED | MORE, f"{kind}: {error.error.text!r}")
            if self.open[key]:
                self.open[key] -= 1
                self.unsure[key] = 1
                if len(self.unsure) > MOST_NOTES:
                    del self.unsure[next(iter(self.unsure))]
            return False
        self.notes.counts["relations"] += 1
        return True

    async def _relate(self) -> None:
        while self.notes.going_on:
            await asyncio.sleep(PAUSE * 5)
            with self.notes.tolerant():
                pid = await (await self.node.network.get_node(self.peer)).spawn("mortal")
                self.notes.counts["spawned"] += 1
                taken = [kind for kind in ("link", "monitor") if await self._take(kind, pid)]
                if "link" in taken and self.rng.random() < UNLINKED:
                    await self._give_back(pid)
                await self.process.send(pid, "ended")

    async def _give_back(self, pid: PID) -> None:
        """Removes the link. A notification that is in the mailbox by then counts; if the answer is lost, one may follow."""
        key = "link", pid
        with self.notes.tolerant(also=MORE | {"unknown target"}):
            await self.process.unlink(pid)
            self.notes.counts["unlinked"] += 1
            if self.open.pop(key, None):
                self.unsure[key] = 1
                asyncio.get_running_loop().call_later(READ_BY_THEN, self.unsure.pop, key, None)


class Subscriber(Actor):
    """Monitors an event of another node: its messages arrive in order and once."""

    def __init__(self, notes: Notes, node: Node, peer: Atom) -> None:
        self.node = node
        self.notes, self.event = notes, Event(peer, Atom("tick"))
        self.last = 0

    async def init(self) -> None:
        self.node.core.run(self._subscribe())

    async def _subscribe(self) -> None:
        subscribed = False
        while self.notes.going_on and self.process.reason is None and not subscribed:
            self.last = 0
            with self.notes.tolerant(also={"unknown event", "target is already exist"}):
                await self.process.monitor(self.event)
                self.notes.counts["subscribed"] += 1
                subscribed = True
            if not subscribed:
                await asyncio.sleep(0.5)

    async def handle_event(self, event: Event, timestamp: int, message: int) -> None:  # noqa: ARG002
        self.notes.check(message != self.last, f"{event} {message} arrived twice")
        if message <= self.last:
            self.notes.late(event.node, f"{event} {message} arrived after {self.last}")
        self.last = max(message, self.last)
        self.notes.counts["events"] += 1

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:  # noqa: ARG002  subscribe again for any reason
        self.node.core.run(self._subscribe())
