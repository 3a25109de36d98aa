"""What every scripted user of a link does: sends bytes that have a story, and waits for the link to stay or to go."""

from typing import NoReturn

from ..link import Link
from ..violation import ViolationError

CLOSE = 5.0
"""Seconds a target has to close what it has to close at once."""


class Talker:
    """One link and what was last sent over it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._last_sent = ""

    def send_bytes(self, data: bytes, story: str) -> None:
        """Any bytes; `story` says in a report what is wrong with them."""
        self._last_sent = story
        self.link.write(data)

    async def expect_close(self, within: float = CLOSE, *, at_least: float = 0.0, bytes_allowed: bool = False) -> float:
        """The target closes (FIN or RST), and unless `bytes_allowed` says nothing before. Returns after how long."""
        start = self.link.now()
        legal = f"the link closed within {within:g} s" + ("" if bytes_allowed else ", without a byte")
        while True:
            chunk = await self.link.read(start + within - self.link.now())
            if chunk is None or (chunk and self.link.now() > start + within):
                self.fail(f"still open after {within:g} s", legal)
            if chunk == b"":
                break
            if not bytes_allowed:
                self.fail(f"{len(chunk)} bytes: {chunk[:32].hex(' ', 4)}", legal)
        after = self.link.now() - start
        if after < at_least:
            self.fail(f"closed after {after:.2f} s", f"the link open for at least {at_least:g} s")
        return after

    async def expect_open(self, seconds: float) -> None:
        """The target keeps the link for so long; what it sends meanwhile is its own business."""
        deadline = self.link.now() + seconds
        while (left := deadline - self.link.now()) > 0:
            if await self.link.read(left) == b"":
                self.fail(
                    f"closed {seconds - (deadline - self.link.now()):.2f} s later", f"the link open for {seconds:g} s"
                )

    def fail(self, came: str, *legal: str) -> NoReturn:
        raise ViolationError(came, legal, self._last_sent)

    def check(self, ok: bool, came: object, legal: str) -> None:  # noqa: FBT001  reads like assert
        if not ok:
            self.fail(str(came), legal)
