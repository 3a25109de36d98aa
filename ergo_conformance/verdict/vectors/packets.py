"""Golden packets of the registrars (`ergo-vectors/1`, protocols ESRD and Saturn) against both readers and both writers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from ...errors import Reason, Rejected
from ...model.compare import same
from ...model.ergo import esrd, saturn
from ...model.json.values import value_from_json
from ...model.registry import Registry
from ...reference_node.ergo import esrd as esrd_node
from ...reference_node.ergo import saturn as saturn_node
from ...spec.ergo import esrd as esrd_schema
from ...spec.ergo import saturn as saturn_schema
from ...spec.parse import Parsed
from .codecs import Reader, Writer, raising, read_differences, refusal_differences, write_differences
from .difference import Difference, first_difference, path_at, written_difference
from .files import FileResult, Json, build_all, row_counts


class ParsePacket(Protocol):
    """Reads the packet at an offset; with `prefix` bytes may follow it."""

    def __call__(self, data: bytes, *, offset: int = 0, prefix: bool = False) -> Parsed | Rejected: ...


class PacketProtocol(NamedTuple):
    """A registrar protocol: its readers and writers, and the check of a row's other keys."""

    registry: Registry
    parse: ParsePacket
    packet_size: Callable[[bytes], int | None]
    """Returns the length of the packet that begins with these bytes; None without a whole header."""
    readers: Mapping[str, Reader]
    writers: Mapping[str, Writer]
    check_facts: Callable[[Json, Any], Iterator[Difference]]

    def differences(self, message: Any, data: bytes) -> Iterator[str]:
        """Yields a text for the node's reader and each writer that disagree with a message that the schema read from `data`."""
        node = {"node": self.readers["node"]}
        yield from read_differences(node, data, lambda read: same(message, read, self.registry))
        yield from self.written(type(message)(*message), data)

    def written(self, message: Any, data: bytes) -> Iterator[str]:
        """Yields a text for each writer that does not write a message to `data`."""

        def describe(actual: bytes) -> str | None:
            if actual == data:
                return None
            at = first_difference(data, actual)
            return written_difference(data, actual, at, path_at(self.parse(data), at, "(packet)"))

        yield from write_differences(self.writers, message, describe)

    def is_truncated(self, data: bytes, refusal: Rejected) -> bool:
        """Returns whether the bytes were refused only because they end inside a packet."""
        size = self.packet_size(data)
        return refusal.reason is Reason.END_OF_DATA and (size is None or size > len(data))


def check(content: Json, protocol: PacketProtocol) -> FileResult:
    """Checks every row of a file."""
    vectors, cases = content.get("vectors", ()), content.get("cases", ())
    build_all(vectors, lambda row: value_from_json(row["value"], protocol.registry))
    differences = [each for row in vectors for each in check_packet(row, protocol)]
    differences += (each for row in cases for each in check_malformed(row, protocol))
    summary = f"{len(vectors)} packets ({row_counts(vectors)}), {len(cases)} malformed ones, two readers"
    return FileResult(summary, len(vectors) + len(cases), differences)


def check_packet(row: Json, protocol: PacketProtocol) -> Iterator[Difference]:
    """Checks one golden packet: it is read to its value and written to its bytes; its other keys follow from the value."""
    data, expected = bytes.fromhex(row["hex"]), value_from_json(row["value"], protocol.registry)
    yield from protocol.check_facts(row, expected)
    for text in read_differences(protocol.readers, data, lambda read: same(read, expected, protocol.registry)):
        yield Difference(row["id"], text)
    for text in protocol.written(expected, data):
        yield Difference(row["id"], text)


def check_malformed(row: Json, protocol: PacketProtocol) -> Iterator[Difference]:
    """Checks one malformed packet: both readers refuse it for the reason of the row."""
    for text in refusal_differences(protocol.readers, bytes.fromhex(row["hex"]), Reason(row["reason"])):
        yield Difference(row["id"], text)


# --- ESRD: the type of a packet determines its transport ---------------------------------------------------------


def _check_esrd_facts(row: Json, value: Any) -> Iterator[Difference]:
    actual, expected = (type(value).__name__, _transport(value)), (row["group"], row["transport"])
    if actual != expected:
        yield Difference(row["id"], f"the value is {' over '.join(actual)}, the row has {' over '.join(expected)}")


def _transport(message: object) -> str:
    type_ = esrd.TYPES.get(type(message))
    return "no transport" if type_ is None else type_.transport.value


# --- Saturn: the type of a message determines its writer; digests prove a token ----------------------------------


def _check_saturn_facts(row: Json, value: Any) -> Iterator[Difference]:
    kind = type(value)
    if kind.__name__ != row["group"] or row["role"] not in saturn.writers(kind):
        writers = " or ".join(saturn.writers(kind)) or "no role"
        yield Difference(
            row["id"], f"the value is {kind.__name__} of {writers}, the row has {row['group']} of {row['role']}"
        )
    if facts := row.get("facts"):
        for name, proof in (("schema", saturn_schema.proof), ("node", saturn_node.proof)):
            if proof(facts["first"], facts["token"]) != getattr(value, "Digest", None):
                yield Difference(row["id"], f"{name}: computes another digest")


ESRD: Final = PacketProtocol(
    esrd_schema.CONTEXT.registry,
    esrd_schema.read_packet,
    esrd_schema.packet_size,
    {"schema": raising(esrd_schema.read_packet), "node": esrd_node.read},
    {"schema": esrd_schema.write_packet, "node": esrd_node.write},
    _check_esrd_facts,
)
SATURN: Final = PacketProtocol(
    saturn_schema.CONTEXT.registry,
    saturn_schema.read_packet,
    saturn_schema.packet_size,
    {"schema": raising(saturn_schema.read_packet), "node": saturn_node.read},
    {"schema": saturn_schema.write_packet, "node": saturn_node.write},
    _check_saturn_facts,
)
