"""Checks handshakes of captures: the order of messages, the digests, and every message read and written again."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...errors import Rejected
from ...model.compare import same
from ...model.ergo import ehs
from ...model.ergo.ehs import Accept, Digest, Hello, Introduce, Join, Message, Role
from ...reference_node.ergo.edf import Decoder
from ...spec.ergo.ehs import CONTEXT
from ..vectors.handshake import computed_digests, rewrite_differences
from .load import Capture
from .result import CaptureResult
from .sides import Side

Order = tuple[tuple[Role, type[Message]], ...]
FIRST: Final[Order] = (
    (Role.DIALER, Hello), (Role.ACCEPTOR, Hello), (Role.DIALER, Introduce), (Role.ACCEPTOR, Accept),
    (Role.ACCEPTOR, Introduce), (Role.DIALER, Accept),
)  # fmt: skip
"""Messages and their writers on the first socket of a connection; each is written after those before it."""
JOINED: Final[Order] = ((Role.DIALER, Join), (Role.ACCEPTOR, Accept))
"""Messages and their writers on a further socket."""

DigestParts = dict[str, str | None]


def messages_of(order: Order, role: Role) -> tuple[type[Message], ...]:
    """Returns the messages that one role writes."""
    return tuple(kind for writer, kind in order if writer is role)


class HandshakeChecker:
    """Checks the handshakes of a capture, socket by socket, in the order in which they were opened."""

    def __init__(self, capture: Capture, result: CaptureResult) -> None:
        self.capture, self.result = capture, result
        self.secrets: Mapping[str, Any] = capture.meta.get("secrets") or {}
        self._announced: dict[str, tuple[str, str]] = {}
        """Connection id → direction and name of the dialer it was announced to."""

    def check(self, place: str, sides: Mapping[Role, Side]) -> None:
        """Checks both sides of one socket; `place` names it in differences."""
        for side in sides.values():
            self.result.counts.messages += len(side.read.messages)
            if side.is_real:
                self._side(side)
        self._order(place, sides)
        self._digests(place, sides)
        self._connection_id(place, sides)

    # --- one side ----------------------------------------------------------------------------------------------------

    def _side(self, side: Side) -> None:
        handshake = side.read.handshake
        for parsed, start in zip(handshake.frames, handshake.starts, strict=True):
            self._message(f"{side.place} offset {start}", parsed.value, side.data[start : parsed.end])
        expected = (self.capture.meta.get("nodes") or {}).get(side.writer, {}).get("name")
        for message in side.read.messages:
            if isinstance(message, Introduce | Join) and expected is not None and message.Node != expected:
                self.result.add(side.place, f"introduced as {str(message.Node)!r}, the node is {expected!r}")

    def _message(self, place: str, message: Message, data: bytes) -> None:
        """Checks that the node reads the same value, and that both writers write the same bytes from plain values."""
        try:
            again, end = Decoder(CONTEXT.registry).decode_prefix(data, ehs.HEADER_LENGTH)
        except Rejected as refusal:
            self.result.add(place, f"node: refused: {refusal}")
            return
        if end != len(data) or not same(message, again, CONTEXT.registry):
            self.result.add(place, "node: read as another value")
        for text in rewrite_differences(message, data):
            self.result.add(place, text)

    # --- order -------------------------------------------------------------------------------------------------------

    def _order(self, place: str, sides: Mapping[Role, Side]) -> None:
        """Checks that a real side wrote all messages of its role, or the first of them if nothing follows."""
        written = {role: side.kinds for role, side in sides.items()}
        for role, side in sides.items():
            complete = [messages_of(order, role) for order in (FIRST, JOINED)]
            kinds = written[role]
            valid = kinds in complete if side.has_frames else any(each[: len(kinds)] == kinds for each in complete)
            if side.is_real and kinds and not valid:
                self.result.add(side.place, f"{role.value} wrote {_names(kinds)}" + " before frames" * side.has_frames)
        if all(side.is_real and not side.begins_later for side in sides.values()):
            self._turns(place, written, is_unfinished=not any(side.has_frames for side in sides.values()))

    def _turns(self, place: str, written: Mapping[Role, tuple[type[Message], ...]], *, is_unfinished: bool) -> None:
        """Checks that the messages of both sides together are a handshake, or the beginning of one."""
        order = JOINED if written[Role.DIALER][:1] == (Join,) else FIRST
        valid = [order[:n] for n in range(len(order) + 1)] if is_unfinished else [order]
        if not any(all(messages_of(each, role) == written[role] for role in Role) for each in valid):
            text = "; ".join(f"{role.value}: {_names(kinds) or 'nothing'}" for role, kinds in written.items())
            self.result.add(place, f"not a valid order of handshake messages: {text}")

    # --- digests -----------------------------------------------------------------------------------------------------

    def _digests(self, place: str, sides: Mapping[Role, Side]) -> None:
        """Checks every digest of a real side, unless a script's messages lack the values it was computed from."""
        acceptor = self.secrets.get(sides[Role.ACCEPTOR].writer, {})
        fingerprint = bytes.fromhex(acceptor.get("fingerprint_sha1") or "")
        messages = {role: side.read.messages for role, side in sides.items()}
        for role, rule, parts, recorded in expected_digests(messages, tls=bool(fingerprint)):
            side = sides[role]
            known = {name: part for name, part in parts.items() if part is not None}
            if side.is_real and known == parts:
                self.result.counts.digests += 1
                cookie = str(self.secrets.get(side.writer, {}).get("cookie", ""))
                self._digest(place, rule, fingerprint, {**known, "cookie": cookie}, recorded)

    def _digest(
        self, place: str, rule: Digest | None, fingerprint: bytes, parts: dict[str, str], recorded: str
    ) -> None:
        if rule is None:
            if recorded != "":
                self.result.add(place, f"expected an empty digest, got {recorded!r}")
            return
        for name, computed in computed_digests(rule, fingerprint, parts).items():
            if computed != recorded:
                text = f"{rule.name} ({rule.requirement}): {recorded} on the wire, the {name} computes {computed}"
                self.result.add(place, text)

    def _connection_id(self, place: str, sides: Mapping[Role, Side]) -> None:
        """Checks that a Join has a connection id that an Accept of this capture announced to the same dialer."""
        dialer, acceptor = sides[Role.DIALER], sides[Role.ACCEPTOR]
        messages = dialer.read.messages
        name = next((message.Node for message in messages if isinstance(message, Introduce)), "")
        for message in acceptor.read.messages:
            if isinstance(message, Accept) and message.ID:
                self._announced[message.ID] = dialer.direction, name
        if acceptor.is_real and dialer.is_real and messages and isinstance(messages[0], Join):
            id_, node = messages[0].ConnectionID, messages[0].Node
            if self._announced.get(id_) != (dialer.direction, node):
                self.result.add(place, f"joins {id_!r}, which no Accept announced to {str(node)!r}")


