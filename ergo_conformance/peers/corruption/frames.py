"""Corrupt frames, computed from the schemas, and valid frames that change nothing at the target."""

from typing import Any, Final, NamedTuple

from ...errors import Rejected
from ...model.ergo import enp, error_values
from ...model.ergo.enp import FrameType, Verb
from ...model.values import Atom, Error
from ...spec.ergo.enp import read_frame
from ...spec.ergo.stream import read_one
from ...spec.parse import Parsed
from ..ergo.connection import ORDER, PROCESS, Peer

UNKNOWN_PROCESS: Final = 999_999_999
"""Number of a process that does not exist at any target."""
UNKNOWN_ALIAS: Final = (999_999_999, 0, 0)
UNKNOWN_NAME: Final = Atom("nobody")

LENGTH: Final = slice(2, 6)
ORDER_OFFSET: Final = 6
TYPE_OFFSET: Final = 7


class CorruptFrame(NamedTuple):
    """The bytes of a corrupt frame, and the defect as a text."""

    description: str
    data: bytes


def valid_frame(type_: FrameType, peer: Peer) -> enp.Frame:
    """A valid frame of this type about a name, process or call that does not exist at the target."""
    values: dict[str, Any] = {
        "order": ORDER,
        "from_id": PROCESS,
        "priority": enp.Priority.NORMAL,
        "mid": 0,
        "to_id": UNKNOWN_PROCESS,
        "to_name": UNKNOWN_NAME,
        "to_alias": UNKNOWN_ALIAS,
        "payload": "valid",
        "timestamp": 1_700_000_000_000_000_000,
        "name": UNKNOWN_NAME,
        "reason": error_values.SHUTDOWN,
        "ref": peer.new_ref(),
        "code": enp.Code.OTHER,
        "error": Error("valid"),
        "id": UNKNOWN_PROCESS,
        "alias": UNKNOWN_ALIAS,
    }
    if type_ is FrameType.CONTROL:
        return enp.Control(ORDER, relation_request(peer, Verb.MONITOR, "PID"))
    if type_ is FrameType.COMPRESSED:
        data = peer.data_of(valid_frame(FrameType.MESSAGE_NAME, peer))
        return _compressed(peer, data)
    cls = enp.CLASSES[type_]
    frame: enp.Frame = cls(*(values[field] for field in cls._fields))
    return frame


def _compressed(peer: Peer, data: bytes) -> enp.Compressed:
    parsed = read_frame(peer.compress(data), peer.context)
    assert isinstance(parsed, Parsed)
    compressed: enp.Compressed = parsed.value
    return compressed


def relation_request(peer: Peer, verb: Verb, word: str, target: Any = None) -> Any:
    """A relation request of our process, about a target that does not exist unless one is given."""
    if target is None:
        id_ = UNKNOWN_ALIAS if word == "Alias" else UNKNOWN_PROCESS
        values = {"node": peer.target, "id": id_, "creation": peer.introduce.Creation, "name": UNKNOWN_NAME}
        kind: Any = enp.TARGETS[word][0]
        target = kind(*(values[field] for field in kind._fields))
    cls: Any = enp.RELATIONS[verb, word].value_class
    return cls(peer.pid(), target, peer.control_ref())


# --- corruption ---------------------------------------------------------------------------------------------------------


def with_length(data: bytes, length: int | None = None) -> bytes:
    """A frame with this length in its header, by default the number of its bytes."""
    return data[: LENGTH.start] + (len(data) if length is None else length).to_bytes(4, "big") + data[LENGTH.stop :]


def header(type_: int, length: int = enp.HEADER_LENGTH, order: int = ORDER) -> bytes:
    """The eight bytes of a header."""
    return bytes([enp.MAGIC, enp.VERSION]) + length.to_bytes(4, "big") + bytes([order, type_])


def fields_of(frame: enp.Frame, peer: Peer) -> dict[str, int]:
    """Offset of each field behind the header."""
    parsed = read_frame(peer.data_of(frame), peer.context)
    assert isinstance(parsed, Parsed)
    prefix = f"{enp.TYPES[type(frame)].name}."
    starts: dict[str, int] = {}
    for path, start, _ in parsed.spans:
        field = path.removeprefix(prefix)
        if path != field and field.isidentifier():
            starts[field] = min(start, starts.get(field, start))
    return starts


def truncated_frames(frame: enp.Frame, peer: Peer) -> list[CorruptFrame]:
    """The frame cut before each field and one byte before the end of each, with the length in its header corrected.

    The schema rejects all of them.
    """
    data = peer.data_of(frame)
    name = type(frame).__name__
    starts = fields_of(frame, peer)
    ends = [*list(starts.values())[1:], len(data)]
    found = []
    for (field, start), end in zip(starts.items(), ends, strict=True):
        found.append(CorruptFrame(f"{name}, cut before {field}", with_length(data[:start])))
        if end - 1 > start:
            found.append(CorruptFrame(f"{name}, cut one byte before the end of {field}", with_length(data[: end - 1])))
    return [cut for cut in found if isinstance(read_one(cut.data, 0, peer.context), Rejected)]


def with_payload(frame: enp.Frame, peer: Peer, payload: bytes) -> bytes:
    """The frame with other bytes in place of its last field and the length corrected."""
    *_, start = fields_of(frame, peer).values()
    return with_length(peer.data_of(frame)[:start] + payload)
