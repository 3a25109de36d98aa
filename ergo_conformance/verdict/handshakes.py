"""Handshakes in captures: their order, digests recomputed with the writer's own cookie, each message written again."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import CannotEncode, Rejected
from ..model import ehs
from ..model.compare import same
from ..model.ehs import Accept, Digest, Hello, Introduce, Join, Message, Role
from ..model.terms import Atom
from ..reference_node.ergo import ehs as node_ehs
from ..reference_node.ergo.edf import Decoder, Encoder
from ..spec.ehs import CONTEXT, digest, read_frame, write_frame
from ..spec.stream import Direction
from .vectors import Difference

SEQUENCES: Final[Mapping[Role, tuple[tuple[type[Message], ...], ...]]] = {
    Role.DIALER: ((Hello, Introduce, Accept), (Join,)),
    Role.ACCEPTOR: ((Hello, Accept, Introduce), (Accept,)),
}
"""What each side writes: on a first link, and on a joined one; a link that ended early has the beginning of it."""

Json = Any


class HandshakeChecker:
    """Checks the handshakes of a file, link by link, in the order in which they were opened."""

    def __init__(self, meta: Json) -> None:
        self.meta = meta
        self.messages = self.digests = 0
        self.differences: list[Difference] = []
        self.connections: dict[str, str] = {}
        """Connection id → the dialer's name."""

    def fail(self, where: str, text: str) -> None:
        self.differences.append(Difference(where, text))

    def link(
        self,
        link: str,
        sides: Mapping[Role, str],
        read: Mapping[Role, Direction],
        data: Mapping[Role, bytes],
        real: Mapping[Role, bool],
    ) -> None:
        """One link: the directions of its roles, what was read of them, their bytes, and which a real node wrote."""
        writers = {role: str(self.meta["sides"].get(side, "")) for role, side in sides.items()}
        for role, side in sides.items():
            if real[role]:
                self._direction(f"link {link} {side}", writers[role], role, read[role], data[role])
            self.messages += len(read[role].messages)
        if all(real.values()):
            self._digests(f"link {link}", {role: read[role].messages for role in Role}, writers)

    # --- one direction ------------------------------------------------------------------------------------------------

    def _direction(self, where: str, writer: str, role: Role, read: Direction, data: bytes) -> None:
        handshake = read.handshake
        for parsed, start in zip(handshake.frames, handshake.starts, strict=True):
            self._message(f"{where} offset {start}", parsed.value, data[start : parsed.end])
        kinds = tuple(type(message) for message in read.messages)
        if not any(sequence[: len(kinds)] == kinds for sequence in SEQUENCES[role]):
            self.fail(where, f"{role.value} wrote {', '.join(kind.__name__ for kind in kinds)}")
        self._names(where, writer, read.messages)

    def _names(self, where: str, writer: str, messages: list[Message]) -> None:
        expected = self.meta.get("nodes", {}).get(writer, {}).get("name")
        for message in messages:
            if isinstance(message, Introduce | Join) and expected is not None and message.Node != expected:
                self.fail(where, f"introduced as {message.Node!r}, the node is {expected!r}")

    def _message(self, where: str, message: Message, data: bytes) -> None:
        """The node's reader finds the same value; both writers make the same bytes of the plain values."""
        try:
            again, end = Decoder(CONTEXT.registry).decode_prefix(data, ehs.HEADER_LENGTH)
        except Rejected as refusal:
            self.fail(where, f"the node refuses what the schema reads: {refusal}")
            return
        if end != len(data) or not same(message, again, CONTEXT.registry):
            self.fail(where, "the two readers find different values")
        for name, write in (("schema", write_frame), ("node", _node_frame)):
            try:
                written = write(plain(message))
            except CannotEncode as error:
                self.fail(where, f"the {name} can't write it again: {error}")
                continue
            if written != data:
                self.fail(where, f"the {name} writes it otherwise: {frame_difference(data, written)}")

    # --- digests ------------------------------------------------------------------------------------------------------

    def _digests(self, where: str, found: dict[Role, list[Message]], writers: dict[Role, str]) -> None:
        secrets = self.meta.get("secrets", {})
        cookies = {role: str(secrets.get(writers[role], {}).get("cookie", "")) for role in Role}
        fingerprint = bytes.fromhex(secrets.get(writers[Role.ACCEPTOR], {}).get("fingerprint_sha1") or "")
        said, answered = found[Role.DIALER], found[Role.ACCEPTOR]
        for rule, cookie, facts, given in expected_digests(said, answered, cookies, tls=bool(fingerprint)):
            self.digests += 1
            if rule is None:
                if given != "":
                    self.fail(where, f"a digest where none belongs: {given!r}")
                continue
            by_schema = digest(rule, fingerprint=fingerprint, cookie=cookie, **facts)
            by_node = _node_digest(rule, fingerprint, {**facts, "cookie": cookie})
            for name, computed in (("schema", by_schema), ("node", by_node)):
                if computed != given:
                    self.fail(
                        where, f"{rule.name} ({rule.requirement}): {given} on the wire, the {name} computes {computed}"
                    )
        self._connection(where, said, answered)

    def _connection(self, where: str, said: list[Message], answered: list[Message]) -> None:
        """A Join names a connection that an Accept of this file announced to the same dialer."""
        for message in answered:
            if isinstance(message, Accept) and message.ID and len(said) > 1 and isinstance(said[1], Introduce):
                self.connections[message.ID] = said[1].Node
        if said and isinstance(said[0], Join) and self.connections.get(said[0].ConnectionID) != said[0].Node:
            self.fail(where, f"joins {said[0].ConnectionID!r}, which no Accept announced to {said[0].Node!r}")


