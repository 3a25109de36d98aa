"""A scripted Saturn registrar over TLS: the script answers nodes, with any field overridden."""

import ssl
from typing import Any

from ...model.ergo import saturn
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import Message
from ...model.show import show
from ...model.values import Error
from ...spec.ergo.saturn import proof, write_packet
from ..listener import Listener
from ..scripted_peer import REPLY_TIMEOUT
from ..sockets import PeerSocket
from .saturn_client import SaturnEndpoint, SocketEndedError


class SaturnRegistration(SaturnEndpoint):
    """The server's end of a node's socket. Both sides have to prove `token`."""

    def __init__(self, socket: PeerSocket, token: str) -> None:
        super().__init__(socket)
        self.token = token
        self.hello: saturn.Handshake | None = None

    # --- from the node -------------------------------------------------------------------------------------------

    async def expect_handshake(self, within: float = REPLY_TIMEOUT) -> saturn.Handshake:
        """The node's first message, which has to prove the token (SAT-HS-1)."""
        self.hello = hello = await self.expect(saturn.Handshake, within)
        wanted = proof(hello.Salt, self.token)
        self.check(hello.Digest == wanted, f"Digest {hello.Digest}", f"Digest {wanted}")
        return hello

    async def request(self) -> saturn.Register:
        """The node's registration, after a handshake in which both sides prove the token."""
        await self.expect_handshake()
        self.send(self.proof())
        return await self.expect(saturn.Register)

    async def closes_within(self, within: float) -> bool:
        """Tells whether the node ends the socket in this time; it may send messages before."""
        try:
            await self.expect_open_with_messages(within)
        except SocketEndedError:
            return True
        return False

    async def expect_open_with_messages(self, seconds: float) -> None:
        """The node keeps the socket open for so long and sends nothing but messages."""
        until = self.socket.now() + seconds
        while await self.receive(until - self.socket.now()) is not None:
            pass

    # --- to the node --------------------------------------------------------------------------------------

    def proof(self) -> saturn.HandshakeResult:
        """The correct answer to the node's handshake (SAT-HS-2)."""
        assert self.hello is not None
        return saturn.HandshakeResult(proof(self.hello.Digest, self.token))

    def grant(self, *notifications: Message, **overrides: Any) -> None:
        """Grants the name; `overrides` replace fields of the result, `notifications` follow it in the same chunk."""
        self.send(saturn.RegisterResult(None, {}, None, None)._replace(**overrides), *notifications)

    def refuse(self, text: str) -> None:
        """Refuses the name with this text and closes the socket."""
        self.send(saturn.RegisterResult(Error=Error(text)))
        self.socket.close()

    def answer(self, request: saturn.Resolve, routes: list[Route] | None, error: str | None = None) -> None:
        """Answers a resolve request with routes or an error."""
        self.send(saturn.ResolveResult(request.ID, None if error is None else Error(error), routes))

    async def send_in_pieces(self, message: Message, size: int, gap: float) -> None:
        """Sends a message `size` bytes at a time with `gap` seconds between."""
        self.note_sent(f"{show(message)}, {size} bytes at a time")
        await self.socket.drip(write_packet(message), size, gap)


class ScriptedSaturnServer:
    """Listens on the loopback. `context`: TLS with a certificate; `token`: the token that nodes have to prove."""

    def __init__(self, context: ssl.SSLContext, token: str) -> None:
        self.token = token
        self._listener = Listener("registration", context, "packets")

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def sockets(self) -> list[PeerSocket]:
        """The accepted sockets."""
        return self._listener.sockets

    async def start(self, port: int = 0) -> "ScriptedSaturnServer":
        """Listens; port 0 is any free one. ShortageError if the port is taken."""
        await self._listener.start(port)
        return self

    async def registration(self, within: float = REPLY_TIMEOUT) -> SaturnRegistration:
        """The next accepted socket. ViolationError if the target opens none in time."""
        return SaturnRegistration(await self._listener.socket(within), self.token)

    async def grant_next(self, within: float = REPLY_TIMEOUT) -> tuple[SaturnRegistration, saturn.Register]:
        """Grants the next registration. Returns it with the request."""
        member = await self.registration(within)
        request = await member.request()
        member.grant()
        return member, request

    async def expect_no_connection(self, seconds: float) -> None:
        """The target opens no socket for so long."""
        await self._listener.expect_no_connection(seconds)

    async def stop(self) -> None:
        """Stops listening and closes all sockets."""
        await self._listener.stop()
