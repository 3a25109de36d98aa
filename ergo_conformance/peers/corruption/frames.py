"""Frames spoiled on purpose. What can go wrong with a frame is computed from its schema; no list is kept by hand."""

from typing import Any, Final, NamedTuple

from ...errors import Rejected
from ...model.ergo import enp, error_values
from ...model.ergo.enp import FrameType, Verb
from ...model.values import Atom, Error
from ...spec.ergo.enp import read_frame
from ...spec.ergo.stream import read_one
from ...spec.parse import Parsed
from ..ergo.connection import ORDER, PROCESS, Peer

NOBODY: Final = 999_999_999
"""Number of a process that no target has."""
NO_ALIAS: Final = (999_999_999, 0, 0)
NO_NAME: Final = Atom("nobody")

LENGTH: Final = slice(2, 6)
ORDER_AT: Final = 6
TYPE_AT: Final = 7


class Spoiled(NamedTuple):
    """The bytes of a frame, and what is wrong with them."""

    what: str
    data: bytes


def harmless(type_: FrameType, peer: Peer) -> enp.Frame:
    """A good frame of this type that changes nothing at the target: about a name, process or call that does not exist."""
    values: dict[str, Any] = {
        "order": ORDER,
        "from_id": PROCESS,
        "priority": enp.Priority.NORMAL,
        "mid": 0,
        "to_id": NOBODY,
        "to_name": NO_NAME,
        "to_alias": NO_ALIAS,
        "payload": "harmless",
        "timestamp": 1_700_000_000_000_000_000,
        "name": NO_NAME,
        "reason": error_values.SHUTDOWN,
        "ref": peer.new_ref(),
        "code": enp.Code.OTHER,
        "error": Error("harmless"),
        "id": NOBODY,
        "alias": NO_ALIAS,
    }
    if type_ is FrameType.CONTROL:
        return enp.Control(ORDER, relation(peer, Verb.MONITOR, "PID"))
    if type_ is FrameType.COMPRESSED:
        data = peer.data_of(harmless(FrameType.MESSAGE_NAME, peer))
        return _packed(peer, data)
    cls = enp.CLASSES[type_]
    frame: enp.Frame = cls(*(values[field] for field in cls._fields))
    return frame


def _packed(peer: Peer, data: bytes) -> enp.Compressed:
    parsed = read_frame(peer.compress(data), peer.context)
    assert isinstance(parsed, Parsed)
    packed: enp.Compressed = parsed.value
    return packed


def relation(peer: Peer, verb: Verb, word: str, target: Any = None) -> Any:
    """A request of our process, about a target that does not exist unless one is given."""
    if target is None:
        id_ = NO_ALIAS if word == "Alias" else NOBODY
        values = {"node": peer.target, "id": id_, "creation": peer.introduce.Creation, "name": NO_NAME}
        kind: Any = enp.TARGETS[word][0]
        target = kind(*(values[field] for field in kind._fields))
    cls: Any = enp.RELATIONS[verb, word].value_class
    return cls(peer.pid(), target, peer.control_ref())


# --- spoiling ---------------------------------------------------------------------------------------------------------


def with_length(data: bytes, length: int | None = None) -> bytes:
    """A frame whose header states this length, by default the right one."""
    return data[: LENGTH.start] + (len(data) if length is None else length).to_bytes(4, "big") + data[LENGTH.stop :]


def header(type_: int, length: int = enp.HEADER_LENGTH, order: int = ORDER) -> bytes:
    """Eight bytes that announce a frame."""
    return bytes([enp.MAGIC, enp.VERSION]) + length.to_bytes(4, "big") + bytes([order, type_])


def fields_of(frame: enp.Frame, peer: Peer) -> dict[str, int]:
    """Where each field behind the header begins."""
    parsed = read_frame(peer.data_of(frame), peer.context)
    assert isinstance(parsed, Parsed)
    prefix = f"{enp.TYPES[type(frame)].name}."
    starts: dict[str, int] = {}
    for path, start, _ in parsed.spans:
        field = path.removeprefix(prefix)
        if path != field and field.isidentifier():
            starts[field] = min(start, starts.get(field, start))
    return starts


def cuts(frame: enp.Frame, peer: Peer) -> list[Spoiled]:
    """The frame ended before each of its fields and before the last byte of each, its length made right.

    All are refused by the schema.
    """
    data = peer.data_of(frame)
    name = type(frame).__name__
    starts = fields_of(frame, peer)
    ends = [*list(starts.values())[1:], len(data)]
    spoiled = []
    for (field, start), end in zip(starts.items(), ends, strict=True):
        spoiled.append(Spoiled(f"{name}, ended before its {field}", with_length(data[:start])))
        if end - 1 > start:
            spoiled.append(Spoiled(f"{name}, ended one byte early in its {field}", with_length(data[: end - 1])))
    return [cut for cut in spoiled if isinstance(read_one(cut.data, 0, peer.context), Rejected)]


def with_payload(frame: enp.Frame, peer: Peer, payload: bytes) -> bytes:
    """The frame with other bytes in place of its last field."""
    *_, start = fields_of(frame, peer).values()
    return with_length(peer.data_of(frame)[:start] + payload)