Expected = tuple[Digest | None, str, dict[str, str], str]


def expected_digests(
    said: list[Message], answered: list[Message], cookies: Mapping[Role, str], *, tls: bool
) -> Iterator[Expected]:
    """Every digest field of a link: its rule (None: empty), the writer's cookie, the facts it is made of, what was sent."""
    ours, theirs = cookies[Role.DIALER], cookies[Role.ACCEPTOR]
    if said and isinstance(said[0], Join):
        yield from _join_digests(said[0], answered, ours, theirs, tls=tls)
        return
    hello = said[0] if said and isinstance(said[0], Hello) else Hello("", "")
    answer = answered[0] if answered and isinstance(answered[0], Hello) else Hello("", "")
    for message in said:
        match message:
            case Hello():
                yield Digest.HELLO_DIALER, ours, {"salt1": message.Salt}, message.Digest
                yield None, ours, {}, message.DigestCert
            case Introduce():
                yield Digest.INTRODUCE, ours, {"salt2": answer.Salt}, message.Digest
            case Accept():
                yield from ((None, ours, {}, field) for field in (message.Digest, message.DigestCert))
    for message in answered:
        match message:
            case Hello():
                yield Digest.HELLO_ACCEPTOR, theirs, {"salt2": message.Salt, "digest1": hello.Digest}, message.Digest
                facts = {"salt2": message.Salt, "salt1": hello.Salt}
                yield (Digest.HELLO_CERT if tls else None), theirs, facts, message.DigestCert
            case Introduce():
                yield None, theirs, {}, message.Digest
            case Accept():
                yield from ((None, theirs, {}, field) for field in (message.Digest, message.DigestCert))


def _join_digests(join: Join, answered: list[Message], ours: str, theirs: str, *, tls: bool) -> Iterator[Expected]:
    yield Digest.JOIN, ours, {"id": join.ConnectionID, "salt": join.Salt}, join.Digest
    for message in answered:
        if isinstance(message, Accept):
            facts = {"join_digest": join.Digest, "join_salt": join.Salt}
            yield Digest.JOIN_ACCEPT, theirs, facts, message.Digest
            yield (Digest.JOIN_CERT if tls else None), theirs, facts, message.DigestCert


# --- the node's side --------------------------------------------------------------------------------------------------


def _node_frame(message: Message) -> bytes:
    payload = Encoder(node_ehs.MESSAGE_TYPES).encode(message)
    return _node(b"").header(payload) + payload


def _node(fingerprint: bytes, parts: Mapping[str, str] | None = None) -> node_ehs.Ehs:
    local = node_ehs.Local(name=Atom(""), cookie="", creation=0, version=ehs.Version())
    handshake = node_ehs.Ehs(Role.ACCEPTOR, local, lambda n: "0" * n, fingerprint=fingerprint or None)
    handshake.parts = dict(parts or {})
    return handshake


def _node_digest(rule: Digest, fingerprint: bytes, facts: Mapping[str, str]) -> str:
    return _node(fingerprint, facts).digest(rule)


def plain(message: Message) -> Message:
    """A message made anew of plain values: texts, numbers, tables in the order read; flags as their bits."""
    if not isinstance(message, Introduce):
        return type(message)(*message)
    flags = ehs.NETWORK_FLAGS.payload.canonical(message.Flags)
    tables = (message.AtomCache, message.RegCache, message.ErrCache)
    atoms, types, errors = (None if table is None else dict(table.items()) for table in tables)
    return message._replace(Flags=flags, AtomCache=atoms, RegCache=types, ErrCache=errors)  # type: ignore[arg-type]


def frame_difference(wanted: bytes, found: bytes) -> str:
    """The first place where two frames part, with its path, in hex around it."""
    at = next((i for i, (x, y) in enumerate(zip(wanted, found, strict=False)) if x != y), min(len(wanted), len(found)))
    parsed = read_frame(wanted)
    try:
        path = "?" if isinstance(parsed, Rejected) else parsed.at(at).path or "(frame)"
    except KeyError:
        path = "(end)"
    window = slice(max(0, at - 4), at + 24)
    return f"offset {at}, {path}: …{wanted[window].hex()}… on the wire, …{found[window].hex()}… written"
