"""EHS R1, sans-io, both roles.

`model.ehs.STEPS` says what may come when and which effect it sets off; here is what the effects do.  Nothing here reads
a clock, a socket or entropy: salts and ids come from a callable, deadlines and closing are the transport's business.

A test breaks the handshake by overriding one small method: `digest` (what is proved), `header` and `frame` (how a
message is wrapped), `check_header` and `check` (what is refused), or the effect of a step (what is answered, in which
order).

Sources: ../../model/ehs.py, ../../spec/requirements/ehs.toml.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from struct import Struct
from typing import Any, Final

from ...errors import CannotEncode, Rejected
from ...model.ergo import edf, ehs
from ...model.ergo.caches import Caches
from ...model.ergo.ehs import Accept, Digest, Flags, HandshakeState, Hello, Introduce, Join, Message, Role, Step
from ...model.registry import Registry
from ...model.values import Error
from ..api.handshake import HandshakeError, Handshaken, Introduced, Joined, Joining, Local, Membership, Output, Token
from .edf import Decoder, Encoder

MESSAGE_TYPES: Final = Registry([*ehs.MESSAGES, ehs.VERSION_ROW, ehs.NETWORK_FLAGS])
"""All that an unauthenticated peer can make the codec read."""
_ENCODER: Final = Encoder(MESSAGE_TYPES)
_HEADER: Final = Struct(">BBI")


Effect = list[Message | Introduced | Handshaken | Joining | Joined]


class Ehs:
    """One handshake over one link."""

    def __init__(
        self,
        role: Role,
        local: Local,
        token: Token,
        *,
        fingerprint: bytes | None = None,
        address: str = "",
        joining: Membership | None = None,
    ) -> None:
        """`fingerprint`: SHA-1 of the acceptor's certificate over TLS, our own or as the dialer saw it; None is plain
        TCP or a dialer that does not check.  `address`: "host:port" of the acceptor's end, announced for further
        links.  `joining` makes a dialer join instead of shaking hands in full.
        """
        self.role = role
        self.local = local
        self.token = token
        self.fingerprint = fingerprint
        self.address = address
        self.joining = joining
        self.state = ehs.FIRST_STATE[role] if joining is None else HandshakeState.JOIN_SENT
        self.parts: dict[str, str] = {"cookie": local.cookie}
        """What digests are made of, under the names that the rows of model.ehs.Digest use."""
        self.pool = Accept()
        self.peer: Handshaken | None = None
        self._buffer = bytearray()
        self._decoder = Decoder(MESSAGE_TYPES)

    # --- what the transport calls -------------------------------------------------------------------------------------

    def start(self) -> bytes:
        """The dialer's first message; nothing from an acceptor."""
        if self.role is Role.ACCEPTOR:
            return b""
        return self.frame(self.hello() if self.joining is None else self.join(self.joining))

    def receive(self, data: bytes) -> Iterator[Output]:
        """Take bytes off the wire. The iterator has to be used up; it raises HandshakeError."""
        self._buffer += data
        return self._advance()

    def _advance(self) -> Iterator[Output]:
        while self.state is not HandshakeState.DONE:
            payload = self._next_payload()
            if payload is None:
                return
            for output in self.step(self.read(payload)):
                yield self.frame(output) if isinstance(output, Message) else output

    def step(self, message: object) -> Effect:
        """Look the message's row up and do what it says; what has no row is refused."""
        row: Mapping[type, Step] = ehs.STEPS[self.role, self.state]
        step = row.get(type(message))
        if step is None:
            raise HandshakeError(f"{type(message).__name__} is not expected in state {self.state.name}")
        self.state = step.then
        effect: Callable[[Any], Effect] = getattr(self, step.effect)
        return effect(message)

    # --- frames -------------------------------------------------------------------------------------------------------

    def frame(self, message: Message) -> bytes:
        """A message as it goes on the wire."""
        try:
            payload = _ENCODER.encode(message)
        except CannotEncode as error:
            raise HandshakeError(f"our {type(message).__name__} can't be written: {error}") from None
        if len(payload) > ehs.MAX_PAYLOAD:
            raise HandshakeError(f"our {type(message).__name__} is too long: {len(payload)} bytes")
        return self.header(payload) + payload

    def header(self, payload: bytes) -> bytes:
        """What goes before a payload."""
        return _HEADER.pack(ehs.MAGIC, ehs.VERSION, len(payload))

    def check_header(self, header: bytes) -> None:
        """Refuse what can't become a frame, as soon as it shows: 0 to 6 bytes."""
        if header and header[0] != ehs.MAGIC:
            raise HandshakeError(f"first byte is {header[0]}, not {ehs.MAGIC}")
        if len(header) > 1 and header[1] != ehs.VERSION:
            raise HandshakeError(f"version is {header[1]}, not {ehs.VERSION}")
        if len(header) == ehs.HEADER_LENGTH:
            length = _HEADER.unpack(header)[2]
            if length > ehs.MAX_PAYLOAD:
                raise HandshakeError(f"a message of {length} bytes is announced, more than {ehs.MAX_PAYLOAD}")

    def _next_payload(self) -> bytes | None:
        """The next whole frame without its header; None while bytes are missing."""
        header = bytes(self._buffer[: ehs.HEADER_LENGTH])
        self.check_header(header)
        if len(header) < ehs.HEADER_LENGTH:
            return None
        end = ehs.HEADER_LENGTH + _HEADER.unpack(header)[2]
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[ehs.HEADER_LENGTH : end])
        del self._buffer[:end]
        return payload

    def read(self, payload: bytes) -> object:
        """The one value in a frame: bytes left over inside it are refused, too."""
        try:
            return self._decoder.decode(payload)
        except Rejected as error:
            raise HandshakeError(f"unreadable message: {error}") from None

    def tail(self) -> bytes:
        """What came behind the last message."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    # --- digests ------------------------------------------------------------------------------------------------------

    def digest(self, kind: Digest) -> str:
        """Lower-case hex SHA-256 of what the row names."""
        data = ":".join(self.parts[name] for name in kind.parts).encode("utf-8", "surrogateescape")
        if kind.fingerprint:
            data += self.fingerprint or b""
        return sha256(data).hexdigest()

    def check(self, kind: Digest, given: str) -> None:
        """Refuse a digest that is not the one. They are compared as text: upper-case hex is another one."""
        ours = self.digest(kind).encode()
        if not hmac.compare_digest(ours, given.encode("utf-8", "surrogateescape")):
            raise HandshakeError(f"wrong digest {kind.name}: another cookie, or not the peer it claims to be")

    def certificate_digest(self, kind: Digest) -> str:
        """The digest that binds an acceptor's certificate; empty where there is no TLS."""
        return "" if self.fingerprint is None else self.digest(kind)

    def check_certificate(self, kind: Digest, given: str) -> None:
        """Over TLS the acceptor has to prove that the certificate we saw is its own: nobody sits in between."""
        if self.fingerprint is not None:
            self.check(kind, given)

    # --- messages -----------------------------------------------------------------------------------------------------

    def hello(self) -> Hello:
        """The first message of a full handshake."""
        self.parts["salt1"] = salt = self.token(ehs.SALT_LENGTH)
        self.parts["digest1"] = digest = self.digest(Digest.HELLO_DIALER)
        return Hello(salt, digest)

    def join(self, membership: Membership) -> Join:
        """The first message of a further link."""
        salt = self.token(ehs.SALT_LENGTH)
        self.parts |= {"id": membership.connection_id, "salt": salt, "join_salt": salt}
        self.parts["join_digest"] = digest = self.digest(Digest.JOIN)
        return Join(self.local.name, membership.connection_id, salt, digest)

    def introduction(self, digest: str) -> Introduce:
        """Who we are, and the ids in what we are going to write."""
        local, caches = self.local, self.local.caches
        return Introduce(
            Node=local.name,
            Version=local.version,
            Flags=ehs.NETWORK_FLAGS.payload.canonical(local.flags.to_bytes(ehs.FLAGS_WIDTH)),
            Creation=local.creation,
            MaxMessageSize=local.max_message_size,
            AtomCache=dict(caches.atoms) or None,
            RegCache=dict(caches.types) or None,
            ErrCache={id_: Error(text) for id_, text in caches.errors.items()} or None,
            Digest=digest,
        )

    # --- effects, dialer ----------------------------------------------------------------------------------------------

    def introduce(self, message: Hello) -> Effect:
        """The acceptor knows the cookie and holds its certificate: say who we are."""
        self.parts["salt2"] = message.Salt
        self.check(Digest.HELLO_ACCEPTOR, message.Digest)
        self.check_certificate(Digest.HELLO_CERT, message.DigestCert)
        return [self.introduction(self.digest(Digest.INTRODUCE))]

    def remember_pool(self, message: Accept) -> Effect:
        """The connection's id, and where its other links go."""
        self.pool = message
        return []

    def confirm(self, message: Introduce) -> Effect:
        """We know the acceptor: done."""
        peer = self.met(message, self.pool)
        return [Accept(), replace(peer, tail=self.tail())]

    def check_join(self, message: Accept) -> Effect:
        """The acceptor of a further link knows the cookie: done. Whether it knows the connection, its staying tells."""
        self.check(Digest.JOIN_ACCEPT, message.Digest)
        self.check_certificate(Digest.JOIN_CERT, message.DigestCert)
        assert self.joining is not None
        return [Joined(self.role, *self.joining, self.tail())]

    # --- effects, acceptor --------------------------------------------------------------------------------------------

    def answer_hello(self, message: Hello) -> Effect:
        """The dialer knows the cookie: prove that we do."""
        self.parts |= {"salt1": message.Salt, "digest1": message.Digest}
        self.check(Digest.HELLO_DIALER, message.Digest)
        self.parts["salt2"] = salt = self.token(ehs.SALT_LENGTH)
        return [Hello(salt, self.digest(Digest.HELLO_ACCEPTOR), self.certificate_digest(Digest.HELLO_CERT))]

    def admit_link(self, message: Join) -> Effect:
        """The joiner knows the cookie: prove that we do, if there is such a connection (EHS-JOIN-4).

        Upstream sends its Accept first and closes then; a dialer that saw an Accept joins again, without a pause and for
        ever (ENP-RED-3).  One that is closed without it gives the link up, and the connection with the last one.
        """
        self.parts |= {"id": message.ConnectionID, "salt": message.Salt}
        self.parts |= {"join_salt": message.Salt, "join_digest": message.Digest}
        self.check(Digest.JOIN, message.Digest)
        proof = Accept(Digest=self.digest(Digest.JOIN_ACCEPT), DigestCert=self.certificate_digest(Digest.JOIN_CERT))
        joined = Joined(self.role, message.Node, message.ConnectionID, self.tail())
        return [Joining(joined), proof, joined]

    def accept_and_introduce(self, message: Introduce) -> Effect:
        """The dialer knows the cookie with our salt, too: name the connection, and say who we are."""
        self.check(Digest.INTRODUCE, message.Digest)
        dsns = [self.address] if self.address else None
        accept = Accept(self.token(ehs.CONNECTION_ID_LENGTH), self.local.pool_size, dsns)
        self.peer = self.met(message, accept._replace(PoolDSN=None))
        return [Introduced(self.peer), accept, self.introduction("")]

    def finish(self, message: Accept) -> Effect:  # noqa: ARG002  its fields are empty and mean nothing
        """The dialer has taken us: done."""
        assert self.peer is not None
        return [replace(self.peer, tail=self.tail())]

    # --- the peer -----------------------------------------------------------------------------------------------------

    def met(self, introduce: Introduce, pool: Accept) -> Handshaken:
        """Who the peer is, with numbers brought into the range that is safe to act on."""
        if introduce.Node == self.local.name:
            raise HandshakeError("the peer has our own name")
        return Handshaken(
            role=self.role,
            local=self.local,
            node=introduce.Node,
            version=introduce.Version,
            flags=Flags(int.from_bytes(ehs.NETWORK_FLAGS.payload.canonical(introduce.Flags))),
            raw_flags=introduce.Flags,
            creation=introduce.Creation,
            max_message_size=max(introduce.MaxMessageSize, 0),
            caches=replace(announced(introduce), atom_mapping=self.local.caches.atom_mapping),
            connection_id=pool.ID,
            pool_size=min(max(pool.PoolSize, 1), ehs.MAX_POOL_SIZE),
            pool_dsns=tuple(pool.PoolDSN or ())[: ehs.MAX_POOL_SIZE],
        )


def announced(introduce: Introduce) -> Caches:
    """The peer's ids. Those of types and errors that would be lengths are left out: no reader could find them.

    Atom ids below 256 stay: inside EDF they are lengths, but frames carry bare ids (EHS-CACHE-5).
    """
    types, errors = introduce.RegCache or {}, introduce.ErrCache or {}
    return Caches(
        atoms=introduce.AtomCache or {},
        types={id_: name for id_, name in types.items() if id_ >= edf.FIRST_TYPE_ID},
        errors={
            id_: error.text
            for id_, error in errors.items()
            if isinstance(error, Error) and edf.FIRST_ERROR_ID <= id_ <= edf.LAST_ERROR_ID
        },
    )
