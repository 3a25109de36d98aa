"""Sessions of the handshake without I/O, and the bytes they exchange."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Introduce, Role
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.handshake import LocalIdentity
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.reference_node.ergo.ehs import MESSAGE_TYPES, EhsSession

FINGERPRINT = bytes(range(20))
A = LocalIdentity(name=Atom("a@localhost"), cookie="s3cret", creation=1, version=ehs.Version("app", "1"))
B = replace(A, name=Atom("b@localhost"), creation=2, max_message_size=5000, pool_size=5)
EMPTY = Introduce(A.name, A.version, bytes(8), 1, 0, None, None, None, "")


def tokens() -> Any:
    """Returns a function of a length that makes different hexadecimal texts."""
    numbers = count(1)
    return lambda length: f"{next(numbers):0{length}x}"


def dialer(local: LocalIdentity = A, cls: type[EhsSession] = EhsSession, **more: Any) -> EhsSession:
    return cls(Role.DIALER, local, tokens(), **more)


def acceptor(local: LocalIdentity = B, cls: type[EhsSession] = EhsSession, **more: Any) -> EhsSession:
    return cls(Role.ACCEPTOR, local, tokens(), **more)


def feed(side: EhsSession, data: bytes, size: int) -> tuple[bytes, list[Any]]:
    """Feeds the bytes in chunks of this size; returns what the side sends and its events."""
    sent, events = b"", []
    for at in range(0, len(data), size):
        for output in side.receive(data[at : at + size]):
            if isinstance(output, bytes):
                sent += output
            else:
                events.append(output)
    return sent, events


def messages(data: bytes) -> Iterator[Any]:
    """Returns the handshake messages at the start of a stream."""
    while data[:2] == bytes([ehs.MAGIC, ehs.VERSION]):
        end = 6 + int.from_bytes(data[2:6], "big")
        yield Decoder(MESSAGE_TYPES).decode(data[6:end])
        data = data[end:]