def _names(kinds: tuple[type[Message], ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


# --- the digests of a socket ----------------------------------------------------------------------------------------


class ExpectedDigest(NamedTuple):
    """A digest field: its writer; its rule, None for an empty digest; the parts it is computed from; the field's value.

    A part is None if its message was not recorded.
    """

    role: Role
    rule: Digest | None
    parts: DigestParts
    recorded: str


def expected_digests(messages: Mapping[Role, list[Message]], *, tls: bool) -> Iterator[ExpectedDigest]:
    """Yields every digest field of a socket. A received digest enters the next one as received."""
    by_dialer, by_acceptor = messages[Role.DIALER], messages[Role.ACCEPTOR]
    if by_dialer and isinstance(by_dialer[0], Join):
        yield from _join_digests(by_dialer[0], by_acceptor, tls=tls)
        return
    hello, answer = _hello(by_dialer), _hello(by_acceptor)
    for message in by_dialer:
        yield from _dialer_digests(message, answer)
    for message in by_acceptor:
        yield from _acceptor_digests(message, hello, tls=tls)


def _dialer_digests(message: Message, answer: Hello | None) -> Iterator[ExpectedDigest]:
    match message:
        case Hello():
            yield ExpectedDigest(Role.DIALER, Digest.HELLO_DIALER, {"salt1": message.Salt}, message.Digest)
            yield from _empty(Role.DIALER, message.DigestCert)
        case Introduce():
            yield ExpectedDigest(Role.DIALER, Digest.INTRODUCE, {"salt2": answer and answer.Salt}, message.Digest)
        case Accept():
            yield from _empty(Role.DIALER, message.Digest, message.DigestCert)


def _acceptor_digests(message: Message, hello: Hello | None, *, tls: bool) -> Iterator[ExpectedDigest]:
    match message:
        case Hello():
            parts: DigestParts = {"salt2": message.Salt, "digest1": hello and hello.Digest}
            yield ExpectedDigest(Role.ACCEPTOR, Digest.HELLO_ACCEPTOR, parts, message.Digest)
            parts = {"salt2": message.Salt, "salt1": hello and hello.Salt} if tls else {}
            yield ExpectedDigest(Role.ACCEPTOR, Digest.HELLO_CERT if tls else None, parts, message.DigestCert)
        case Introduce():
            yield from _empty(Role.ACCEPTOR, message.Digest)
        case Accept():
            yield from _empty(Role.ACCEPTOR, message.Digest, message.DigestCert)


def _join_digests(join: Join, answers: list[Message], *, tls: bool) -> Iterator[ExpectedDigest]:
    yield ExpectedDigest(Role.DIALER, Digest.JOIN, {"id": join.ConnectionID, "salt": join.Salt}, join.Digest)
    for message in answers:
        if isinstance(message, Accept):
            parts: DigestParts = {"join_digest": join.Digest, "join_salt": join.Salt}
            yield ExpectedDigest(Role.ACCEPTOR, Digest.JOIN_ACCEPT, parts, message.Digest)
            yield ExpectedDigest(Role.ACCEPTOR, Digest.JOIN_CERT if tls else None, parts, message.DigestCert)


def _hello(messages: list[Message]) -> Hello | None:
    return next((message for message in messages if isinstance(message, Hello)), None)


def _empty(role: Role, *recorded: str) -> Iterator[ExpectedDigest]:
    return (ExpectedDigest(role, None, {}, digest) for digest in recorded)
