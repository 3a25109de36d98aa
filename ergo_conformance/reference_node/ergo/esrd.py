"""ESRD R1, sans-io: packets, the server's table of names, and the server's side of one registration connection.

Upstream decodes beyond the received bytes (ESRD-BUG-1, -2), reads only once (ESRD-BUG-5) and does not always release a name
(ESRD-BUG-7); this implementation does not. A `length` smaller than the value is refused: the value must end there.
"""

from collections.abc import Sequence
from enum import Enum, auto
from struct import Struct
from typing import Final, cast

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo import error_values, esrd
from ...model.ergo.ehs import VERSION_ROW
from ...model.ergo.esrd import Message, PacketType, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.registry import Registry
from ...model.values import Atom
from .edf import Decoder, Encoder

_TYPES: Final = Registry([*esrd.MESSAGES, esrd.ROUTE, VERSION_ROW])
_ENCODER: Final = Encoder(_TYPES)
_HEADER: Final = Struct(">BBH")


def write(message: Message) -> bytes:
    """Returns a message as a packet. Raises CannotEncode."""
    payload = _ENCODER.encode(message)
    if len(payload) > esrd.MAX_PAYLOAD:
        raise CannotEncode(f"message of {len(payload)} bytes, maximum {esrd.MAX_PAYLOAD}")
    return _HEADER.pack(esrd.VERSION, esrd.TYPES[type(message)], len(payload)) + payload


def read(data: bytes) -> Message:
    """Reads exactly one packet. Raises Rejected, also for trailing bytes."""
    size = check_header(data)
    if size is None or len(data) < size:
        at = esrd.HEADER_LENGTH if size else min(len(data), 2)  # header or payload is incomplete
        raise Rejected(Reason.END_OF_DATA, "", at, "incomplete packet")
    try:
        value, end = Decoder(_TYPES, generated_lines=0).decode_prefix(data[:size], esrd.HEADER_LENGTH)
    except Rejected as refusal:
        path = f"message.{refusal.path}".rstrip(".")
        raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None
    if type(value) is not esrd.CLASSES[PacketType(data[1])]:
        raise Rejected(Reason.UNEXPECTED, "message", esrd.HEADER_LENGTH, f"{type(value).__name__} in type {data[1]}")
    if end != len(data):
        raise Rejected(Reason.LEFTOVER, "", end, f"{len(data) - end} bytes")
    return cast("Message", value)


def check_header(data: bytes) -> int | None:
    """Returns the size of the packet that begins here; None if the header is incomplete. Raises Rejected."""
    if data and data[0] != esrd.VERSION:
        raise Rejected(Reason.MAGIC, "version", 0, f"{data[0]}, expected {esrd.VERSION}")
    if len(data) > 1 and data[1] not in esrd.CLASSES:
        raise Rejected(Reason.UNKNOWN_FRAME, "type", 1, f"{data[1]}")
    if len(data) < esrd.HEADER_LENGTH:
        return None
    return esrd.HEADER_LENGTH + int(_HEADER.unpack_from(data)[2])


class EsrdNameTable:
    """The server's table of registered nodes: name → routes."""

    def __init__(self) -> None:
        self._routes: dict[Atom, list[Route]] = {}

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        """Registers a name, or returns an error. A taken name is reported before missing routes (ESRD-REG-3)."""
        if name in self._routes:
            return RegisterReply(error_values.TAKEN._replace(registered=False))
        if not routes:
            return RegisterReply(error_values.INCORRECT._replace(registered=False))
        self._routes[name] = list(routes)
        return RegisterReply(None)

    def unregister(self, name: Atom) -> None:
        """Releases a name."""
        self._routes.pop(name, None)

    def resolve(self, name: Atom) -> ResolveReply:
        """Returns the routes of a node, or an error."""
        routes = self._routes.get(name)
        if routes is None:
            return ResolveReply(None, error_values.UNKNOWN._replace(registered=False))
        return ResolveReply(routes, None)

    def answer(self, datagram: bytes) -> bytes | None:
        """Returns the reply to a resolve request; None (no reply) for any other datagram (ESRD-RES-2).

        Only the first MAX_RESOLVE bytes are read, as upstream does (ESRD-RES-3).
        """
        try:
            size = check_header(datagram)
            message = read(datagram[: esrd.MAX_RESOLVE][:size])
        except Rejected:
            return None
        return write(self.resolve(message.Node)) if isinstance(message, ResolveRoutes) else None

    def __contains__(self, name: Atom) -> bool:
        return name in self._routes


class EsrdSessionState(Enum):
    """State of a registration connection."""

    WAITING = auto()
    REGISTERED = auto()
    CLOSED = auto()


class EsrdServerSession:
    """The server's side of one registration connection. Returns bytes to send; `state` tells when to close."""

    def __init__(self, table: EsrdNameTable) -> None:
        self.table = table
        self.state = EsrdSessionState.WAITING
        self.name: Atom | None = None
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """Processes received bytes and returns the answer. The caller closes the connection once `state` is CLOSED.

        A request that arrives in several chunks is joined; upstream closes (ESRD-FR-3).
        """
        if self.state is not EsrdSessionState.WAITING:
            return b""  # a registered connection carries no further messages (ESRD-REG-7)
        self._buffer += data
        try:
            size = check_header(self._buffer)
            if size is not None and size > esrd.MAX_REGISTER:
                raise Rejected(Reason.LENGTH, "length", 2, f"packet of {size} bytes, maximum {esrd.MAX_REGISTER}")
            if size is None or len(self._buffer) < size:
                return b""
            message = read(self._buffer[:size])
        except Rejected:
            message = None
        self._buffer = b""  # one request per connection: trailing bytes are ignored (ESRD-REG-8)
        if not isinstance(message, RegisterRoutes):
            self.state = EsrdSessionState.CLOSED  # without a reply (ESRD-REG-11)
            return b""
        return self._register(message)

    def _register(self, message: RegisterRoutes) -> bytes:
        reply = self.table.register(message.Node, message.Routes)
        self.state = EsrdSessionState.REGISTERED if reply.Error is None else EsrdSessionState.CLOSED
        if reply.Error is None:
            self.name = message.Node
        return write(reply)

    def end(self) -> None:
        """The connection is closed: releases the name at once (ESRD-REG-6)."""
        if self.name is not None:
            self.table.unregister(self.name)
            self.name = None
        self.state = EsrdSessionState.CLOSED
