"""A Saturn, scripted: it takes nodes that register and ask, over TLS, and a script answers, with lies if it likes."""

import ssl
from typing import Any

from ...model.ergo import saturn
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import Message
from ...model.values import Error
from ...spec.ergo.saturn import proof, write_packet
from ..link import Link
from ..listener import Listener
from ..violation import ViolationError
from .handshake import REPLY
from .saturn_client import Conversation


class Membership(Conversation):
    """A connection at the Saturn's end. `token` is what both sides have to prove."""

    def __init__(self, link: Link, token: str) -> None:
        super().__init__(link)
        self.token = token
        self.hello: saturn.Handshake | None = None

    # --- what the node says -------------------------------------------------------------------------------------------

    async def proved(self, within: float = REPLY) -> saturn.Handshake:
        """The node's first message, which has to prove the token (SAT-HS-1)."""
        self.hello = hello = await self.expect(saturn.Handshake, within)
        wanted = proof(hello.Salt, self.token)
        self.check(hello.Digest == wanted, f"Digest {hello.Digest}", f"Digest {wanted}")
        return hello

    async def request(self) -> saturn.Register:
        """The node's request for its name: both prove the token before."""
        await self.proved()
        self.send(self.proof())
        return await self.expect(saturn.Register)

    async def ends(self, within: float) -> bool:
        """Whether the node ends the connection in this time; what it says meanwhile is its own business."""
        try:
            await self.stays(within)
        except ViolationError:
            return True
        return False

    async def stays(self, seconds: float) -> None:
        """The node keeps the connection for so long, and says nothing but messages."""
        until = self.link.now() + seconds
        while await self.receive(until - self.link.now()) is not None:
            pass

    # --- what the script answers --------------------------------------------------------------------------------------

    def proof(self) -> saturn.HandshakeResult:
        """The good answer to the node's handshake (SAT-HS-2)."""
        assert self.hello is not None
        return saturn.HandshakeResult(proof(self.hello.Digest, self.token))

    def grant(self, *news: Message, **told: Any) -> None:
        """The node has its name; `told` are fields of the result, `news` messages in the same chunk behind it."""
        self.send(saturn.RegisterResult(None, {}, None, None)._replace(**told), *news)

    def refuse(self, text: str) -> None:
        """It does not get it."""
        self.send(saturn.RegisterResult(Error=Error(text)))
        self.link.close()

    def answer(self, question: saturn.Resolve, routes: list[Route] | None, error: str | None = None) -> None:
        """Where the node is that was asked for."""
        self.send(saturn.ResolveResult(question.ID, None if error is None else Error(error), routes))

    async def in_pieces(self, message: Message, size: int, gap: float) -> None:
        """A message, `size` bytes at a time with `gap` seconds between."""
        self._last_sent = f"{message!r:.200}, {size} bytes at a time"
        await self.link.drip(write_packet(message), size, gap)


class ScriptedSaturn:
    """A port of the loopback. `context`: its TLS, with a certificate; `token`: what nodes have to prove."""

    def __init__(self, context: ssl.SSLContext, token: str) -> None:
        self.token = token
        self._listener = Listener("registration", context, "packets")

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def links(self) -> list[Link]:
        """All so far."""
        return self._listener.links

    async def start(self, port: int = 0) -> "ScriptedSaturn":
        """`port` 0 is any free one. UnreachableError if it is taken."""
        await self._listener.start(port)
        return self

    async def membership(self, within: float = REPLY) -> Membership:
        """The next connection. ViolationError if there is none in time."""
        return Membership(await self._listener.link(within), self.token)

    async def granted(self, within: float = REPLY) -> tuple[Membership, saturn.Register]:
        """The next registration, granted: its connection, and what the node asked for."""
        member = await self.membership(within)
        request = await member.request()
        member.grant()
        return member, request

    async def nobody(self, seconds: float) -> None:
        """Nobody comes for so long."""
        await self._listener.nobody(seconds)

    async def stop(self) -> None:
        """Closes the socket; the links end with RST."""
        await self._listener.stop()
