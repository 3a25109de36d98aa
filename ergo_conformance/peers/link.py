"""One connection to a target, with a clock and a transcript; TCP, TLS, or in memory under a virtual clock.

The clock is the running loop's: on a `VirtualLoop` nothing waits, time jumps to the next timer when nothing else is left
to do, so a case that waits for a time-out costs as much as one that doesn't.
"""

import asyncio
import contextlib
import hashlib
import os
import selectors
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from .transcript import Entry, Transcript
from .violation import UnreachableError

CONNECT_TIMEOUT = 5.0  # seconds
LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER of no time at all: closing drops what is unsent and sends RST."""
MAX_BUFFERED = 1 << 20
"""Received bytes held back before reading pauses: a target that floods us does not fill our memory."""


class Link(asyncio.Protocol):
    """Reads and writes bytes; `closed` once the other side has ended the connection."""

    def __init__(self, label: str = "") -> None:
        self.transcript = Transcript(label)
        self.transport: asyncio.Transport | None = None
        self.peer_fingerprint: bytes | None = None
        self.reset = False
        self.eof = False
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._wake = asyncio.Event()
        self._opened = 0.0
        self.listener: Callable[[], None] | None = None
        """Called when something has come or the other side has ended: for who waits for several links at once."""

    # --- asyncio's side -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._opened = self.now()
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.peer_fingerprint = hashlib.sha1(tls.getpeercert(binary_form=True) or b"").digest()  # noqa: S324  as laid down
        self._note("received", "open")

    def data_received(self, data: bytes) -> None:
        self.transcript.add(Entry(self.now() - self._opened, "received", data))
        self._chunks.append(data)
        self._held += len(data)
        if self._held > MAX_BUFFERED and self.transport is not None:
            self.transport.pause_reading()
        self._notify()

    def eof_received(self) -> bool:
        self._end("closed")
        return True  # we may still write; closing is our own decision

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.reset = True
        self._end("reset" if exc is not None else "closed")

    def _end(self, how: str) -> None:
        if not self.eof:
            self.eof = True
            self._note("received", how)
        self._notify()

    def _notify(self) -> None:
        self._wake.set()
        if self.listener is not None:
            self.listener()

    def _note(self, direction: Any, event: str) -> None:
        self.transcript.add(Entry(self.now() - self._opened, direction, event=event))

    # --- the script's side --------------------------------------------------------------------------------------------

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    async def read(self, within: float) -> bytes | None:
        """The next chunk; b"" when the other side has ended; None when nothing came for `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._chunks and not self.eof:
                    self._wake.clear()
                    await self._wake.wait()
        if self._chunks:
            return self._take()
        return b"" if self.eof else None

    def _take(self) -> bytes:
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        if self._held <= MAX_BUFFERED and self.transport is not None:
            self.transport.resume_reading()
        return chunk

    def read_now(self) -> bytes:
        """All that has come; nothing is waited for."""
        return b"".join(self._take() for _ in range(len(self._chunks)))

    def stop_reading(self) -> None:
        """Nothing is taken off the wire any more: the target's bytes pile up at its end."""
        if self.transport is not None:
            self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Sends bytes; on a link that the target has closed they go nowhere."""
        self.transcript.add(Entry(self.now() - self._opened, "sent", data))
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def drip(self, data: bytes, size: int, gap: float) -> None:
        """Sends bytes in pieces of `size` with `gap` seconds between them; stops when the target closes."""
        for start in range(0, len(data), size):
            if self.eof:
                return
            self.write(data[start : start + size])
            await asyncio.sleep(gap)

    def end_writing(self) -> None:
        """Half-closes: FIN, but we go on reading. TLS has no half-close; there the link is closed."""
        if self.transport is not None and not self.transport.is_closing():
            self._note("sent", "end of writing")
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._note("sent", "close")
            self.transport.close()

    def abort(self) -> None:
        """Ends the connection without sending what still waits. The kernel sends RST if bytes are unread, else FIN."""
        if self.transport is not None:
            self._note("sent", "abort")
            self.transport.abort()

    def send_reset(self) -> None:
        """Ends the connection with RST, whatever is unread."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.abort()


async def connect(host: str, port: int, tls: ssl.SSLContext | None = None, label: str = "") -> Link:
    """A TCP or TLS link. UnreachableError if no connection can be made."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, link = await loop.create_connection(lambda: Link(label), host, port, ssl=tls)
    except (OSError, TimeoutError, ssl.SSLError) as error:
        if isinstance(error, ssl.SSLError):
            what = f"no TLS: {error.reason or error}"
        else:
            what = os.strerror(error.errno) if error.errno else str(error) or "no answer"
        raise UnreachableError(f"no connection to {host}:{port}: {what}") from None
    return link


# --- in memory --------------------------------------------------------------------------------------------------------


class VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting for the next timer, moves the clock there."""

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
    """An event loop whose clock jumps."""

    def __init__(self) -> None:
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.time


class MemoryTransport(asyncio.Transport):
    """One end of a pair; what is written arrives at the other end's protocol in the next turn of the loop."""

    protocol: asyncio.Protocol

    def __init__(self, protocol: asyncio.Protocol, extra: dict[str, Any] | None = None) -> None:
        super().__init__(extra)
        self.protocol = protocol
        self.loop = asyncio.get_running_loop()
        self.other: MemoryTransport | None = None
        self.paused = False
        self.closing = False
        self.waiting: deque[Callable[[], None]] = deque()

    def deliver(self, action: Callable[[], None]) -> None:
        """Runs an action at this end, after all that was delivered before and when reading is not paused."""
        self.waiting.append(action)
        self.loop.call_soon(self._drain)

    def _drain(self) -> None:
        while self.waiting and not self.paused:
            self.waiting.popleft()()

    def _other(self) -> "MemoryTransport":
        assert self.other is not None
        return self.other

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closing and data:
            other, chunk = self._other(), bytes(data)
            other.deliver(partial(other.arrive, chunk))

    def arrive(self, chunk: bytes) -> None:
        if not self.closing:
            self.protocol.data_received(chunk)

    def write_eof(self) -> None:
        self._other().deliver(self._other().eof)

    def eof(self) -> None:
        if not self.closing and not self.protocol.eof_received():
            self.close()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.write_eof()
            self.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self._other().deliver(self._other().lost)
            self.loop.call_soon(self.protocol.connection_lost, None)

    def lost(self) -> None:
        if not self.closing:
            self.closing = True
            self.protocol.connection_lost(ConnectionResetError("reset by the other end"))

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self.loop.call_soon(self._drain)

    def is_reading(self) -> bool:
        return not self.paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered here."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol


def connect_memory(
    protocol: asyncio.Protocol,
    fingerprint: bytes | None = None,
    label: str = "",
    address: tuple[str, int] = ("127.0.0.1", 1),
) -> Link:
    """A link to a protocol in this process. A fingerprint stands in for TLS; `address` is what it takes for its own."""
    link = Link(label)
    ours = MemoryTransport(link, {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
    theirs = MemoryTransport(protocol, {"peername": ("127.0.0.1", 2), "sockname": address})
    ours.other, theirs.other = theirs, ours
    protocol.connection_made(theirs)
    link.connection_made(ours)
    link.peer_fingerprint = fingerprint
    return link
