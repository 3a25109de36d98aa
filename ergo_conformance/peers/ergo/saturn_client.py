"""A node at a Saturn, scripted: one connection, good by default."""

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from ...errors import Rejected
from ...model.ergo import saturn
from ...model.ergo.saturn import AnnouncedRoutes, Message, RegisterResult
from ...model.values import Atom
from ...spec.ergo.saturn import packet_size, proof, read_packet, write_packet
from ..link import Link
from ..violation import ViolationError
from .esrd_client import route
from .handshake import REPLY
from .talker import Talker

M = TypeVar("M")


class Conversation(Talker):
    """Messages of Saturn over one link, from either end."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        link.transcript.kind = "packets"
        self._buffer = b""

    def send(self, *messages: Message) -> None:
        """Messages, in one chunk."""
        self.send_bytes(b"".join(map(write_packet, messages)), f"{', '.join(map(repr, messages)):.300}")

    async def receive(self, within: float = REPLY) -> Message | None:
        """The next message; None if there is none in time. ViolationError for what is none, and for the end."""
        deadline = self.link.now() + within
        while (size := packet_size(self._buffer)) is None or len(self._buffer) < size:
            chunk = await self.link.read(deadline - self.link.now())
            if chunk is None:
                return None
            if chunk == b"":
                self.fail("the link was closed", f"a message within {within:g} s")
            self._buffer += chunk
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        parsed = read_packet(data)
        if isinstance(parsed, Rejected):
            self.fail(f"bytes that are no message: {parsed}; {data[:32].hex(' ', 4)}", "a message")
        return parsed.value  # type: ignore[no-any-return]

    async def expect(self, kind: type[M], within: float = REPLY, also: Sequence[type] = ()) -> M:  # noqa: RET503  fail
        """The next message of this kind; others may come before it only if they are of the kinds in `also`."""
        deadline = self.link.now() + within
        while (message := await self.receive(deadline - self.link.now())) is not None:
            if isinstance(message, kind):
                return message
            if not isinstance(message, tuple(also) or ()):
                self.fail(f"{message!r:.300}", f"a {kind.__name__}")
        self.fail(f"nothing within {within:g} s", f"a {kind.__name__}")

    async def silence(self, seconds: float) -> None:
        """Nothing is told, and the link stays."""
        message = await self.receive(seconds)
        if message is not None:
            self.fail(f"{message!r:.300}", f"nothing for {seconds:g} s")
        self.check(not self._buffer, f"{len(self._buffer)} bytes of a message", f"nothing for {seconds:g} s")


class Subscriber(Conversation):
    """Proves a token, registers, hears of the others. `lies` replace fields of what it says."""

    def __init__(self, link: Link, rng: random.Random, token: str, name: str | None = None, cluster: str = "") -> None:
        super().__init__(link)
        self.token, self.cluster = token, cluster
        self.name = Atom(name or f"tester-{rng.randrange(16**8):08x}@localhost")
        self.salt = "".join(rng.choice("0123456789abcdef") for _ in range(saturn.SALT_LENGTH))

    # --- what it says -------------------------------------------------------------------------------------------------

    def hello(self, **lies: Any) -> saturn.Handshake:
        """A good handshake; the digest is that of the salt that is sent."""
        salt = lies.get("Salt", self.salt)
        return saturn.Handshake(salt, proof(salt, self.token))._replace(**lies)

    def request(self, **lies: Any) -> saturn.Register:
        """A good request for the name."""
        routes = AnnouncedRoutes([route()], [], None)
        return saturn.Register(self.cluster, False, self.name, routes)._replace(**lies)

    def application(self, name: str, state: int = 2, **lies: Any) -> saturn.RegisterApplicationRoute:
        """An application of ours."""
        found = saturn.ApplicationRoute(self.name, Atom(name), 7, 1, state)._replace(**lies)
        return saturn.RegisterApplicationRoute(found)

    async def hears_of(self, client: "Subscriber") -> None:
        """A good client registers, and this one, registered before, is told: both are served, whatever went before."""
        await client.register()
        joined = await self.expect(saturn.NodeJoined, also=NEWS)
        self.check(joined.Node == client.name, joined, f"{client.name} joined, afterwards")

    # --- good conduct -------------------------------------------------------------------------------------------------

    async def handshake(self, **lies: Any) -> None:
        """Both sides prove the token."""
        hello = self.hello(**lies)
        self.send(hello)
        answer = await self.expect(saturn.HandshakeResult, also=(saturn.ConfigUpdate,))
        wanted = proof(hello.Digest, self.token)
        self.check(answer.Digest == wanted, f"Digest {answer.Digest}", f"Digest {wanted}")

    async def register(self, **lies: Any) -> RegisterResult:
        """Handshake and registration, which has to be granted. News may come before the result (SAT-EV-1)."""
        await self.handshake()
        self.send(self.request(**lies))
        result = await self.expect(RegisterResult, also=NEWS)
        self.check(result.Error is None, f"{result!r:.300}", "a RegisterResult without an error")
        return result

    async def refused(self, text: str, **lies: Any) -> None:
        """Handshake and a registration that is refused: by a result with this text, or by the end of the link alone."""
        await self.handshake()
        self.send(self.request(**lies))
        try:
            result = await self.expect(RegisterResult)
        except ViolationError as violation:
            if violation.came != "the link was closed":
                raise
            return  # upstream loses the result in a race (SAT-RG-3)
        said = result.Error.text if result.Error is not None else None
        self.check(said == text, f"{result!r:.300}", f"a RegisterResult with {text!r}")
        await self.expect_close()


NEWS = (
    saturn.NodeJoined, saturn.NodeLeft, saturn.RegisterApplicationRoute, saturn.UnregisterApplicationRoute,
    saturn.ConfigUpdate,
)  # fmt: skip
