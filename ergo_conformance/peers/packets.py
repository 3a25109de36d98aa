"""Packets of the registrar spoiled on purpose. What can go wrong with one is computed from its schema, not listed by hand."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from ..errors import Rejected
from ..model import edf, esrd
from ..model.ehs import VERSION_ROW
from ..model.esrd import Message, PacketType
from ..spec.esrd import read_packet, write_packet
from ..spec.parse import Parsed, Span

LENGTH: Final = slice(2, 4)
OTHER_TYPES: Final = (0, min(PacketType) - 1, max(PacketType) + 1, max(PacketType) + 3, 0xFF)
"""Two of them are those that later releases have: 48 and 50."""


class Spoiled(NamedTuple):
    """The bytes of a packet, what kind of thing is wrong with them, and which one of that kind."""

    kind: str
    label: str
    data: bytes
    what: str


def with_length(data: bytes, length: int | None = None) -> bytes:
    """A packet whose header states this length, by default the right one."""
    right = len(data) - esrd.HEADER_LENGTH
    return data[: LENGTH.start] + (right if length is None else length).to_bytes(2, "big") + data[LENGTH.stop :]


def value_of(data: bytes) -> bytes:
    """The value in a packet."""
    return data[esrd.HEADER_LENGTH :]


def holding(data: bytes, value: bytes) -> bytes:
    """The packet with another value in it, its length made right."""
    return with_length(data[: esrd.HEADER_LENGTH] + value)


def spoiled(message: Message) -> list[Spoiled]:
    """Everything that can be wrong with the packet of a message. All of it is refused by the schema."""
    data = write_packet(message)
    parsed = read_packet(data)
    assert isinstance(parsed, Parsed)
    leaves = _leaves(list(parsed.spans))
    made = [*_headers(data), *_values(data), *_fields(data, leaves), *_lengths(data, leaves), *_slices(data, parsed)]
    return [each for each in made if isinstance(read_packet(each.data), Rejected)]


def _headers(data: bytes) -> Iterator[Spoiled]:
    """The header wrong."""
    n = len(value_of(data))
    for version in (0, 2):
        yield Spoiled("version", f"version_{version}", bytes([version]) + data[1:], f"version {version}")
    for type_ in OTHER_TYPES:
        yield Spoiled("type", f"type_{type_}", data[:1] + bytes([type_]) + data[2:], f"a type there is not: {type_}")
    yield Spoiled("length", "length_plus_1", with_length(data, n + 1), "a length one beyond the end")
    yield Spoiled("length", "length_65535", with_length(data, 0xFFFF), "the longest length there is")
    for size in range(1, esrd.HEADER_LENGTH):
        yield Spoiled("header", f"header_of_{size}", data[:size], f"{size} bytes of a header")
    yield Spoiled("header", "header_alone", with_length(data[: esrd.HEADER_LENGTH], 0), "no value at all")


def _values(data: bytes) -> Iterator[Spoiled]:
    """Another value, or something that is none."""
    value = value_of(data)
    name_end = 3 + int.from_bytes(value[1:3], "big")
    fields = value[name_end:]
    yield Spoiled("nil", "nil", holding(data, bytes([edf.Tag.NIL])), "nil as its value")
    yield Spoiled("text", "text", holding(data, bytes.fromhex("8d00026869")), "a text as its value")
    yield Spoiled("no_tag", "no_tag", holding(data, b"\x01" + value[1:]), "a value with a tag there is not")
    yield Spoiled(
        "type_id", "type_id", holding(data, value[:1] + edf.FIRST_TYPE_ID.to_bytes(2, "big") + fields), "a type by id"
    )
    yield Spoiled(
        "type_unknown", "type_unknown", holding(data, value.replace(b"/Message", b"/Massage")), "a type nobody knows"
    )
    version = VERSION_ROW.name.encode()
    other = value[:1] + len(version).to_bytes(2, "big") + version + bytes(8)
    yield Spoiled("type_other", "type_other", holding(data, other), "a registered value that is no message")
    yield Spoiled("surplus", "surplus", holding(data, value + b"\0"), "a byte behind its value, within the length")


def _fields(data: bytes, leaves: list[Span]) -> Iterator[Spoiled]:
    """Ended before a field and one byte early in it, the length made right."""
    for span in leaves:
        label = _label(span)
        yield Spoiled(
            f"cut_{label}", f"before_{label}", with_length(data[: span.start]), f"ended before its {span.path}"
        )
        if span.end - 1 > span.start:
            yield Spoiled(
                f"cut_{label}",
                f"within_{label}",
                with_length(data[: span.end - 1]),
                f"ended one byte early in {span.path}",
            )


def _lengths(data: bytes, leaves: list[Span]) -> Iterator[Spoiled]:
    """The length of a text one off, or an id in its place."""
    for span in leaves:
        label, stated = _label(span), int.from_bytes(data[span.start : span.start + 2], "big")
        if span.end - span.start != 2 + stated:
            continue
        for word, length in (
            ("plus_1", stated + 1),
            ("minus_1", stated - 1),
            ("id", edf.FIRST_ATOM_ID),
            ("65534", 65534),
        ):
            if length >= 0:
                put = data[: span.start] + length.to_bytes(2, "big") + data[span.start + 2 :]
                yield Spoiled(
                    f"length_of_{label}", f"{label}_length_{word}", put, f"{length} as the length of {span.path}"
                )


def _slices(data: bytes, parsed: Parsed) -> Iterator[Spoiled]:
    """The tag of a slice wrong, or its count."""
    for span in parsed.spans:
        if data[span.start] != edf.Tag.SLICE or not span.path.endswith("Routes"):
            continue
        label, at = _label(span), span.start
        count = int.from_bytes(data[at + 1 : at + 5], "big")
        for wrong in dict.fromkeys((count + 1, max(count - 1, 0), 0xFFFFFFFF)):
            put = data[: at + 1] + wrong.to_bytes(4, "big") + data[at + 5 :]
            yield Spoiled(f"count_of_{label}", f"{label}_count_{wrong}", put, f"{wrong} as the number of {span.path}")
        yield Spoiled(
            f"tag_of_{label}", f"{label}_tag", data[:at] + b"\0" + data[at + 1 :], f"a tag that {span.path} can't have"
        )


def _leaves(spans: list[Span]) -> list[Span]:
    """The parts of the value that hold no parts, in order."""
    value = {span.path: span for span in spans if span.path.startswith("message.")}
    holders = {path.rpartition(mark)[0] for path in value for mark in ".["}
    return [span for path, span in value.items() if path not in holders]


def _label(span: Span) -> str:
    return span.path.removeprefix("message.").replace("[", "_").replace("]", "").replace(".", "_").lower()
