"""Handshakes in captures: the order of messages, digests made again with the writer's own cookie, messages written again."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...errors import CannotEncode, Rejected
from ...model.compare import same
from ...model.ergo import ehs
from ...model.ergo.ehs import Accept, Digest, Hello, Introduce, Join, Message, Role
from ...reference_node.ergo.edf import Decoder
from ...spec.ergo.ehs import CONTEXT, digest, write_frame
from ..vectors.edf import Difference
from ..vectors.handshake import frame_difference, node_digest, node_frame, plain
from .load import Capture
from .sides import Side

Order = tuple[tuple[Role, type[Message]], ...]
FIRST: Final[Order] = (
    (Role.DIALER, Hello), (Role.ACCEPTOR, Hello), (Role.DIALER, Introduce), (Role.ACCEPTOR, Accept),
    (Role.ACCEPTOR, Introduce), (Role.DIALER, Accept),
)  # fmt: skip
"""Who says what when, on the first link of a connection; each waits for what stands before."""
JOINED: Final[Order] = ((Role.DIALER, Join), (Role.ACCEPTOR, Accept))
"""The same on a further link."""

Facts = dict[str, str | None]


def part_of(order: Order, role: Role) -> tuple[type[Message], ...]:
    """What one side says in it."""
    return tuple(kind for who, kind in order if who is role)


class HandshakeChecker:
    """Checks the handshakes of a file, link by link, in the order in which they were opened."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.secrets: Mapping[str, Any] = capture.meta.get("secrets") or {}
        self.messages = self.digests = 0
        self.differences: list[Difference] = []
        self._announced: dict[str, tuple[str, str]] = {}
        """Connection id → direction and name of the dialer it was announced to."""

    def link(self, where: str, sides: Mapping[Role, Side]) -> None:
        """One link, both sides."""
        for side in sides.values():
            self.messages += len(side.read.messages)
            if side.real:
                self._direction(side)
        self._order(where, sides)
        self._digests(where, sides)
        self._connection(where, sides)

    def _fail(self, where: str, text: str) -> None:
        self.differences.append(Difference(where, text))

    # --- one direction ------------------------------------------------------------------------------------------------

    def _direction(self, side: Side) -> None:
        handshake = side.read.handshake
        for parsed, start in zip(handshake.frames, handshake.starts, strict=True):
            self._message(f"{side.where} offset {start}", parsed.value, side.data[start : parsed.end])
        expected = (self.capture.meta.get("nodes") or {}).get(side.writer, {}).get("name")
        for message in side.read.messages:
            if isinstance(message, Introduce | Join) and expected is not None and message.Node != expected:
                self._fail(side.where, f"introduced as {str(message.Node)!r}, the node is {expected!r}")

    def _message(self, where: str, message: Message, data: bytes) -> None:
        """The node's reader finds the same value; both writers make the same bytes of the plain values."""
        try:
            again, end = Decoder(CONTEXT.registry).decode_prefix(data, ehs.HEADER_LENGTH)
        except Rejected as refusal:
            self._fail(where, f"the node refuses what the schema reads: {refusal}")
            return
        if end != len(data) or not same(message, again, CONTEXT.registry):
            self._fail(where, "the two readers find different values")
        for name, write in (("schema", write_frame), ("node", node_frame)):
            try:
                written = write(plain(message))
            except CannotEncode as error:
                self._fail(where, f"the {name} can't write it again: {error}")
                continue
            if written != data:
                self._fail(where, f"the {name} writes it otherwise: {frame_difference(data, written)}")

    # --- order --------------------------------------------------------------------------------------------------------

    def _order(self, where: str, sides: Mapping[Role, Side]) -> None:
        """Each real side says its part, or the beginning of it if the link ended early; frames come behind all of it."""
        said = {role: side.kinds for role, side in sides.items()}
        for role, side in sides.items():
            parts = [part_of(order, role) for order in (FIRST, JOINED)]
            legal = said[role] in parts if side.goes_on else any(p[: len(said[role])] == said[role] for p in parts)
            if side.real and said[role] and not legal:
                self._fail(side.where, f"{role.value} wrote {_names(said[role])}" + " before frames" * side.goes_on)
        if all(side.real and not side.begins_later for side in sides.values()):
            self._turns(where, said, early=not any(side.goes_on for side in sides.values()))

    def _turns(self, where: str, said: Mapping[Role, tuple[type[Message], ...]], *, early: bool) -> None:
        order = JOINED if said[Role.DIALER][:1] == (Join,) else FIRST
        beginnings = [order[:n] for n in range(len(order) + 1)] if early else [order]
        if not any(all(part_of(beginning, role) == said[role] for role in Role) for beginning in beginnings):
            text = "; ".join(f"{role.value}: {_names(kinds) or 'nothing'}" for role, kinds in said.items())
            self._fail(where, f"no order of a handshake gives {text}")

    # --- digests ------------------------------------------------------------------------------------------------------

    def _digests(self, where: str, sides: Mapping[Role, Side]) -> None:
        """Every digest that a real side wrote. What it was computed from may be missing where a script wrote it."""
        acceptor = self.secrets.get(sides[Role.ACCEPTOR].writer, {})
        fingerprint = bytes.fromhex(acceptor.get("fingerprint_sha1") or "")
        messages = {role: side.read.messages for role, side in sides.items()}
        for role, rule, facts, given in expected_digests(messages, tls=bool(fingerprint)):
            side = sides[role]
            if side.real and None not in facts.values():
                self.digests += 1
                cookie = str(self.secrets.get(side.writer, {}).get("cookie", ""))
                self._digest(where, rule, fingerprint, {**facts, "cookie": cookie}, given)  # type: ignore[dict-item]

    def _digest(self, where: str, rule: Digest | None, fingerprint: bytes, facts: dict[str, str], given: str) -> None:
        if rule is None:
            if given != "":
                self._fail(where, f"a digest where none belongs: {given!r}")
            return
        by_schema = digest(rule, fingerprint=fingerprint, **facts)
        by_node = node_digest(rule, fingerprint, facts)
        for name, computed in (("schema", by_schema), ("node", by_node)):
            if computed != given:
                text = f"{rule.name} ({rule.requirement}): {given} on the wire, the {name} computes {computed}"
                self._fail(where, text)

    def _connection(self, where: str, sides: Mapping[Role, Side]) -> None:
        """A Join names a connection that an Accept of this file announced to the same dialer."""
        dialer, acceptor = sides[Role.DIALER], sides[Role.ACCEPTOR]
        said = dialer.read.messages
        name = next((message.Node for message in said if isinstance(message, Introduce)), "")
        for message in acceptor.read.messages:
            if isinstance(message, Accept) and message.ID:
                self._announced[message.ID] = dialer.direction, name
        if acceptor.real and dialer.real and said and isinstance(said[0], Join):
            id_, node = said[0].ConnectionID, said[0].Node
            if self._announced.get(id_) != (dialer.direction, node):
                self._fail(where, f"joins {id_!r}, which no Accept announced to {str(node)!r}")


