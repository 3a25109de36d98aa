"""Base of the scripted dialer and acceptor: EHS messages written by the schemas, with any field overridden."""

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ...errors import Reason, Rejected
from ...model.ergo import ehs
from ...model.ergo.ehs import Accept, Digest, Hello, Introduce, Join, Message
from ...model.show import distinct
from ...model.values import Atom
from ...spec.ergo.digests import explain_digest
from ...spec.ergo.ehs import digest, frame_size, read_frame, write_frame
from ..packet_reader import PacketFormat, PacketReader
from ..scripted_peer import REPLY_TIMEOUT, ScriptedPeer
from ..sockets import PeerSocket

M = TypeVar("M", Hello, Join, Introduce, Accept)

VERSION: Final = ehs.Version("ergo-conformance", "1", "", "MIT")
HEX: Final = "0123456789abcdef"
SHOWN: Final = 32
"""Bytes of refused data in a sentence."""
FORMAT: Final = PacketFormat(
    ehs.MAGIC, ehs.HEADER_LENGTH, frame_size, ehs.HEADER_LENGTH, ehs.HEADER_LENGTH + ehs.MAX_PAYLOAD
)


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """Name and cookie of a target, known before the first contact."""

    name: str
    cookie: str


def frame(payload: bytes, *, magic: int = ehs.MAGIC, version: int = ehs.VERSION, length: int | None = None) -> bytes:
    """A handshake frame with any header; the length defaults to that of the payload."""
    return bytes([magic, version]) + (len(payload) if length is None else length).to_bytes(4, "big") + payload


def payload_of(message: Message) -> bytes:
    """A message without its header."""
    return write_frame(message)[ehs.HEADER_LENGTH :]


def refusal(data: bytes, rejected: Rejected) -> str:
    """Words about refused bytes: the reason, what the header announces if it does not fit, and the first bytes in hex."""
    announced, note = len(data) - ehs.HEADER_LENGTH, ""
    if rejected.reason is Reason.LEFTOVER and not rejected.path:
        note = f"; the header announces {announced} bytes, the message has {rejected.offset - ehs.HEADER_LENGTH}"
    elif rejected.reason is Reason.END_OF_DATA and announced >= 0:
        note = f"; the header announces {announced} bytes, too few for the message"
    return f"{rejected}{note}; {data[:SHOWN].hex(' ', 4)}"


class HandshakePeer(ScriptedPeer, ABC):
    """One side of a handshake on one socket. The messages of the target are kept as `target_hello` and so on.

    `name` and `creation` (Unix seconds) default to values from `rng`, the cookie to that of the target.
    """

    def __init__(
        self,
        socket: PeerSocket,
        target_info: TargetInfo,
        rng: random.Random,
        name: str | None = None,
        *,
        creation: int | None = None,
    ) -> None:
        super().__init__(socket)
        self.target_info = target_info
        self.rng = rng
        self.name = Atom(name or f"tester-{self.token(8)}@localhost")
        self.cookie = target_info.cookie
        drawn = 1_700_000_000 + rng.randrange(10_000_000)
        self.creation = creation or drawn
        self.salt = self.token(ehs.SALT_LENGTH)
        self.target_hello: Hello | None = None
        self.target_join: Join | None = None
        self.target_accept: Accept | None = None
        self.target_introduce: Introduce | None = None
        self.sent: dict[type[Message], Message] = {}
        """The last message of each kind that was sent."""
        self._reader = PacketReader(socket, FORMAT)

    def token(self, n: int) -> str:
        """Returns n lower-case hex characters, from the seed of the run."""
        return "".join(self.rng.choice(HEX) for _ in range(n))

    # --- sending ------------------------------------------------------------------------------------------------------

    def introduce(self, **overrides: Any) -> Introduce:
        """Our Introduce; `overrides` replace fields."""
        good = Introduce(
            Node=self.name,
            Version=VERSION,
            Flags=int(ehs.DEFAULT_FLAGS).to_bytes(ehs.FLAGS_WIDTH, "big"),
            Creation=self.creation,
            MaxMessageSize=0,
            AtomCache=None,
            RegCache=None,
            ErrCache=None,
            Digest=self.introduce_digest(),
        )
        return good._replace(**overrides)

    @abstractmethod
    def introduce_digest(self) -> str:
        """The digest in our Introduce."""

    def send(self, message: Message) -> None:
        """Sends one message."""
        self.sent[type(message)] = message
        self.send_bytes(write_frame(message), message)

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def receive(self, within: float = REPLY_TIMEOUT, expected: str = "a handshake message") -> Message:
        """The next message. ViolationError if the socket ends, nothing arrives, or the bytes are not a message."""
        since = self.socket.now()
        data = await self._reader.read(within)
        if data is None:
            self.fail_timing(f"nothing within {within:g} s" + self._reader.missing(), expected, since=since)
        if not data:
            self.fail_timing(self.ended() + self._reader.missing(), expected)
        parsed = read_frame(data)
        if isinstance(parsed, Rejected):
            self.fail(f"bytes that are not a handshake frame: {refusal(data, parsed)}", expected)
        message: Message = parsed.value
        self.note_received(message)
        return message

    async def expect_silence(self, seconds: float, expected: str) -> None:
        """No byte follows the last message for so long; the target may close the socket."""
        chunk = self._reader.take_rest() or await self.socket.read(seconds)
        self.check(not chunk, f"{len(chunk or b'')} bytes: {(chunk or b'')[:32].hex(' ', 4)}", expected)

    def take_rest(self) -> bytes:
        """Removes and returns the bytes behind the last handshake message: ENP begins with them."""
        return self._reader.take_rest()

    async def expect(self, kind: type[M], within: float = REPLY_TIMEOUT) -> M:
        """The next message, which has to be of this kind."""
        expected = f"{kind.__name__} within {within:g} s"
        message = await self.receive(within, expected)
        if not isinstance(message, kind):
            self.fail(message, expected)
        self._remember(message)
        return message

    def _remember(self, message: Message) -> None:
        match message:
            case Hello():
                self.target_hello = message
            case Join():
                self.target_join = message
            case Accept():
                self.target_accept = message
            case Introduce():
                self.target_introduce = message

    # --- digests ------------------------------------------------------------------------------------------------------

    def digest(self, rule: Digest, **inputs: str) -> str:
        """A digest with our cookie and the certificate of this socket."""
        return digest(rule, fingerprint=self.socket.fingerprint or b"", cookie=self.cookie, **inputs)

    def check_digest(self, rule: Digest, given: str, **inputs: str) -> None:
        """Raises ViolationError, which names requirement and fault, unless the target gave this digest.

        `inputs`: what the rule names, and other texts that a faulty target may have used.
        """
        wanted = self.digest(rule, **inputs)
        if given == wanted:
            return
        field = "DigestCert" if rule.fingerprint else "Digest"
        facts = {**inputs, "cookie": self.cookie}
        reason = explain_digest(rule, given, facts, self.socket.fingerprint or b"")
        expected = f"{field} {wanted} ({rule.requirement})"
        self.fail(f"{field} {distinct(given)}: {reason}", expected, requirement=rule.requirement)
