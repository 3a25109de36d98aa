"""One socket of the tester, over TCP, TLS or memory, with the clock of the running loop and a transcript."""

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from .closing import end_tls, send_fin
from .transcript import Direction, Entry, Transcript
from .violation import UnreachableError, check_shortage

CONNECT_TIMEOUT: Final = 5.0  # seconds
LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 seconds: close() drops unsent bytes and sends RST."""
LINGER: Final = 1.0
"""Seconds in which the other side may end a socket that we have ended; then it is dropped."""
MAX_BUFFERED: Final = 1 << 20
"""Received bytes that are held before reading pauses, so that a flood does not fill the memory."""


class PeerSocket(asyncio.Protocol):
    """One TCP, TLS or in-memory byte stream. `eof` is true once the other side has ended it, `reset` if it sent RST.

    `fingerprint`: SHA-1 of the acceptor's certificate over TLS; a dialing socket takes it from its TLS connection.
    """

    def __init__(self, label: str = "", fingerprint: bytes | None = None) -> None:
        self.transcript = Transcript(label)
        self.transport: asyncio.Transport | None = None
        self.fingerprint = fingerprint
        self.reset = False
        self.eof = False
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._wake = asyncio.Event()
        self._opened = 0.0
        self._subscribers: list[Callable[[], None]] = []
        self._ending = False
        """True once the script has closed the socket: what still arrives is dropped."""
        self._lost = asyncio.Event()
        self._linger: asyncio.TimerHandle | None = None

    # --- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._opened = self.now()
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        if certificate:
            self.fingerprint = hashlib.sha1(certificate).digest()  # noqa: S324  as laid down
        self._note("received", "open")

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self.transcript.add(Entry(self.now() - self._opened, "received", data))
        self._chunks.append(data)
        self._held += len(data)
        if self._held > MAX_BUFFERED and self.transport is not None:
            self.transport.pause_reading()
        self._notify()

    def eof_received(self) -> bool:
        self._end("closed")
        if self.transport is None or self._ending:
            return False
        return (
            self.transport.can_write_eof()
        )  # keeps our direction open, except over TLS: the script decides when to close

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.reset = True
        self._end("reset" if exc is not None else "closed")
        self._lost.set()
        if self._linger is not None:
            self._linger.cancel()

    def _end(self, event: str) -> None:
        if not self.eof:
            self.eof = True
            self._note("received", event)
        self._notify()

    def _notify(self) -> None:
        self._wake.set()
        for subscriber in self._subscribers:
            subscriber()

    def _note(self, direction: Direction, event: str) -> None:
        self.transcript.add(Entry(self.now() - self._opened, direction, event=event))

    # --- called by the script -----------------------------------------------------------------------------------------

    @staticmethod
    def now() -> float:
        """Seconds of the running loop's clock."""
        return asyncio.get_running_loop().time()

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Calls `changed` whenever bytes arrive or the other side ends the socket."""
        self._subscribers.append(changed)

    async def read(self, within: float) -> bytes | None:
        """The next chunk; b"" when the other side has ended the socket; None when nothing arrived in `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._chunks and not self.eof:
                    self._wake.clear()
                    await self._wake.wait()
        if self._chunks:
            return self._next_chunk()
        return b"" if self.eof else None

    def _next_chunk(self) -> bytes:
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        if self._held <= MAX_BUFFERED and self.transport is not None:
            self.transport.resume_reading()
        return chunk

    def read_now(self) -> bytes:
        """Returns all bytes that have arrived, without waiting."""
        return b"".join(self._next_chunk() for _ in range(len(self._chunks)))

    def stop_reading(self) -> None:
        """Stops reading from the network: the target's bytes stay in its own buffers."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads from the network again."""
        if self.transport is not None:
            self.transport.resume_reading()

    @property
    def unsent(self) -> int:
        """Bytes that the target has not taken yet."""
        return 0 if self.transport is None or self.transport.is_closing() else self.transport.get_write_buffer_size()

    @property
    def _is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing() and not self._ending

    def write(self, data: bytes, description: object = "") -> None:
        """Sends bytes; drops them if the socket is closed. `description`: a sentence or the message, for the transcript."""
        self.transcript.add(Entry(self.now() - self._opened, "sent", data, description=description))
        if self.transport is not None and self._is_open:
            self.transport.write(data)

    async def drip(self, data: bytes, size: int, gap: float) -> None:
        """Sends `size` bytes at a time with `gap` seconds between; stops when the target closes the socket."""
        for start in range(0, len(data), size):
            if self.eof:
                return
            self.write(data[start : start + size])
            await asyncio.sleep(gap)

    def end_writing(self) -> None:
        """Sends FIN and keeps reading. TLS has no half-close: there the socket is closed."""
        if self.transport is not None and self._is_open:
            self._note("sent", "end of writing")
            if self.transport.can_write_eof():
                send_fin(self.transport)
            else:
                self.transport.close()

    def close(self) -> None:
        """Sends the unsent bytes, then FIN. Never RST: what still arrives is read and dropped until the other side ends the
        socket too, for at most LINGER seconds.
        """
        if self.transport is None or not self._is_open:
            return
        self._note("sent", "close")
        self._ending = True
        transport = self.transport
        if transport.get_extra_info("ssl_object") is not None and not self.eof:
            transport = end_tls(transport, self.connection_lost)
        elif self.eof:
            transport.close()
        else:
            transport.resume_reading()
            send_fin(transport)
        self._linger = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def finish(self) -> None:
        """Closes the socket at the end of a case: bytes that the target did not take are dropped."""
        unsent = 0 if self.transport is None else self.transport.get_write_buffer_size()
        self.abort() if unsent else self.close()

    async def wait_closed(self) -> None:
        """Waits for the end of a socket that was closed."""
        if self.transport is not None:
            await self._lost.wait()

    def abort(self) -> None:
        """Drops the unsent bytes and closes. The kernel sends RST if received bytes are unread, else FIN."""
        if self.transport is not None:
            self._note("sent", "abort")
            self.transport.abort()

    def send_reset(self) -> None:
        """Drops the unsent bytes and sends RST."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.abort()


async def connect(host: str, port: int, tls: ssl.SSLContext | None = None, label: str = "") -> PeerSocket:
    """Opens a TCP or TLS socket. Raises UnreachableError, ShortageError."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, opened = await loop.create_connection(lambda: PeerSocket(label), host, port, ssl=tls)
    except (OSError, TimeoutError, ssl.SSLError) as error:
        check_shortage(error)
        if isinstance(error, ssl.SSLError):
            reason = f"no TLS: {error.reason or error}"
        else:
            reason = os.strerror(error.errno) if error.errno else str(error) or "no answer"
        raise UnreachableError(f"no connection to {host}:{port}: {reason}") from None
    return opened