def _names(kinds: tuple[type[Message], ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


class Expected(NamedTuple):
    """A digest field: who wrote it, its rule (None: empty), what it is made of (None: not seen), what was sent."""

    role: Role
    rule: Digest | None
    facts: Facts
    given: str


def expected_digests(messages: Mapping[Role, list[Message]], *, tls: bool) -> Iterator[Expected]:
    """Every digest field of a link. A digest that came in is used as it came."""
    said, answered = messages[Role.DIALER], messages[Role.ACCEPTOR]
    if said and isinstance(said[0], Join):
        yield from _join_digests(said[0], answered, tls=tls)
        return
    hello, answer = _hello(said), _hello(answered)
    for message in said:
        match message:
            case Hello():
                yield Expected(Role.DIALER, Digest.HELLO_DIALER, {"salt1": message.Salt}, message.Digest)
                yield Expected(Role.DIALER, None, {}, message.DigestCert)
            case Introduce():
                yield Expected(Role.DIALER, Digest.INTRODUCE, {"salt2": answer and answer.Salt}, message.Digest)
            case Accept():
                yield from _empty(Role.DIALER, message.Digest, message.DigestCert)
    for message in answered:
        match message:
            case Hello():
                facts: Facts = {"salt2": message.Salt, "digest1": hello and hello.Digest}
                yield Expected(Role.ACCEPTOR, Digest.HELLO_ACCEPTOR, facts, message.Digest)
                facts = {"salt2": message.Salt, "salt1": hello and hello.Salt} if tls else {}
                yield Expected(Role.ACCEPTOR, Digest.HELLO_CERT if tls else None, facts, message.DigestCert)
            case Introduce():
                yield from _empty(Role.ACCEPTOR, message.Digest)
            case Accept():
                yield from _empty(Role.ACCEPTOR, message.Digest, message.DigestCert)


def _hello(messages: list[Message]) -> Hello | None:
    return next((message for message in messages if isinstance(message, Hello)), None)


def _empty(role: Role, *given: str) -> Iterator[Expected]:
    return (Expected(role, None, {}, digest) for digest in given)


def _join_digests(join: Join, answered: list[Message], *, tls: bool) -> Iterator[Expected]:
    yield Expected(Role.DIALER, Digest.JOIN, {"id": join.ConnectionID, "salt": join.Salt}, join.Digest)
    for message in answered:
        if isinstance(message, Accept):
            facts: Facts = {"join_digest": join.Digest, "join_salt": join.Salt}
            yield Expected(Role.ACCEPTOR, Digest.JOIN_ACCEPT, facts, message.Digest)
            yield Expected(Role.ACCEPTOR, Digest.JOIN_CERT if tls else None, facts, message.DigestCert)
