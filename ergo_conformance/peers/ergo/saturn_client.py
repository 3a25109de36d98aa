"""A scripted client of a Saturn registrar."""

import random
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from ...errors import Rejected
from ...model.ergo import saturn
from ...model.ergo.saturn import AnnouncedRoutes, Message, RegisterResult
from ...model.show import show
from ...model.values import Atom
from ...spec.ergo.saturn import packet_size, proof, read_packet, write_packet
from ..packet_reader import PacketFormat, PacketReader
from ..scripted_peer import REPLY_TIMEOUT, ScriptedPeer
from ..sockets import PeerSocket
from ..violation import ViolationError
from .esrd_client import route

M = TypeVar("M")
FORMAT: Final = PacketFormat(
    saturn.MAGIC, saturn.HEADER_LENGTH, packet_size, saturn.HEADER_LENGTH, saturn.HEADER_LENGTH + saturn.MAX_PAYLOAD
)


class SocketEndedError(ViolationError):
    """The other side ended the socket in place of a message."""


class SaturnEndpoint(ScriptedPeer):
    """Exchanges Saturn messages over one socket, as client or server."""

    def __init__(self, socket: PeerSocket) -> None:
        super().__init__(socket)
        socket.transcript.kind = "packets"
        self._reader = PacketReader(socket, FORMAT)

    def send(self, *messages: Message) -> None:
        """Sends messages in one chunk."""
        described = messages[0] if len(messages) == 1 else ", ".join(map(show, messages))
        self.send_bytes(b"".join(map(write_packet, messages)), described)

    async def receive(self, within: float = REPLY_TIMEOUT) -> Message | None:
        """The next message; None if none arrives in time. ViolationError for other bytes and when the socket ends."""
        data = await self._reader.read(within)
        if data is None:
            return None
        if not data:
            self.fail(self.ended() + self._reader.missing(), f"a message within {within:g} s", kind=SocketEndedError)
        parsed = read_packet(data)
        if isinstance(parsed, Rejected):
            self.fail(f"bytes that are not a message: {parsed}; {data[:32].hex(' ', 4)}", "a message")
        self.note_received(parsed.value)
        return parsed.value  # type: ignore[no-any-return]

    async def expect(self, kind: type[M], within: float = REPLY_TIMEOUT, also: Sequence[type] = ()) -> M:  # noqa: RET503  fail
        """The next message of this kind. Only messages of the kinds in `also` may arrive before it."""
        deadline = self.socket.now() + within
        while (message := await self.receive(deadline - self.socket.now())) is not None:
            if isinstance(message, kind):
                return message
            if not isinstance(message, tuple(also) or ()):
                self.fail(message, f"a {kind.__name__}")
        missing = f"nothing within {within:g} s{self._reader.missing()}"
        self.fail_timing(missing, f"a {kind.__name__}", since=deadline - within)

    async def expect_silence(self, seconds: float) -> None:
        """No byte arrives for so long, and the socket stays open."""
        message = await self.receive(seconds)
        if message is not None:
            self.fail(message, f"nothing for {seconds:g} s")
        held = self._reader.incomplete
        self.check(not held, f"{held} bytes of a message", f"nothing for {seconds:g} s")


class ScriptedSaturnClient(SaturnEndpoint):
    """A node that proves the token, registers, and is notified about other nodes. `overrides` replace fields."""

    def __init__(
        self, socket: PeerSocket, rng: random.Random, token: str, name: str | None = None, cluster: str = ""
    ) -> None:
        super().__init__(socket)
        self.token, self.cluster = token, cluster
        self.name = Atom(name or f"tester-{rng.randrange(16**8):08x}@localhost")
        self.salt = "".join(rng.choice("0123456789abcdef") for _ in range(saturn.SALT_LENGTH))

    # --- messages -------------------------------------------------------------------------------------------------

    def hello(self, **overrides: Any) -> saturn.Handshake:
        """A correct handshake; its digest is made from its salt."""
        salt = overrides.get("Salt", self.salt)
        return saturn.Handshake(salt, proof(salt, self.token))._replace(**overrides)

    def request(self, **overrides: Any) -> saturn.Register:
        """A correct request for the name."""
        routes = AnnouncedRoutes([route()], [], None)
        return saturn.Register(self.cluster, False, self.name, routes)._replace(**overrides)

    def application(self, name: str, state: int = 2, **overrides: Any) -> saturn.RegisterApplicationRoute:
        """Registers an application of this node."""
        found = saturn.ApplicationRoute(self.name, Atom(name), 7, 1, state)._replace(**overrides)
        return saturn.RegisterApplicationRoute(found)

    async def expect_joined(self, client: "ScriptedSaturnClient") -> None:
        """Another client registers, and this registered one is notified: the server still serves both."""
        await client.register()
        joined = await self.expect(saturn.NodeJoined, also=saturn.NOTIFICATIONS)
        self.check(joined.Node == client.name, joined, f"a NodeJoined of {client.name}")

    # --- exchanges -------------------------------------------------------------------------------------------------

    async def handshake(self, **overrides: Any) -> None:
        """A handshake; the server has to prove the token."""
        hello = self.hello(**overrides)
        self.send(hello)
        answer = await self.expect(saturn.HandshakeResult, also=(saturn.ConfigUpdate,))
        wanted = proof(hello.Digest, self.token)
        self.check(answer.Digest == wanted, f"Digest {answer.Digest}", f"Digest {wanted}")

    async def register(self, **overrides: Any) -> RegisterResult:
        """A handshake and a registration, which has to be granted. Notifications may precede the result (SAT-EV-1)."""
        await self.handshake()
        self.send(self.request(**overrides))
        result = await self.expect(RegisterResult, also=saturn.NOTIFICATIONS)
        self.check(result.Error is None, result, "a RegisterResult without an error")
        return result

    async def result(self) -> RegisterResult | None:
        """The result of a registration; None if the socket ends without one: upstream loses a refusal in a race (SAT-RG-3)."""
        try:
            return await self.expect(RegisterResult, also=saturn.NOTIFICATIONS)
        except SocketEndedError:
            return None

    async def refused(self, text: str, **overrides: Any) -> None:
        """A handshake and a registration that the server refuses: with this text, or by ending the socket without a result."""
        await self.handshake()
        self.send(self.request(**overrides))
        result = await self.result()
        if result is None:
            return
        said = result.Error.text if result.Error is not None else None
        self.check(said == text, result, f"a RegisterResult with {show(text)}")
        await self.expect_close()
