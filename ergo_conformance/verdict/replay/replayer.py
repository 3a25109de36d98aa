"""Replays a capture of EHS and ENP to the reference node, which takes the place of one recorded node.

The peer's bytes come from the capture; the output of the node is compared with it. The clock is virtual and
follows the recording: the node has all the time it needs between two events.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ...errors import CannotEncode
from ...model.ergo import enp, error_values
from ...model.ergo.ehs import Message
from ...model.values import PID
from ...peers.memory import connect_memory
from ...reference_node.connection.socket_protocol import SocketProtocol
from ...reference_node.connection.tcp import SocketAddress
from ...reference_node.core.process_table import CORE_ID
from ...spec.ergo import enp as frames
from ...spec.ergo.stream import ReadFrame
from ..vectors.difference import Difference
from .actions import action, actor_of
from .identifiers import IdMap
from .matching import FrameMatcher, SentFrame
from .output import NodeOutput, NodeSocket
from .setup import RecordedNode, start_node
from .tasks import SETTLE, BackgroundTasks
from .timeline import ChunkWritten, RecordedEvent, SocketClosed, SocketOpened, Timeline

SOCKET_TIMEOUT: Final = 10.0
"""Seconds that the peer waits for a socket that the node has not opened yet."""
AFTERWARDS: Final = 10.0
"""Seconds that the node has for pending output when the recording ends."""


class Replayer:
    """The replay of one recorded node. Needs a running loop with a virtual clock."""

    def __init__(self, timeline: Timeline, recorded: RecordedNode, peer: RecordedNode) -> None:
        self.timeline, self.recorded, self.peer = timeline, recorded, peer
        self.unopened: list[str] = []
        """Sockets that the real node opened and the node did not."""
        self.ids = IdMap(recorded.name)
        self.matcher = FrameMatcher(timeline, recorded.direction, peer.direction, self.ids)
        self.output = NodeOutput(timeline, recorded, self.matcher)
        reads = (read for _, read in timeline.frames(recorded.direction))
        self._sent = {id(read): frame for read, frame in zip(reads, self.matcher.recorded, strict=True)}
        """The frames of the real node, by the identity of the frame in the timeline."""
        self._to_open = deque(self._opened())
        self._tasks = BackgroundTasks()
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self.node = start_node(recorded, lambda: recorded.creation + self._loop.time() - self._start, self._dial)

    def _opened(self) -> list[str]:
        """Returns the sockets that the real node opened."""
        events = (event for event in self.timeline.events if isinstance(event, SocketOpened))
        return [event.socket for event in events if event.by == self.recorded.direction]

    @property
    def differences(self) -> list[Difference]:
        """Differences other than missing and surplus frames, sockets and messages."""
        return self.output.differences

    # --- run ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Replays all events, then stops the node."""
        try:
            await self._settle()
            for event in self.timeline.events:
                await asyncio.sleep(max(0.0, self._start + event.time - self._loop.time()))
                await self._settle()
                self.output.pass_event(event)
                await self._replay(event)
            await asyncio.sleep(AFTERWARDS)
            self.output.read()
            self.unopened += (
                socket for socket in self._opened() if socket not in self.output.sockets and socket not in self.unopened
            )
        finally:
            await self._tasks.cancel()
            await self.node.stop()

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLE)
        self.output.read()

    async def _replay(self, event: RecordedEvent) -> None:
        by_node = event.by == self.recorded.direction
        match event:
            case SocketOpened():
                await (self._node_opens(event.socket) if by_node else self._peer_opens(event.socket))
            case SocketClosed():
                await (self._node_closes(event) if by_node else self._peer_closes(event.socket))
            case ChunkWritten():
                await (self._node_writes(event) if by_node else self._peer_writes(event))

    @property
    def _is_connected(self) -> bool:
        return self.peer.name in self.node.node.network.connections

    # --- sockets -----------------------------------------------------------------------------------------------------

    async def _dial(self, protocol: Callable[[], asyncio.Protocol], _: SocketAddress) -> None:
        """Opens a socket for the node: the next one that the real node opened. ConnectionRefusedError if there is none."""
        if not self._to_open:
            is_cut = any(self.timeline.capture.is_cut("*", self.recorded.direction, at) for at in ("recording", "end"))
            is_open = [socket.name for socket in self.output.sockets.values() if not socket.is_closed]
            if is_open and not is_cut:
                self.output.fail(is_open[0], "opened a socket that the real node did not open")
            raise ConnectionRefusedError("the capture has no further sockets")
        self._connect(self._to_open.popleft(), protocol())

    async def _node_opens(self, socket: str) -> None:
        """Lets the node dial the peer, unless it has opened the socket or joins sockets by itself."""
        if socket in self.output.sockets or self.timeline.joins(socket):
            return
        if not self._is_connected:
            self._tasks.start(self.node.node.network.connect("recorded", 1))
        await self._settle()

    async def _peer_opens(self, socket: str) -> None:
        self._connect(socket, self.node.node.network.acceptor_protocol(fingerprint=self.recorded.fingerprint))
        await self._settle()

    def _connect(self, socket: str, protocol: asyncio.Protocol) -> None:
        if isinstance(protocol, SocketProtocol):
            protocol.setup = replace(protocol.setup, fingerprint=self.recorded.fingerprint)
        host, _, port = self.recorded.dsn.rpartition(":")
        address = (host, int(port)) if port.isdecimal() else ("127.0.0.1", 1)
        self.output.open(socket, connect_memory(protocol, self.recorded.fingerprint, f"socket {socket}", address))

    async def _node_closes(self, event: SocketClosed) -> None:
        """Lets the node disconnect where the real node closed a socket, unless it has closed it by itself."""
        socket = self.output.sockets.get(event.socket)
        if socket is None or socket.peer_end.eof:
            return
        if self._is_connected and self._is_last(event):
            self.node.node.core.disconnect(self.peer.name)
        await self._settle()
        if not socket.peer_end.eof:
            self.output.fail(event.socket, "was closed by the real node and not by the reference node")

    def _is_last(self, event: SocketClosed) -> bool:
        """Returns whether no chunk follows on the socket."""
        later = (each for each in self.timeline.events if each.time >= event.time and each.socket == event.socket)
        return not any(isinstance(each, ChunkWritten) for each in later)

    async def _peer_closes(self, socket: str) -> None:
        if socket in self.output.sockets:
            self.output.sockets[socket].closed_by_peer = True
            self.output.sockets[socket].peer_end.close()
        await self._settle()

    # --- the peer writes ---------------------------------------------------------------------------------------------

    async def _peer_writes(self, chunk: ChunkWritten) -> None:
        socket = await self._socket(chunk.socket)
        if socket is not None and not socket.peer_end.eof:
            socket.peer_end.write(self._bytes(chunk))
            await self._settle()

    async def _socket(self, name: str) -> NodeSocket | None:
        """Returns a socket, after a wait if the node has yet to open it; None if it does not."""
        if name not in self.output.sockets and name not in self.unopened:
            await asyncio.sleep(SOCKET_TIMEOUT)
            self.output.read()
            if name not in self.output.sockets:
                self.unopened.append(name)
        return self.output.sockets.get(name)

    def _bytes(self, chunk: ChunkWritten) -> bytes:
        """Returns the recorded bytes with the actual ids of the node."""
        items = [(item, self._rewritten(item)) for item in chunk.contents]
        if all(data is None for _, data in items):
            return chunk.raw
        side = self.timeline.side(chunk.socket, chunk.by)
        return b"".join(data or side.data[item.start : item.end] for item, data in items)  # type: ignore[union-attr]

    def _rewritten(self, item: Message | ReadFrame) -> bytes | None:
        """Returns a frame written with the actual ids of the node; None if it stays as recorded."""
        if not isinstance(item, ReadFrame):
            return None
        read = item.inner or item
        frame = self.ids.addressed_to_node(read.value)
        if frame == read.value:
            return None
        try:
            data = frames.write_frame(frame, read.context)
        except CannotEncode:  # only a script wrote it
            return None
        if item.inner is None:
            return data
        return frames.write_frame(frames.pack(data, item.value.algorithm, item.value.order), item.context)

    # --- the node writes ---------------------------------------------------------------------------------------------

    async def _node_writes(self, chunk: ChunkWritten) -> None:
        """Lets the node act where the real node wrote frames that it does not write by itself."""
        for item in chunk.contents:
            if not isinstance(item, ReadFrame):
                continue
            frame = self._sent[id(item)]
            if not self.matcher.is_missing(frame):
                continue
            if self._is_action(frame):
                peer = PID(self.peer.name, CORE_ID, self.peer.creation)
                self._tasks.start(action(self.node, peer, self.ids.written_by_node(frame.value), frame.algorithm))
                await self._settle()
            elif self._is_node_stop(frame):
                self._tasks.start(self.node.node.core.stop())
                await self._settle()

    def _is_action(self, frame: SentFrame) -> bool:
        """Returns whether a process of a driver caused a frame on its own."""
        if not self.recorded.is_driver or not self._is_connected:
            return False
        actor = actor_of(frame.value)
        agents = {number for name, number in self.recorded.numbers.items() if name != "agent"}
        return actor is not None and actor not in agents and not self._is_reactive(actor)

    def _is_reactive(self, actor: int) -> bool:
        """Returns whether a process is an agent that only reacts to messages."""
        process = self.node.node.core.tables.processes.get(self.ids.actual("pid", actor))
        return process is not None and process.name not in (None, "agent")

    @staticmethod
    def _is_node_stop(frame: SentFrame) -> bool:
        """Returns whether a frame shows that the node stops: no process ends with this reason by itself (ENP-DOWN)."""
        terminate = enp.TerminatePID | enp.TerminateName | enp.TerminateAlias | enp.TerminateEvent
        return isinstance(frame.value, terminate) and frame.value.reason == error_values.SHUTDOWN
