"""Playing a capture to our node: what the other side wrote is written, what our node writes is compared.

The clock is virtual and follows the recording.  Between two happenings the node has all the time it needs.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo import ehs, enp, error_values
from ...model.ergo.ehs import Message
from ...model.values import PID
from ...peers.memory import connect_memory
from ...peers.sockets import Socket
from ...reference_node.connection.link import Address, LinkProtocol
from ...reference_node.core.core import CORE_ID
from ...spec.ergo import enp as frames
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.ehs import read_frame
from ...spec.ergo.stream import ReadFrame, caches_of, read_one, updated
from ..vectors.edf import Difference
from .acting import actor_of, deed
from .matching import Frame, Matcher
from .names import Names
from .script import Closed, Happening, Opened, Script, Spoken
from .stage import Role, set_up

SETTLE: Final = 1e-6
"""Seconds of the virtual clock: all that can happen at once has happened then."""
PATIENCE: Final = 10.0
"""Seconds that the other side waits for a link that our node has not opened yet."""
AFTERWARDS: Final = 10.0
"""Seconds that our node has for what it still has to do when the recording ends."""


@dataclass
class Line:
    """One link of our node, seen from the other end."""

    name: str
    link: Socket
    expected: deque[Message]
    """Handshake messages that our node has to write."""
    buffer: bytes = b""
    in_frames: bool = False
    dropped: bool = False
    """The other side has closed it."""

    @property
    def gone(self) -> bool:
        """Whether one side has closed it."""
        return self.dropped or self.link.eof


@dataclass
class Player:
    """One role of a capture."""

    script: Script
    role: Role
    other: Role
    differences: list[Difference] = field(default_factory=list)
    messages: int = 0
    unopened: list[str] = field(default_factory=list)
    """Links that the real node opened and ours did not."""
    unsaid: list[tuple[str, Message]] = field(default_factory=list)
    """Messages of the handshake that the real node wrote on a link, and ours did not."""

    def __post_init__(self) -> None:
        self.names = Names(self.role.name)
        self.matcher = Matcher.of(self.script, self.role.direction, self.names)
        self._frames = {id(read): frame for read, frame in self._recorded()}
        self._lines: dict[str, Line] = {}
        self._to_open = deque(
            happening.link for happening in self.script.happenings
            if isinstance(happening, Opened) and happening.by == self.role.direction
        )  # fmt: skip
        self._deeds: set[asyncio.Task[Any]] = set()
        self._context = EdfContext(self.role.registry, self.role.caches)
        self._closed = {happening.link for happening in self.script.happenings if isinstance(happening, Closed)}
        self._left = Counter(happening.link for happening in self.script.happenings)

    def _recorded(self) -> list[tuple[ReadFrame, Frame]]:
        said = (
            read for happening in self.script.happenings
            if isinstance(happening, Spoken) and happening.by == self.role.direction
            for read in happening.said if isinstance(read, ReadFrame)
        )  # fmt: skip
        return list(zip(said, self.matcher.missing, strict=True))

    # --- the run ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Plays everything; then the node ends."""
        loop = asyncio.get_running_loop()
        self._start = loop.time()
        self.stage = set_up(self.role, lambda: self.role.creation + loop.time() - self._start, self._dial)
        try:
            await self._settle()
            for happening in self.script.happenings:
                await asyncio.sleep(max(0.0, self._start + happening.time - loop.time()))
                await self._settle()
                self._left[happening.link] -= 1
                await self._play(happening)
            await asyncio.sleep(AFTERWARDS)
            self._read()
            self._end()
        finally:
            for task in self._deeds:
                task.cancel()
            await asyncio.gather(*self._deeds, return_exceptions=True)
            await self.stage.stop()

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLE)
        self._read()

    async def _play(self, happening: Happening) -> None:
        ours = happening.by == self.role.direction
        match happening:
            case Opened():
                await (self._we_open(happening.link) if ours else self._they_open(happening.link))
            case Closed():
                await (self._we_close(happening) if ours else self._they_close(happening.link))
            case Spoken():
                await (self._we_speak(happening) if ours else self._they_speak(happening))

    def _end(self) -> None:
        """What our node has not opened and not written."""
        mine = [h.link for h in self.script.happenings if isinstance(h, Opened) and h.by == self.role.direction]
        self.unopened += [link for link in mine if link not in self._lines and link not in self.unopened]
        self.unsaid += [(line.name, message) for line in self._lines.values() for message in line.expected]

    # --- links --------------------------------------------------------------------------------------------------------

    async def _dial(self, protocol: Callable[[], asyncio.Protocol], _: Address) -> None:
        """Our node opens a link: the next one that was opened by the real node, or nobody is there."""
        if not self._to_open:
            living = [line.name for line in self._lines.values() if not line.gone]
            cut = any(self.script.capture.is_cut("*", self.role.direction, at) for at in ("recording", "end"))
            if living and not cut:
                self._fail(living[0], "a link was opened that the real node did not open")
            raise ConnectionRefusedError("the recording has no more links")
        self._connect(self._to_open.popleft(), protocol())

    async def _we_open(self, link: str) -> None:
        """The real node dialed; so does ours, if it has not done so by itself."""
        if link in self._lines or self.script.joins(link):
            return
        if self.other.name not in self.stage.node.network.connections:
            self._do(self.stage.node.network.connect("recorded", 1))
        await self._settle()

    async def _they_open(self, link: str) -> None:
        self._connect(link, self.stage.node.network.acceptor_protocol(fingerprint=self.role.fingerprint))
        await self._settle()

    def _connect(self, name: str, protocol: asyncio.Protocol) -> None:
        if isinstance(protocol, LinkProtocol):
            protocol.fingerprint = self.role.fingerprint
        host, _, port = self.role.dsn.rpartition(":")
        address = (host, int(port)) if port.isdecimal() else ("127.0.0.1", 1)
        link = connect_memory(protocol, self.role.fingerprint, f"link {name}", address)
        side = self.script.of(name, self.role.direction)
        self._lines[name] = Line(name, link, deque(side.read.messages))
        self.matcher.links.append(name)

    async def _we_close(self, closed: Closed) -> None:
        """The real node closed a link: ours has, or is told to disconnect."""
        line = self._lines.get(closed.link)
        if line is None or line.link.eof:
            return
        connections = self.stage.node.network.connections
        if self.other.name in connections and self._is_last(closed):
            self.stage.node.core.disconnect(self.other.name)
        await self._settle()
        if not line.link.eof:
            self._fail(closed.link, "stays open where the real node closed it")

    def _is_last(self, closed: Closed) -> bool:
        """Whether nothing comes over the connection any more: no other link of it lives on."""
        later = (h for h in self.script.happenings if h.time >= closed.time and h.link == closed.link)
        return not any(isinstance(happening, Spoken) for happening in later)

    async def _they_close(self, link: str) -> None:
        if link in self._lines:
            self._lines[link].dropped = True
            self._lines[link].link.close()
        await self._settle()

    # --- what the other side says -------------------------------------------------------------------------------------

    async def _they_speak(self, spoken: Spoken) -> None:
        line = await self._line(spoken.link)
        if line is not None and not line.link.eof:
            line.link.write(self._bytes(spoken))
            await self._settle()

    async def _line(self, name: str) -> Line | None:
        if name not in self._lines and name not in self.unopened:
            await asyncio.sleep(PATIENCE)
            self._read()
            if name not in self._lines:
                self.unopened.append(name)
        return self._lines.get(name)

    def _bytes(self, spoken: Spoken) -> bytes:
        """What was recorded, with the ids of our node in it."""
        renamed = [(said, self._for_us(said)) for said in spoken.said]
        if all(data is None for _, data in renamed):
            return spoken.raw
        side = self.script.of(spoken.link, spoken.by)
        return b"".join(data or side.data[said.start : said.end] for said, data in renamed)  # type: ignore[union-attr]

    def _for_us(self, said: Message | ReadFrame) -> bytes | None:
        """A frame with other ids; None if there are no others in it."""
        if not isinstance(said, ReadFrame):
            return None
        read = said.inner or said
        frame = self.names.for_us(read.value)
        if frame == read.value:
            return None
        try:
            data = frames.write_frame(frame, read.context)
        except CannotEncode:  # a script's: as it is
            return None
        if said.inner is None:
            return data
        return frames.write_frame(frames.pack(data, said.value.algorithm, said.value.order), said.context)

    # --- what our node says -------------------------------------------------------------------------------------------

    async def _we_speak(self, spoken: Spoken) -> None:
        """What the real node wrote has come, or is an act, or comes later."""
        for said in spoken.said:
            if not isinstance(said, ReadFrame):
                continue
            frame = self._frames[id(said)]
            if self.matcher.waits_for(frame) and self._is_act(frame):
                peer = PID(self.other.name, CORE_ID, self.other.creation)
                self._do(deed(self.stage, peer, self.names.by_us(frame.value), frame.algorithm))
                await self._settle()
            elif self.matcher.waits_for(frame) and self._is_end(frame):
                self._do(self.stage.node.core.stop())
                await self._settle()

    def _is_act(self, frame: Frame) -> bool:
        """Whether nothing but the will of a process makes it happen."""
        if not self.role.acts or self.other.name not in self.stage.node.network.connections:
            return False
        actor = actor_of(frame.value)
        agents = {n for name, n in self.role.numbers.items() if name != "agent"}
        return actor is not None and actor not in agents and not self._is_reactive(actor)

    def _is_reactive(self, actor: int) -> bool:
        """Whether it is one of our processes that does nothing by itself."""
        process = self.stage.node.core.processes.get(self.names.ours("pid", actor))
        return process is not None and process.name not in (None, "agent")

    @staticmethod
    def _is_end(frame: Frame) -> bool:
        """Whether it tells that the node stops: nothing of a process's own makes it end like this (ENP-DOWN)."""
        ends = enp.TerminatePID | enp.TerminateName | enp.TerminateAlias | enp.TerminateEvent
        return isinstance(frame.value, ends) and frame.value.reason == error_values.SHUTDOWN

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._deeds.add(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _read(self) -> None:
        for line in self._lines.values():
            line.buffer += line.link.read_now()
            while self._one(line):
                pass

    def _one(self, line: Line) -> bool:
        """Reads one message or frame; False if none is whole."""
        line.in_frames = line.in_frames or line.buffer[:1] == bytes([enp.MAGIC])
        read = read_one(line.buffer, 0, self._context) if line.in_frames else read_frame(line.buffer, prefix=True)
        if isinstance(read, Rejected):
            if line.buffer and read.reason is not Reason.END_OF_DATA:
                self._fail(line.name, f"writes what can't be read: {read}; {line.buffer[:32].hex()}")
                line.buffer = b""
            return False
        line.buffer = line.buffer[read.end :]
        if isinstance(read, ReadFrame):
            self._frame(line, read)
        else:
            self._message(line, read.value)
        return True

    def _message(self, line: Line, message: Message) -> None:
        """A handshake message: it has to be the recorded one."""
        recorded = line.expected.popleft() if line.expected else None
        if recorded is None and self._is_beyond(line.name):
            return
        if recorded != message:
            self._fail(line.name, f"wrote {message!r:.300}, recorded {recorded!r:.300}")
        else:
            self.messages += 1
        if isinstance(message, ehs.Introduce):
            self._context = EdfContext(self.role.registry, caches_of(message))

    def _frame(self, line: Line, read: ReadFrame) -> None:
        self.matcher.take(read, line.name, beyond=self._is_beyond(line.name))
        if isinstance(read.value, enp.Control) and isinstance(read.value.message, enp.UpdateCache):
            self._context = EdfContext(self.role.registry, updated(self._context.caches, read.value.message))

    def _is_beyond(self, link: str) -> bool:
        """Whether the recording has stopped on this link although the link went on."""
        cut = any(self.script.capture.is_cut(link, self.role.direction, at) for at in ("recording", "end"))
        return cut and not self._left[link] and link not in self._closed

    def _fail(self, link: str, text: str) -> None:
        self.differences.append(Difference(f"link {link} {self.role.direction}", text))
