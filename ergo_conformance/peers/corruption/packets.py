"""Corrupt packets of the registrars, computed from the schemas."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from ...errors import Rejected
from ...model.ergo import edf, esrd, saturn
from ...model.ergo.ehs import VERSION_ROW
from ...model.ergo.esrd import PacketType
from ...spec.ergo import esrd as esrd_schema
from ...spec.ergo import saturn as saturn_schema
from ...spec.parse import Parsed, Span

LENGTH: Final = slice(2, 4)
HEADER: Final = esrd.HEADER_LENGTH
"""Bytes of the header; a packet of either registrar is two bytes, the length of its value, and the value."""
OTHER_MAGIC: Final = (0, esrd.VERSION, saturn.MAGIC - 1, saturn.MAGIC + 1)
"""Wrong first bytes; one of them begins a packet of the embedded registrar, which has the same port."""
OTHER_TYPES: Final = (0, min(PacketType) - 1, max(PacketType) + 1, max(PacketType) + 3, 0xFF)
"""Wrong packet types; two of them are types of later releases: 48 and 50."""
TEXTS: Final = frozenset({edf.Tag.ATOM, edf.Tag.STRING, edf.Tag.ERROR})
CONTAINERS: Final = frozenset({edf.Tag.SLICE, edf.Tag.MAP})


class CorruptPacket(NamedTuple):
    """The bytes of a corrupt packet; `kind` and `label` name the defect, `path` the corrupt part of the value."""

    kind: str
    label: str
    data: bytes
    description: str
    path: str = ""


def with_length(data: bytes, length: int | None = None) -> bytes:
    """A packet with this length in its header, by default the number of the bytes behind it."""
    right = len(data) - HEADER
    return data[: LENGTH.start] + (right if length is None else length).to_bytes(2, "big") + data[LENGTH.stop :]


def value_of(data: bytes) -> bytes:
    """The value in a packet."""
    return data[HEADER:]


def with_value(data: bytes, value: bytes) -> bytes:
    """The packet with another value and the length corrected."""
    return with_length(data[:HEADER] + value)


class PacketSchema(NamedTuple):
    """Schema of one registrar: reader, writer, and corruptions of a header."""

    read: Callable[[bytes], Parsed | Rejected]
    write: Callable[[Any], bytes]
    headers: Callable[[bytes], Iterator[CorruptPacket]]


def corrupt_packets(message: Any, schema: "PacketSchema | None" = None) -> list[CorruptPacket]:
    """Returns all corruptions of the packet of a message. The schema rejects each of them."""
    schema = schema or ESRD
    data = schema.write(message)
    parsed = schema.read(data)
    assert isinstance(parsed, Parsed)
    spans = list(parsed.spans)
    leaves = _leaves(spans)
    made = [*schema.headers(data), *_lengths_stated(data)]
    made += [*_values(data), *_fields(data, leaves), *_lengths(data, leaves), *_containers(data, spans)]
    return [each for each in made if isinstance(schema.read(each.data), Rejected)]


def _esrd_headers(data: bytes) -> Iterator[CorruptPacket]:
    """Yields packets with wrong versions and types."""
    for version in (0, 2):
        yield CorruptPacket("version", f"version_{version}", bytes([version]) + data[1:], f"version {version}")
    for type_ in OTHER_TYPES:
        yield CorruptPacket(
            "type", f"type_{type_}", data[:1] + bytes([type_]) + data[2:], f"an unknown packet type: {type_}"
        )


def _saturn_headers(data: bytes) -> Iterator[CorruptPacket]:
    """Yields packets with wrong first bytes, wrong versions, and lengths that end the value early."""
    for magic in OTHER_MAGIC:
        yield CorruptPacket("magic", f"magic_{magic}", bytes([magic]) + data[1:], f"{magic} as its first byte")
    for version in (0, 2):
        yield CorruptPacket(
            "version", f"version_{version}", data[:1] + bytes([version]) + data[2:], f"version {version}"
        )
    n = len(value_of(data))
    yield CorruptPacket("length", "length_minus_1", with_length(data, n - 1), "a length one too small")
    yield CorruptPacket("length", "length_0", with_length(data, 0), "length 0 before a value")


def _lengths_stated(data: bytes) -> Iterator[CorruptPacket]:
    """Yields packets with lengths beyond the end, and incomplete headers."""
    n = len(value_of(data))
    yield CorruptPacket("length", "length_plus_1", with_length(data, n + 1), "a length one beyond the end")
    yield CorruptPacket("length", "length_65535", with_length(data, 0xFFFF), "the greatest possible length")
    for size in range(1, HEADER):
        yield CorruptPacket("header", f"header_of_{size}", data[:size], f"{size} bytes of a header")
    yield CorruptPacket("header", "header_alone", with_length(data[:HEADER], 0), "no value")


def _values(data: bytes) -> Iterator[CorruptPacket]:
    """Yields packets with other values and with invalid ones."""
    value = value_of(data)
    name_end = 3 + int.from_bytes(value[1:3], "big")
    fields = value[name_end:]
    yield CorruptPacket("nil", "nil", with_value(data, bytes([edf.Tag.NIL])), "nil as its value")
    yield CorruptPacket("text", "text", with_value(data, bytes.fromhex("8d00026869")), "a text as its value")
    yield CorruptPacket("no_tag", "no_tag", with_value(data, b"\x01" + value[1:]), "a value with an unknown tag")
    yield CorruptPacket(
        "type_id",
        "type_id",
        with_value(data, value[:1] + edf.FIRST_TYPE_ID.to_bytes(2, "big") + fields),
        "a type by its cache id",
    )
    yield CorruptPacket(
        "type_unknown", "type_unknown", with_value(data, value.replace(b"/Message", b"/Massage")), "an unknown type"
    )
    version = VERSION_ROW.name.encode()
    other = value[:1] + len(version).to_bytes(2, "big") + version + bytes(8)
    yield CorruptPacket("type_other", "type_other", with_value(data, other), "a registered type that is not a message")
    yield CorruptPacket(
        "surplus", "surplus", with_value(data, value + b"\0"), "a byte behind its value, within the length"
    )


def _fields(data: bytes, leaves: list[Span]) -> Iterator[CorruptPacket]:
    """Yields packets cut before each field and one byte before its end, with the length corrected."""
    for span in leaves:
        label = _label(span)
        yield CorruptPacket(
            f"cut_{label}",
            f"before_{label}",
            with_length(data[: span.start]),
            f"ended before {span.path}",
            span.path,
        )
        if span.end - 1 > span.start:
            yield CorruptPacket(
                f"cut_{label}",
                f"within_{label}",
                with_length(data[: span.end - 1]),
                f"ended one byte early in {span.path}",
                span.path,
            )


def _lengths(data: bytes, leaves: list[Span]) -> Iterator[CorruptPacket]:
    """Yields packets with a wrong length of a text, or an id in its place."""
    for span in leaves:
        label, at = _label(span), span.start + (data[span.start] in TEXTS)
        stated = int.from_bytes(data[at : at + 2], "big")
        if span.end - at != 2 + stated:
            continue
        for word, length in (
            ("plus_1", stated + 1),
            ("minus_1", stated - 1),
            ("id", edf.FIRST_ATOM_ID),
            ("65534", 65534),
        ):
            if length >= 0:
                put = data[:at] + length.to_bytes(2, "big") + data[at + 2 :]
                what = f"{length} as the length of {span.path}"
                yield CorruptPacket(f"length_of_{label}", f"{label}_length_{word}", put, what, span.path)


def _containers(data: bytes, spans: list[Span]) -> Iterator[CorruptPacket]:
    """Yields packets with a wrong tag or a wrong count of a slice or map."""
    known = {*spans}
    for span in spans:
        label, at = _label(span), span.start
        # a container that is not nil has a span without its tag, too
        is_container = data[at] in CONTAINERS and span._replace(start=at + 1) in known
        count = int.from_bytes(data[at + 1 : at + 5], "big") if is_container else 0
        for wrong in dict.fromkeys((count + 1, max(count - 1, 0), 0xFFFFFFFF)) if is_container else ():
            put = data[: at + 1] + wrong.to_bytes(4, "big") + data[at + 5 :]
            what = f"{wrong} as the count of {span.path}"
            yield CorruptPacket(f"count_of_{label}", f"{label}_count_{wrong}", put, what, span.path)
        if is_container or data[at : span.end] == bytes([edf.Tag.NIL]):
            what = f"a wrong tag of {span.path}"
            yield CorruptPacket(f"tag_of_{label}", f"{label}_tag", data[:at] + b"\0" + data[at + 1 :], what, span.path)


def _leaves(spans: list[Span]) -> list[Span]:
    """Returns the leaf parts of the value, in order."""
    value = {span.path: span for span in spans if span.path.startswith("message.")}
    holders = {path.rpartition(mark)[0] for path in value for mark in ".["}
    return [span for path, span in value.items() if path not in holders]


def _label(span: Span) -> str:
    return span.path.removeprefix("message.").replace("[", "_").replace("]", "").replace(".", "_").lower()


ESRD: Final = PacketSchema(esrd_schema.read_packet, esrd_schema.write_packet, _esrd_headers)
SATURN: Final = PacketSchema(saturn_schema.read_packet, saturn_schema.write_packet, _saturn_headers)
