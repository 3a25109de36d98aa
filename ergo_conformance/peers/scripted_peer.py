"""The base class of every scripted peer: it sends described bytes and checks that the target closes or keeps a socket."""

from typing import Final

from .sockets import PeerSocket
from .violation import Checks

REPLY_TIMEOUT: Final = 5.0
"""Seconds a target has to answer; an idle node takes a millisecond, a loaded CI machine up to a thousand times that."""
CLOSE_TIMEOUT: Final = 5.0
"""Seconds a target has to close a socket that it must close at once."""


class ScriptedPeer(Checks):
    """Our end of one socket."""

    def __init__(self, socket: PeerSocket) -> None:
        super().__init__()
        self.socket = socket

    def send_bytes(self, data: bytes, description: object) -> None:
        """Sends any bytes; `description`, a sentence or the message itself, names them in a report."""
        self.note_sent(description)
        self.socket.write(data, description)

    async def expect_close(
        self, within: float = CLOSE_TIMEOUT, *, at_least: float = 0.0, bytes_allowed: bool = False
    ) -> float:
        """The target closes the socket (FIN or RST) and, unless `bytes_allowed`, sends nothing before.

        Returns the seconds it took, which are at least `at_least`.
        """
        start = self.socket.now()
        expected = f"the target closes the socket within {within:g} s" + ("" if bytes_allowed else ", without a byte")
        while True:
            chunk = await self.socket.read(start + within - self.socket.now())
            if chunk is None or (chunk and self.socket.now() > start + within):
                self.fail_timing(f"the socket is still open after {within:g} s", expected, since=start)
            if chunk == b"":
                break
            if not bytes_allowed:
                self.fail(f"the target sent {len(chunk)} bytes: {chunk[:32].hex(' ', 4)}", expected)
        after = self.socket.now() - start
        if after < at_least:
            self.fail_timing(
                f"the target closed the socket after {after:.2f} s",
                f"the target keeps the socket open for at least {at_least:g} s",
            )
        return after

    def is_in_time(self, took: float, limit: float, tries_left: int) -> bool:
        """Tells whether the target closed the socket within `limit` seconds. ViolationError if it may not try again."""
        if took > limit and not tries_left:
            self.fail(f"the target closed the socket after {took:.2f} s", f"the target closes it within {limit:g} s")
        return took <= limit

    async def expect_open(self, seconds: float) -> None:
        """The target keeps the socket open for so long; it may send anything."""
        deadline = self.socket.now() + seconds
        while (left := deadline - self.socket.now()) > 0:
            if await self.socket.read(left) == b"":
                after = seconds - (deadline - self.socket.now())
                self.fail_timing(
                    f"the target closed the socket after {after:.2f} s",
                    f"the target keeps the socket open for {seconds:g} s",
                )

    def ended(self) -> str:
        """Returns a sentence: the target reset or closed the socket."""
        return "the target reset the socket" if self.socket.reset else "the target closed the socket"
