"""A dialer that speaks EHS as the schemas say, or lies wherever its script wants."""

import random
from dataclasses import dataclass
from typing import Any, TypeVar

from ...errors import Rejected
from ...model.ergo import ehs
from ...model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Join, Message
from ...model.values import Atom
from ...spec.ergo.ehs import digest, frame_size, read_frame, write_frame
from ..link import Link
from ..transcript import describe
from .talker import Talker

M = TypeVar("M", Hello, Join, Introduce, Accept)

REPLY = 5.0
"""Seconds a target has to answer; an idle node takes a millisecond, a loaded CI machine may take a thousand times that."""
VERSION = ehs.Version("ergo-conformance", "1", "", "MIT")
HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tester knows of a target: its name and cookie, and whether the link is TLS."""

    name: str
    cookie: str


def frame(payload: bytes, *, magic: int = ehs.MAGIC, version: int = ehs.VERSION, length: int | None = None) -> bytes:
    """A handshake frame with any header; the length defaults to the right one."""
    return bytes([magic, version]) + (len(payload) if length is None else length).to_bytes(4, "big") + payload


def payload_of(message: Message) -> bytes:
    """A message without its header."""
    return write_frame(message)[ehs.HEADER_LENGTH :]


class Dialer(Talker):
    """The dialing side of one link. `cookie`, `salt`, … are what a good dialer would use; every builder takes lies."""

    def __init__(self, link: Link, facts: Facts, rng: random.Random, name: str | None = None) -> None:
        super().__init__(link)
        self.facts = facts
        self.rng = rng
        self.name = Atom(name or f"tester-{self.token(8)}@localhost")
        self.cookie = facts.cookie
        self.creation = 1_700_000_000 + rng.randrange(10_000_000)
        self.salt = self.token(ehs.SALT_LENGTH)
        self.target_hello: Hello | None = None
        self.target_accept: Accept | None = None
        self.target_introduce: Introduce | None = None
        self.sent_join: Join | None = None
        self._buffer = b""

    def token(self, n: int) -> str:
        """N lower-case hex characters from the run's seed."""
        return "".join(self.rng.choice(HEX) for _ in range(n))

    # --- good messages, with lies -------------------------------------------------------------------------------------

    def hello(self, **lies: Any) -> Hello:
        salt = lies.get("Salt", self.salt)
        self.salt = salt
        good = Hello(salt, digest(Digest.HELLO_DIALER, salt1=salt, cookie=self.cookie))
        return good._replace(**lies)

    def introduce(self, **lies: Any) -> Introduce:
        salt2 = self.target_hello.Salt if self.target_hello else self.token(ehs.SALT_LENGTH)
        good = Introduce(
            Node=self.name,
            Version=VERSION,
            Flags=int(ehs.DEFAULT_FLAGS).to_bytes(ehs.FLAGS_WIDTH, "big"),
            Creation=self.creation,
            MaxMessageSize=0,
            AtomCache=None,
            RegCache=None,
            ErrCache=None,
            Digest=digest(Digest.INTRODUCE, salt2=salt2, cookie=self.cookie),
        )
        return good._replace(**lies)

    def join(self, connection_id: str, **lies: Any) -> Join:
        salt = lies.get("Salt", self.salt)
        good = Join(
            self.name, connection_id, salt, digest(Digest.JOIN, id=connection_id, salt=salt, cookie=self.cookie)
        )
        return good._replace(**lies)

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        if isinstance(message, Join):
            self.sent_join = message
        self._last_sent = describe(message)
        self.link.write(write_frame(message))

    # --- expecting ----------------------------------------------------------------------------------------------------

    async def receive(self, within: float = REPLY, legal: str = "a handshake message") -> Message:
        """The next message. ViolationError if the link closes, nothing comes, or what comes is no message."""
        deadline = self.link.now() + within
        while (size := frame_size(self._buffer)) is None or len(self._buffer) < size:
            if self._buffer[:1] not in (b"", bytes([ehs.MAGIC])) or (size or 0) > ehs.HEADER_LENGTH + ehs.MAX_PAYLOAD:
                break
            chunk = await self.link.read(deadline - self.link.now())
            if chunk is None:
                self.fail(f"nothing within {within:g} s" + self._incomplete(), legal)
            if chunk == b"":
                self.fail(f"the link was {'reset' if self.link.reset else 'closed'}" + self._incomplete(), legal)
            self._buffer += chunk
        parsed = read_frame(self._buffer, prefix=True)
        if isinstance(parsed, Rejected):
            self.fail(f"bytes that are no handshake frame: {parsed}; {self._buffer[:32].hex(' ', 4)}", legal)
        self._buffer = self._buffer[parsed.end :]
        message: Message = parsed.value
        return message

    def take_rest(self) -> bytes:
        """Bytes that came behind the last handshake message: the beginning of what follows it."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _incomplete(self) -> str:
        return f", after {len(self._buffer)} bytes of a frame" if self._buffer else ""

    async def expect(self, what: type[M], within: float = REPLY) -> M:
        """The next message, which has to be of one kind."""
        legal = f"{what.__name__} within {within:g} s"
        message = await self.receive(within, legal)
        if not isinstance(message, what):
            self.fail(describe(message), legal)
        self._remember(message)
        return message

    def _remember(self, message: Message) -> None:
        match message:
            case Hello():
                self.target_hello = message
            case Accept():
                self.target_accept = message
            case Introduce():
                self.target_introduce = message

    # --- the good path ------------------------------------------------------------------------------------------------

    async def reach(self, state: HandshakeState) -> None:
        """Plays the dialer's good part until the acceptor is in this state."""
        if state is HandshakeState.AWAIT_HELLO:
            return
        if self.target_hello is None:
            self.send(self.hello())
            await self.expect(Hello)
        if state is HandshakeState.HELLO_ANSWERED:
            return
        if self.target_accept is None:
            self.send(self.introduce())
            await self.expect(Accept)
            await self.expect(Introduce)
        if state is HandshakeState.AWAIT_ACCEPT:
            return
        self.send(Accept())

    async def handshake(self, **lies: Any) -> Accept:
        """A whole good handshake; every digest that proves the target is checked. Returns its Accept.

        `lies` replace fields of our Introduce: what we announce of ourselves.
        """
        self.send(self.hello())
        hello = await self.expect(Hello)
        self.check_hello(hello)
        self.send(self.introduce(**lies))
        await self.expect(Accept)
        await self.expect(Introduce)
        await self.reach(HandshakeState.DONE)
        assert self.target_accept is not None
        return self.target_accept

    def check_hello(self, hello: Hello) -> None:
        """The acceptor's Hello proves the cookie, and over TLS the certificate."""
        ours = digest(Digest.HELLO_DIALER, salt1=self.salt, cookie=self.cookie)
        self._check_digest(Digest.HELLO_ACCEPTOR, hello.Digest, salt2=hello.Salt, digest1=ours)
        if self.link.peer_fingerprint is not None:
            self._check_digest(Digest.HELLO_CERT, hello.DigestCert, salt2=hello.Salt, salt1=self.salt)

    def check_joined(self, accept: Accept) -> None:
        """The Accept that answers our Join proves the cookie, and over TLS the certificate."""
        assert self.sent_join is not None
        facts = {"join_digest": self.sent_join.Digest, "join_salt": self.sent_join.Salt}
        self._check_digest(Digest.JOIN_ACCEPT, accept.Digest, **facts)
        if self.link.peer_fingerprint is not None:
            self._check_digest(Digest.JOIN_CERT, accept.DigestCert, **facts)

    def _check_digest(self, what: Digest, given: str, **facts: str) -> None:
        good = digest(what, fingerprint=self.link.peer_fingerprint or b"", cookie=self.cookie, **facts)
        field = "DigestCert" if what.fingerprint else "Digest"
        self.check(given == good, f"{field} {given}", f"{field} {good} ({what.requirement})")
