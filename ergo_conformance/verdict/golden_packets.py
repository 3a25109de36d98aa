"""Golden packets of the embedded registrar (`ergo-vectors/1`, protocol ESRD) against both readers and both writers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ..errors import CannotEncode, Reason, Rejected
from ..model import esrd
from ..model.compare import same
from ..model.esrd import Message
from ..model.neutral import from_json
from ..reference_node.ergo import esrd as node
from ..spec.esrd import CONTEXT, read_packet, write_packet
from .vectors import Difference, byte_difference

Json = Any


def check_packets(content: Json) -> tuple[str, int, list[Difference]]:
    """A line about what was checked, how many rows it was, and what differs."""
    vectors, cases = content.get("vectors", ()), content.get("cases", ())
    found: list[Difference] = []
    for row in vectors:
        found += check_packet(row)
    for row in cases:
        found += check_malformed(row)
    counts = Counter(row["group"] for row in vectors)
    text = ", ".join(f"{n} {group}" for group, n in sorted(counts.items()))
    return (
        f"{len(vectors)} packets ({text}), {len(cases)} malformed ones, two readers",
        len(vectors) + len(cases),
        found,
    )


def check_packet(row: Json) -> Iterator[Difference]:
    """One golden packet: read to its value, written to its bytes; it went the way of its type."""
    data, wanted = bytes.fromhex(row["hex"]), from_json(row["value"], CONTEXT.registry)
    if (type(wanted).__name__, _transport(wanted)) != (row["group"], row["transport"]):
        yield Difference(row["id"], f"{type(wanted).__name__} over {_transport(wanted)} is what the value says")
    for name, read in READERS.items():
        try:
            if not same(read(data), wanted, CONTEXT.registry):
                yield Difference(row["id"], f"{name}: read as another value")
        except Rejected as refusal:
            yield Difference(row["id"], f"{name}: refused: {refusal}")
    for name, write in WRITERS.items():
        try:
            written = write(wanted)
        except CannotEncode as error:
            yield Difference(row["id"], f"{name}: can't write it: {error}")
            continue
        if written != data:
            yield Difference(row["id"], f"{name}: written otherwise: {byte_difference(data, written)}")


def _transport(message: object) -> str:
    type_ = esrd.TYPES.get(type(message))
    return "no transport" if type_ is None else esrd.TRANSPORTS[type_].value


def check_malformed(row: Json) -> Iterator[Difference]:
    """One malformed packet: refused by both, for its reason."""
    wanted = Reason(row["reason"])
    for name, read in READERS.items():
        try:
            value = read(bytes.fromhex(row["hex"]))
        except Rejected as refusal:
            if refusal.reason is not wanted:
                yield Difference(row["id"], f"{name}: refused for {refusal.reason.value!r}, not {wanted.value!r}")
            continue
        yield Difference(row["id"], f"{name}: read as {type(value).__name__}, a refusal is expected")


def _schema_reads(data: bytes) -> object:
    parsed = read_packet(data)
    if isinstance(parsed, Rejected):
        raise parsed
    return parsed.value


READERS: Final[Mapping[str, Callable[[bytes], object]]] = {"schema": _schema_reads, "node": node.read}
WRITERS: Final[Mapping[str, Callable[[Message], bytes]]] = {"schema": write_packet, "node": node.write}
