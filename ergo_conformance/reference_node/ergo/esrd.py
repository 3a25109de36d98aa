"""ESRD R1, sans-io: packets, the server's table, and one registration link as the server sees it.

Where upstream decodes beyond the bytes it has got (ESRD-BUG-1, -2), reads once and never again (ESRD-BUG-5) or forgets to
take a name back (ESRD-BUG-7), this is done right.  A `length` smaller than the value is refused: the value ends where the
length says.
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
    """A message as a packet. Raises CannotEncode."""
    payload = _ENCODER.encode(message)
    if len(payload) > 0xFFFF:  # noqa: PLR2004  what the length can say
        raise CannotEncode(f"a message of {len(payload)} bytes")
    return _HEADER.pack(esrd.VERSION, esrd.TYPES[type(message)], len(payload)) + payload


def read(data: bytes) -> Message:
    """The one packet that these bytes are. Raises Rejected."""
    size = check_header(data)
    if size is None or len(data) < size:
        at = esrd.HEADER_LENGTH if size else min(len(data), 2)  # the length is missing, or what it announces
        raise Rejected(Reason.END_OF_DATA, "", at, "the packet is not whole")
    try:
        value, end = Decoder(_TYPES).decode_prefix(data[:size], esrd.HEADER_LENGTH)
    except Rejected as refusal:
        path = f"message.{refusal.path}".rstrip(".")
        raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None
    if type(value) is not esrd.CLASSES[PacketType(data[1])]:
        raise Rejected(Reason.UNEXPECTED, "message", esrd.HEADER_LENGTH, f"{type(value).__name__} in type {data[1]}")
    if end != len(data):
        raise Rejected(Reason.LEFTOVER, "", end, f"{len(data) - end} bytes")
    return cast("Message", value)


def check_header(data: bytes) -> int | None:
    """Bytes of the packet that begins here; None until that is known. Raises Rejected for what can't become one."""
    if data and data[0] != esrd.VERSION:
        raise Rejected(Reason.MAGIC, "version", 0, f"{data[0]} where {esrd.VERSION} belongs")
    if len(data) > 1 and data[1] not in esrd.CLASSES:
        raise Rejected(Reason.UNKNOWN_FRAME, "type", 1, f"{data[1]}")
    if len(data) < esrd.HEADER_LENGTH:
        return None
    return esrd.HEADER_LENGTH + int(_HEADER.unpack_from(data)[2])


class Table:
    """The nodes that are registered, by name."""

    def __init__(self) -> None:
        self._routes: dict[Atom, list[Route]] = {}

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        """Takes a name; an error says why not. Whether it is taken comes first (ESRD-REG-3)."""
        if name in self._routes:
            return RegisterReply(error_values.TAKEN._replace(registered=False))
        if not routes:
            return RegisterReply(error_values.INCORRECT._replace(registered=False))
        self._routes[name] = list(routes)
        return RegisterReply(None)

    def unregister(self, name: Atom) -> None:
        """Gives a name back."""
        self._routes.pop(name, None)

    def resolve(self, name: Atom) -> ResolveReply:
        """Where a node is."""
        routes = self._routes.get(name)
        if routes is None:
            return ResolveReply(None, error_values.UNKNOWN._replace(registered=False))
        return ResolveReply(routes, None)

    def answer(self, datagram: bytes) -> bytes | None:
        """The reply to a resolve request; None for anything else: silence (ESRD-RES-2).

        Of a longer datagram only the first bytes count, as the upstream node reads no more (ESRD-RES-3).
        """
        try:
            size = check_header(datagram)
            message = read(datagram[: esrd.MAX_RESOLVE][:size])
        except Rejected:
            return None
        return write(self.resolve(message.Node)) if isinstance(message, ResolveRoutes) else None

    def __contains__(self, name: Atom) -> bool:
        return name in self._routes


class LinkState(Enum):
    """Of a registration link."""

    WAITING = auto()
    REGISTERED = auto()
    CLOSED = auto()


class Registration:
    """One registration link. It gives bytes to send, and says whether the link stays."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.state = LinkState.WAITING
        self.name: Atom | None = None
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """Bytes of the client, and the answer to them. The link is to be closed once `state` is CLOSED.

        A request that comes in pieces is put together; upstream closes (ESRD-FR-3).
        """
        if self.state is not LinkState.WAITING:
            return b""  # nothing is said on a link that is registered (ESRD-REG-7)
        self._buffer += data
        try:
            size = check_header(self._buffer)
            if size is not None and size > esrd.MAX_REGISTER:
                raise Rejected(Reason.LENGTH, "length", 2, f"a packet of {size} bytes")
            if size is None or len(self._buffer) < size:
                return b""
            message = read(self._buffer[:size])
        except Rejected:
            message = None
        self._buffer = b""  # one request a link: what is behind it means nothing (ESRD-REG-8)
        if not isinstance(message, RegisterRoutes):
            self.state = LinkState.CLOSED  # without a reply (ESRD-REG-11)
            return b""
        return self._register(message)

    def _register(self, message: RegisterRoutes) -> bytes:
        reply = self.table.register(message.Node, message.Routes)
        self.state = LinkState.REGISTERED if reply.Error is None else LinkState.CLOSED
        if reply.Error is None:
            self.name = message.Node
        return write(reply)

    def end(self) -> None:
        """The link is gone: so is the lease, at once (ESRD-REG-6)."""
        if self.name is not None:
            self.table.unregister(self.name)
            self.name = None
        self.state = LinkState.CLOSED
