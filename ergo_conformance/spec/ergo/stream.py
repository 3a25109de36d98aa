"""Whole connections: the handshake at the start of each socket and the frames behind it, in both directions.

The frames of a side are read with the caches of its Introduce, on that socket and on every socket that joined it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ...errors import Rejected
from ...model.ergo import ehs, enp
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Accept, Introduce, Join, Role
from ...model.registry import Registry
from ...model.values import Error
from ..parse import Parsed
from . import enp as frames
from .edf import EdfContext
from .ehs import read_frame


@dataclass(frozen=True, slots=True)
class HandshakeFrames:
    """The handshake frames of one direction, and the offset of the next protocol (or of the first bad frame)."""

    frames: tuple[Parsed, ...]
    starts: tuple[int, ...]
    end: int
    refusal: Rejected | None


def read_handshake(data: bytes) -> HandshakeFrames:
    """Reads handshake frames up to the first byte of another protocol, or up to a refused frame, which is reported."""
    found: list[Parsed] = []
    starts: list[int] = []
    offset = 0
    while offset < len(data) and (data[offset] == ehs.MAGIC or not found):
        parsed = read_frame(data, offset=offset, prefix=True)
        if isinstance(parsed, Rejected):
            return HandshakeFrames(tuple(found), tuple(starts), offset, parsed)
        found.append(parsed)
        starts.append(offset)
        offset = parsed.end
    return HandshakeFrames(tuple(found), tuple(starts), offset, None)


# --- frames -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """One frame: its offsets, the context it was written with, its value, and for a compressed one the frame inside."""

    start: int
    end: int
    context: EdfContext
    value: Any
    inner: "ReadFrame | None" = None
    inner_bytes: bytes = b""


@dataclass(slots=True)
class Direction:
    """The bytes that one side wrote on one socket, as frames."""

    handshake: HandshakeFrames
    frames: list[ReadFrame] = field(default_factory=list)
    refusal: Rejected | None = None
    """The refusal that ended the reading, in the handshake or behind it; None if all bytes were read."""

    @property
    def messages(self) -> list[Any]:
        """The handshake messages."""
        return [parsed.value for parsed in self.handshake.frames]


def read_one(data: bytes, offset: int, context: EdfContext) -> ReadFrame | Rejected:
    """Reads the frame at an offset, and the frame inside if it is compressed."""
    parsed = frames.read_frame(data, context, offset=offset, prefix=True)
    if isinstance(parsed, Rejected):
        return parsed
    if not isinstance(parsed.value, enp.Compressed):
        return ReadFrame(offset, parsed.end, context, parsed.value)
    unpacked = frames.unpack(parsed.value)
    if isinstance(unpacked, Rejected):
        return Rejected(unpacked.reason, unpacked.path, offset + unpacked.offset, unpacked.detail)
    inner = frames.read_inner(unpacked, context)
    if isinstance(inner, Rejected):
        return Rejected(inner.reason, f"stream.{inner.path}", offset, f"{inner.detail}, offset {inner.offset} unpacked")
    within = ReadFrame(0, len(unpacked), context, inner.value)
    return ReadFrame(offset, parsed.end, context, parsed.value, within, unpacked)


def caches_of(introduce: Introduce) -> Caches:
    """Returns the three tables of an Introduce."""
    errors = introduce.ErrCache or {}
    return Caches(
        atoms=introduce.AtomCache or {},
        types=introduce.RegCache or {},
        errors={id_: error.text for id_, error in errors.items() if isinstance(error, Error)},
    )


def updated(caches: Caches, update: enp.UpdateCache) -> Caches:
    """Returns the tables after an UpdateCache: existing ids keep their meaning (ENP-CACHE-1)."""
    errors = {id_: error.text for id_, error in (update.ErrCache or {}).items() if error is not None}
    return replace(
        caches,
        atoms={**(update.AtomCache or {}), **caches.atoms},
        types={**(update.RegCache or {}), **caches.types},
        errors={**errors, **caches.errors},
    )


class ConnectionReader:
    """Reads the sockets of connections one by one, in the order in which they were opened."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Role, Caches]] = {}
        """The tables of both sides, by connection id."""

    def read(
        self,
        from_dialer: bytes,
        from_acceptor: bytes,
        registries: Mapping[Role, Registry],
        fallback: Mapping[Role, Caches] = MappingProxyType({}),
    ) -> dict[Role, Direction]:
        """Reads one socket: the bytes of its dialer and of its acceptor, with the types that each of them knows.

        `fallback`: caches of sides whose Introduce was not recorded.
        """
        data = {Role.DIALER: from_dialer, Role.ACCEPTOR: from_acceptor}
        found = {role: Direction(self._handshake(data[role])) for role in Role}
        caches = self._caches(found, fallback)
        for role, direction in found.items():
            direction.refusal = direction.handshake.refusal
            if direction.refusal is None:
                self._frames(direction, data[role], registries[role], caches, role)
        return found

    @staticmethod
    def _handshake(data: bytes) -> HandshakeFrames:
        if data[:1] == bytes([enp.MAGIC]):  # recorded from the middle on
            return HandshakeFrames((), (), 0, None)
        return read_handshake(data)

    def _caches(self, found: dict[Role, Direction], fallback: Mapping[Role, Caches]) -> dict[Role, Caches]:
        from_dialer, from_acceptor = found[Role.DIALER].messages, found[Role.ACCEPTOR].messages
        caches = {role: fallback.get(role, NO_CACHES) for role in Role}
        if from_dialer and isinstance(from_dialer[0], Join):
            return self._known.get(from_dialer[0].ConnectionID, caches)
        for role, messages in ((Role.DIALER, from_dialer), (Role.ACCEPTOR, from_acceptor)):
            for message in messages:
                if isinstance(message, Introduce):
                    caches[role] = caches_of(message)
        for message in from_acceptor:
            if isinstance(message, Accept) and message.ID:
                self._known[message.ID] = caches
        return caches

    @staticmethod
    def _frames(direction: Direction, data: bytes, registry: Registry, caches: dict[Role, Caches], role: Role) -> None:
        context = EdfContext(registry, caches[role])
        offset = direction.handshake.end
        while offset < len(data):
            read = read_one(data, offset, context)
            if isinstance(read, Rejected):
                direction.refusal = read
                return
            direction.frames.append(read)
            offset = read.end
            if isinstance(read.value, enp.Control) and isinstance(read.value.message, enp.UpdateCache):
                caches[role] = updated(caches[role], read.value.message)
                context = EdfContext(registry, caches[role])
