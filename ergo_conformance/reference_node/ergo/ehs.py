"""State machine of an EHS R1 handshake, both roles, sans-io.

`STEPS` in model/ergo/ehs.py lists the messages allowed in each state and their effects; the effects are methods here. This
module uses no clock, socket or entropy: salts and ids come from a callable; the transport enforces deadlines and closes.

A test injects a fault by overriding one small method: `digest` (proofs), `header` and `frame` (framing), `check_header` and
`check` (refusals), or the effect of a step (answers and their order).

Sources: model/ergo/ehs.py, spec/requirements/ehs.toml.
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
from ..api.errors import HandshakeError
from ..api.handshake import (
    ConnectionRef,
    Introduced,
    JoinedSocket,
    JoinRequest,
    LocalIdentity,
    Output,
    PeerInfo,
    RandomHex,
)
from .edf import Decoder, Encoder

MESSAGE_TYPES: Final = Registry([*ehs.MESSAGES, ehs.VERSION_ROW, ehs.NETWORK_FLAGS])
"""The only types that the codec reads from an unauthenticated peer."""
_ENCODER: Final = Encoder(MESSAGE_TYPES)
_HEADER: Final = Struct(">BBI")


Effect = list[Message | Introduced | PeerInfo | JoinRequest | JoinedSocket]


class EhsSession:
    """One handshake on one socket."""

    def __init__(
        self,
        role: Role,
        local: LocalIdentity,
        token: RandomHex,
        *,
        fingerprint: bytes | None = None,
        address: str = "",
        joining: ConnectionRef | None = None,
    ) -> None:
        """`fingerprint`: SHA-1 of the acceptor's TLS certificate (our own, or as received by the dialer); None for plain
        TCP or a dialer that does not verify it. `address`: "host:port" of the acceptor, announced for further sockets.
        `joining`: the dialer sends Join instead of a full handshake.
        """
        self.role = role
        self.local = local
        self.token = token
        self.fingerprint = fingerprint
        self.address = address
        self.joining = joining
        self.state = ehs.FIRST_STATE[role] if joining is None else HandshakeState.JOIN_SENT
        self.parts: dict[str, str] = {"cookie": local.cookie}
        """Inputs of the digests, by the names used in model.ergo.ehs.Digest."""
        self.pool = Accept()
        self.peer: PeerInfo | None = None
        self._buffer = bytearray()
        self._decoder = Decoder(MESSAGE_TYPES, generated_lines=0)  # no functions for types that a stranger names

    # --- interface to the transport -------------------------------------------------------------------------------------

    def start(self) -> bytes:
        """Returns the dialer's first message; b"" for an acceptor."""
        if self.role is Role.ACCEPTOR:
            return b""
        return self.frame(self.hello() if self.joining is None else self.join(self.joining))

    def receive(self, data: bytes) -> Iterator[Output]:
        """Processes received bytes. The iterator must be exhausted; it raises HandshakeError."""
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
        """Applies the effect of a message in the current state. HandshakeError if the message is not allowed there."""
        row: Mapping[type, Step] = ehs.STEPS[self.role, self.state]
        step = row.get(type(message))
        if step is None:
            raise HandshakeError(f"{type(message).__name__} is not expected in state {self.state.name}")
        self.state = step.then
        effect: Callable[[Any], Effect] = getattr(self, step.effect)
        return effect(message)

    # --- frames -------------------------------------------------------------------------------------------------------

    def frame(self, message: Message) -> bytes:
        """Returns a message as bytes, header included."""
        try:
            payload = _ENCODER.encode(message)
        except CannotEncode as error:
            raise HandshakeError(f"our {type(message).__name__} cannot be encoded: {error}") from None
        if len(payload) > ehs.MAX_PAYLOAD:
            raise HandshakeError(
                f"our {type(message).__name__} is too long: {len(payload)} bytes, at most {ehs.MAX_PAYLOAD}"
            )
        return self.header(payload) + payload

    def header(self, payload: bytes) -> bytes:
        """Returns the header of a payload."""
        return _HEADER.pack(ehs.MAGIC, ehs.VERSION, len(payload))

    def check_header(self, header: bytes) -> None:
        """Checks the 0 to 6 bytes of a header received so far. Raises HandshakeError."""
        if header and header[0] != ehs.MAGIC:
            raise HandshakeError(f"first byte is {header[0]}, expected {ehs.MAGIC}")
        if len(header) > 1 and header[1] != ehs.VERSION:
            raise HandshakeError(f"version is {header[1]}, expected {ehs.VERSION}")
        if len(header) == ehs.HEADER_LENGTH:
            length = _HEADER.unpack(header)[2]
            if length > ehs.MAX_PAYLOAD:
                raise HandshakeError(f"announced length is {length} bytes, maximum {ehs.MAX_PAYLOAD}")

    def _next_payload(self) -> bytes | None:
        """Returns the payload of the next complete frame; None if bytes are missing."""
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
        """Decodes the single value of a payload. HandshakeError if it is invalid or has trailing bytes."""
        try:
            return self._decoder.decode(payload)
        except Rejected as error:
            raise HandshakeError(f"unreadable message: {error}") from None

    def tail(self) -> bytes:
        """Returns and removes the bytes received after the last message."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    # --- digests ------------------------------------------------------------------------------------------------------

    def digest(self, kind: Digest) -> str:
        """Returns the SHA-256 of the inputs of a digest, in lower-case hex."""
        data = ":".join(self.parts[name] for name in kind.parts).encode("utf-8", "surrogateescape")
        if kind.fingerprint:
            data += self.fingerprint or b""
        return sha256(data).hexdigest()

    def check(self, kind: Digest, given: str) -> None:
        """Raises HandshakeError for a wrong digest. Digests are compared as text, so upper-case hex is wrong."""
        ours = self.digest(kind).encode()
        if not hmac.compare_digest(ours, given.encode("utf-8", "surrogateescape")):
            raise HandshakeError(f"wrong digest {kind.name}: different cookie, or the peer is not who it claims to be")

    def certificate_digest(self, kind: Digest) -> str:
        """Returns the digest over the acceptor's certificate; empty without TLS."""
        return "" if self.fingerprint is None else self.digest(kind)

    def check_certificate(self, kind: Digest, given: str) -> None:
        """With TLS, verifies that the acceptor owns the certificate that we received (no man in the middle)."""
        if self.fingerprint is not None:
            self.check(kind, given)

    # --- messages -----------------------------------------------------------------------------------------------------

    def hello(self) -> Hello:
        """Returns the first message of a full handshake."""
        self.parts["salt1"] = salt = self.token(ehs.SALT_LENGTH)
        self.parts["digest1"] = digest = self.digest(Digest.HELLO_DIALER)
        return Hello(salt, digest)

    def join(self, membership: ConnectionRef) -> Join:
        """Returns the first message on a further socket of a connection."""
        salt = self.token(ehs.SALT_LENGTH)
        self.parts |= {"id": membership.connection_id, "salt": salt, "join_salt": salt}
        self.parts["join_digest"] = digest = self.digest(Digest.JOIN)
        return Join(self.local.name, membership.connection_id, salt, digest)

    def introduction(self, digest: str) -> Introduce:
        """Returns our Introduce: name, version, flags, and the ids that we will use."""
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
        """Verifies the acceptor's Hello; sends Introduce."""
        self.parts["salt2"] = message.Salt
        self.check(Digest.HELLO_ACCEPTOR, message.Digest)
        self.check_certificate(Digest.HELLO_CERT, message.DigestCert)
        return [self.introduction(self.digest(Digest.INTRODUCE))]

    def remember_pool(self, message: Accept) -> Effect:
        """Stores the acceptor's Accept: connection id and addresses for further sockets."""
        self.pool = message
        return []

    def confirm(self, message: Introduce) -> Effect:
        """Reads the acceptor's Introduce; sends Accept; the handshake is complete."""
        peer = self.peer_info(message, self.pool)
        return [Accept(), replace(peer, tail=self.tail())]

    def check_join(self, message: Accept) -> Effect:
        """Verifies the answer to Join; done. An acceptor that does not know the connection closes the socket."""
        self.check(Digest.JOIN_ACCEPT, message.Digest)
        self.check_certificate(Digest.JOIN_CERT, message.DigestCert)
        assert self.joining is not None
        return [JoinedSocket(self.role, *self.joining, self.tail())]

    # --- effects, acceptor --------------------------------------------------------------------------------------------

    def answer_hello(self, message: Hello) -> Effect:
        """Verifies the dialer's Hello; sends our Hello."""
        self.parts |= {"salt1": message.Salt, "digest1": message.Digest}
        self.check(Digest.HELLO_DIALER, message.Digest)
        self.parts["salt2"] = salt = self.token(ehs.SALT_LENGTH)
        return [Hello(salt, self.digest(Digest.HELLO_ACCEPTOR), self.certificate_digest(Digest.HELLO_CERT))]

    def accept_join(self, message: Join) -> Effect:
        """Verifies a Join; sends Accept if the connection exists (EHS-JOIN-4).

        Upstream sends Accept first and closes then. A dialer that received Accept joins again at once, without end
        (ENP-RED-3); a dialer that was closed without Accept gives up the socket, and with the last socket the connection.
        """
        self.parts |= {"id": message.ConnectionID, "salt": message.Salt}
        self.parts |= {"join_salt": message.Salt, "join_digest": message.Digest}
        self.check(Digest.JOIN, message.Digest)
        proof = Accept(Digest=self.digest(Digest.JOIN_ACCEPT), DigestCert=self.certificate_digest(Digest.JOIN_CERT))
        joined = JoinedSocket(self.role, message.Node, message.ConnectionID, self.tail())
        return [JoinRequest(joined), proof, joined]

    def accept_and_introduce(self, message: Introduce) -> Effect:
        """Verifies the dialer's Introduce; sends Accept with the connection id, and our Introduce."""
        self.check(Digest.INTRODUCE, message.Digest)
        dsns = [self.address] if self.address else None
        accept = Accept(self.token(ehs.CONNECTION_ID_LENGTH), self.local.pool_size, dsns)
        self.peer = self.peer_info(message, accept._replace(PoolDSN=None))
        return [Introduced(self.peer), accept, self.introduction("")]

    def finish(self, message: Accept) -> Effect:  # noqa: ARG002  the fields are empty and have no meaning
        """The dialer's Accept arrived; the handshake is complete."""
        assert self.peer is not None
        return [replace(self.peer, tail=self.tail())]

    # --- the peer -----------------------------------------------------------------------------------------------------

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        """Returns the facts of the peer, with numbers limited to a safe range. HandshakeError if it has our name."""
        if introduce.Node == self.local.name:
            raise HandshakeError(f"the peer has our own name, {introduce.Node}")
        return PeerInfo(
            role=self.role,
            local=self.local,
            node=introduce.Node,
            version=introduce.Version,
            flags=Flags(int.from_bytes(ehs.NETWORK_FLAGS.payload.canonical(introduce.Flags))),
            raw_flags=introduce.Flags,
            creation=introduce.Creation,
            max_message_size=max(introduce.MaxMessageSize, 0),
            caches=replace(announced_caches(introduce), atom_mapping=self.local.caches.atom_mapping),
            connection_id=pool.ID,
            pool_size=min(max(pool.PoolSize, 1), ehs.MAX_POOL_SIZE),
            pool_dsns=tuple(pool.PoolDSN or ())[: ehs.MAX_POOL_SIZE],
        )


def announced_caches(introduce: Introduce) -> Caches:
    """Returns the ids that a peer announced, without type and error ids that EDF would read as lengths.

    Atom ids below 256 remain: in EDF they are lengths, but frames carry ids without a length (EHS-CACHE-5).
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
