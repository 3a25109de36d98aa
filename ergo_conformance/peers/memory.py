"""Sockets in memory: an event loop with a virtual clock, and a transport that joins two protocols of this process.

On a `VirtualLoop` nothing waits: time jumps to the next timer when no callback is ready. A case that waits for a time-out
takes no longer than one that does not.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from .sockets import PeerSocket

AnyProtocol = asyncio.Protocol | asyncio.BufferedProtocol
HIGH_WATER: Final = 64 * 1024
"""Bytes in the write buffer of a transport above which its protocol is told to pause, by default."""
Ends = tuple["MemoryTransport", "MemoryTransport"]


class VirtualSelector(selectors.DefaultSelector):
    """Advances the clock to the next timer in place of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("every task waits and no timer is left: the case would hang")
        self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual clock that starts at 0 seconds."""

    def __init__(self) -> None:
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.time


class MemoryTransport(asyncio.Transport):
    """One end of a pair. Written bytes reach the protocol of the other end in the next turn of the loop.

    While the other end does not read they are this end's write buffer.  Without another end they stay in `unread`.
    """

    protocol: Any
    """An AnyProtocol."""

    def __init__(self, protocol: AnyProtocol, extra: dict[str, Any] | None = None) -> None:
        super().__init__(extra)
        self.protocol = protocol
        self.loop = asyncio.get_running_loop()
        self.other: MemoryTransport | None = None
        self.unread = b""
        self.paused = False
        self.ended_writing = False
        self.closed_at: float | None = None
        """Time of the loop at which this end was closed."""
        self.waiting: deque[Callable[[], None]] = deque()
        self._undelivered = 0  # bytes
        self._high = HIGH_WATER
        self._writing_paused = False

    def deliver(self, action: Callable[[], None]) -> None:
        """Runs an action at this end after all earlier ones, and only while reading is not paused."""
        self.waiting.append(action)
        self.loop.call_soon(self._drain)

    def _drain(self) -> None:
        while self.waiting and not self.paused:
            self.waiting.popleft()()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing() or not data:
            return
        if self.other is None:
            self.unread += bytes(data)
        else:
            self._undelivered += len(data)
            self.other.deliver(partial(self._pass_on, bytes(data)))
            if self.get_write_buffer_size() > self._high and not self._writing_paused:
                self._writing_paused = True
                self.protocol.pause_writing()

    def _pass_on(self, chunk: bytes) -> None:
        assert self.other is not None
        self._undelivered -= len(chunk)
        if self._writing_paused and self._undelivered <= self._high // 4:
            self._writing_paused = False
            self.protocol.resume_writing()
        self.other.arrive(chunk)

    def arrive(self, chunk: bytes) -> None:
        if self.is_closing():
            return
        if isinstance(self.protocol, asyncio.Protocol):
            self.protocol.data_received(chunk)
            return
        while chunk:
            room: Any = self.protocol.get_buffer(len(chunk))
            size = min(len(room), len(chunk))
            room[:size] = chunk[:size]
            chunk = chunk[size:]
            self.protocol.buffer_updated(size)

    def write_eof(self) -> None:
        if self.other is not None and not self.ended_writing:
            self.ended_writing = True
            self.other.deliver(self.other.eof)

    def eof(self) -> None:
        if not self.is_closing() and not self.protocol.eof_received():
            self.close()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.is_closing():
            self.closed_at = self.loop.time()
            self.write_eof()
            self.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        if not self.is_closing():
            self.closed_at = self.loop.time()
            if self.other is not None:
                if self.other.paused:
                    self.other.waiting.clear()  # unsent bytes are dropped
                self.other.deliver(self.other.lost)
            self.loop.call_soon(self.protocol.connection_lost, None)

    def _force_close(self, exc: BaseException | None) -> None:  # noqa: ARG002
        """Closes at once; the TLS of asyncio calls it after a failure."""
        self.abort()

    def lost(self) -> None:
        if not self.is_closing():
            self.closed_at = self.loop.time()
            self.protocol.connection_lost(ConnectionResetError("reset by the other end"))

    def is_closing(self) -> bool:
        return self.closed_at is not None

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self.loop.call_soon(self._drain)

    def is_reading(self) -> bool:
        return not self.paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        self._high = HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._undelivered if self.other is not None and self.other.paused else 0

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, AnyProtocol)
        self.protocol = protocol


def join_protocols(
    dialer: AnyProtocol,
    acceptor: AnyProtocol,
    dialer_address: tuple[str, int] = ("127.0.0.1", 0),
    acceptor_address: tuple[str, int] = ("127.0.0.1", 0),
) -> Ends:
    """Connects two protocols of this process. Returns the transports of the dialing and of the accepting end."""
    dialing = MemoryTransport(dialer, {"sockname": dialer_address, "peername": acceptor_address})
    accepting = MemoryTransport(acceptor, {"sockname": acceptor_address, "peername": dialer_address})
    dialing.other, accepting.other = accepting, dialing
    acceptor.connection_made(accepting)
    dialer.connection_made(dialing)
    return dialing, accepting


def connect_memory(
    protocol: asyncio.Protocol,
    fingerprint: bytes | None = None,
    label: str = "",
    address: tuple[str, int] = ("127.0.0.1", 1),
) -> PeerSocket:
    """A socket to an accepting protocol of this process, which sees `address` as its own.

    `fingerprint` (SHA-1 of a certificate) stands in for TLS.
    """
    socket = PeerSocket(label, fingerprint)
    join_protocols(socket, protocol, ("127.0.0.1", 2), address)
    return socket


def accept_memory(
    protocol: asyncio.Protocol, fingerprint: bytes | None = None, label: str = "", port: int = 1
) -> PeerSocket:
    """A socket that a dialing protocol of this process has opened to us at this port; `fingerprint` as above."""
    socket = PeerSocket(label, fingerprint)
    join_protocols(protocol, socket, acceptor_address=("127.0.0.1", port))
    return socket
