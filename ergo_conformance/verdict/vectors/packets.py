"""Golden packets of the registrars (`ergo-vectors/1`, protocols ESRD and Saturn) against both readers and both writers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...errors import CannotEncode, Reason, Rejected
from ...model.compare import same
from ...model.ergo import esrd, saturn
from ...model.json.values import value_from_json
from ...model.registry import Registry
from ...reference_node.ergo import esrd as esrd_node
from ...reference_node.ergo import saturn as saturn_node
from ...spec.ergo import esrd as esrd_schema
from ...spec.ergo import saturn as saturn_schema
from ...spec.parse import Parsed
from .edf import Difference, byte_difference

Json = Any


class Protocol(NamedTuple):
    """How packets of a registrar are read, written, and what a row says of its value besides."""

    registry: Registry
    readers: Mapping[str, Callable[[bytes], object]]
    writers: Mapping[str, Callable[[Any], bytes]]
    facts: Callable[[Json, Any], Iterator[Difference]]


def check_packets(content: Json) -> tuple[str, int, list[Difference]]:
    """A line about what was checked, how many rows it was, and what differs."""
    protocol = PROTOCOLS[content["protocol"].lower()]
    vectors, cases = content.get("vectors", ()), content.get("cases", ())
    found: list[Difference] = []
    for row in vectors:
        found += check_packet(row, protocol)
    for row in cases:
        found += check_malformed(row, protocol)
    counts = Counter(row["group"] for row in vectors)
    text = ", ".join(f"{n} {group}" for group, n in sorted(counts.items()))
    return (
        f"{len(vectors)} packets ({text}), {len(cases)} malformed ones, two readers",
        len(vectors) + len(cases),
        found,
    )


def check_packet(row: Json, protocol: Protocol) -> Iterator[Difference]:
    """One golden packet: read to its value, written to its bytes; what else the row says follows from the value."""
    data, wanted = bytes.fromhex(row["hex"]), value_from_json(row["value"], protocol.registry)
    yield from protocol.facts(row, wanted)
    for name, read in protocol.readers.items():
        try:
            if not same(read(data), wanted, protocol.registry):
                yield Difference(row["id"], f"{name}: read as another value")
        except Rejected as refusal:
            yield Difference(row["id"], f"{name}: refused: {refusal}")
    for name, write in protocol.writers.items():
        try:
            written = write(wanted)
        except CannotEncode as error:
            yield Difference(row["id"], f"{name}: can't write it: {error}")
            continue
        if written != data:
            yield Difference(row["id"], f"{name}: written otherwise: {byte_difference(data, written)}")


def check_malformed(row: Json, protocol: Protocol) -> Iterator[Difference]:
    """One malformed packet: refused by both, for its reason."""
    wanted = Reason(row["reason"])
    for name, read in protocol.readers.items():
        try:
            value = read(bytes.fromhex(row["hex"]))
        except Rejected as refusal:
            if refusal.reason is not wanted:
                yield Difference(row["id"], f"{name}: refused for {refusal.reason.value!r}, not {wanted.value!r}")
            continue
        yield Difference(row["id"], f"{name}: read as {type(value).__name__}, a refusal is expected")


# --- the embedded registrar: a packet goes the way of its type --------------------------------------------------------


def _esrd_facts(row: Json, wanted: Any) -> Iterator[Difference]:
    if (type(wanted).__name__, _transport(wanted)) != (row["group"], row["transport"]):
        yield Difference(row["id"], f"{type(wanted).__name__} over {_transport(wanted)} is what the value says")


def _transport(message: object) -> str:
    type_ = esrd.TYPES.get(type(message))
    return "no transport" if type_ is None else esrd.TRANSPORTS[type_].value


# --- the central registrar: a message has a writer, a handshake proves a token ----------------------------------------


def _saturn_facts(row: Json, wanted: Any) -> Iterator[Difference]:
    kind = type(wanted)
    if (kind.__name__, True) != (row["group"], row["role"] in saturn.writers(kind)):
        said = " or ".join(saturn.writers(kind)) or "nobody"
        yield Difference(row["id"], f"{kind.__name__} of {said} is what the value says")
    if facts := row.get("facts"):
        for name, proof in (("schema", saturn_schema.proof), ("node", saturn_node.proof)):
            if proof(facts["first"], facts["token"]) != getattr(wanted, "Digest", None):
                yield Difference(row["id"], f"{name}: another digest")


def _reader(read: Callable[[bytes], Parsed | Rejected]) -> Callable[[bytes], object]:
    """A schema's reader, which raises what it refuses."""

    def reads(data: bytes) -> object:
        parsed = read(data)
        if isinstance(parsed, Rejected):
            raise parsed
        return parsed.value

    return reads


ESRD: Final = Protocol(
    esrd_schema.CONTEXT.registry,
    {"schema": _reader(esrd_schema.read_packet), "node": esrd_node.read},
    {"schema": esrd_schema.write_packet, "node": esrd_node.write},
    _esrd_facts,
)
SATURN: Final = Protocol(
    saturn_schema.CONTEXT.registry,
    {"schema": _reader(saturn_schema.read_packet), "node": saturn_node.read},
    {"schema": saturn_schema.write_packet, "node": saturn_node.write},
    _saturn_facts,
)
PROTOCOLS: Final[Mapping[str, Protocol]] = {"esrd": ESRD, "saturn": SATURN}
