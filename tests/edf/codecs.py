"""Both EDF readers and both writers behind one signature, and their verdicts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.registry import Registry
from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder
from ergo_conformance.spec.ergo import edf as spec_edf

NONE = Registry()


def node_reads(data: bytes, registry: Registry = NONE, caches: Caches = NO_CACHES) -> tuple[Any, int]:
    return Decoder(registry, caches).decode_prefix(data)


def spec_reads(data: bytes, registry: Registry = NONE, caches: Caches = NO_CACHES) -> tuple[Any, int]:
    parsed = spec_edf.decode(data, spec_edf.EdfContext(registry, caches), prefix=True)
    if isinstance(parsed, Rejected):
        raise parsed
    return parsed.value, parsed.end


def node_writes(value: Any, registry: Registry = NONE, caches: Caches = NO_CACHES) -> bytes:
    return Encoder(registry, caches).encode(value)


def spec_writes(value: Any, registry: Registry = NONE, caches: Caches = NO_CACHES) -> bytes:
    return spec_edf.encode(value, spec_edf.EdfContext(registry, caches))


READERS: dict[str, Callable[..., tuple[Any, int]]] = {"node": node_reads, "spec": spec_reads}
WRITERS: dict[str, Callable[..., bytes]] = {"node": node_writes, "spec": spec_writes}

both_readers = pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
both_writers = pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))


class Verdict(NamedTuple):
    """Verdict of a reader: a reason and an offset, or no reason and the offset after the value."""

    reason: Reason | None
    offset: int


def judged(name: str, data: bytes, registry: Registry = NONE, caches: Caches = NO_CACHES) -> tuple[Verdict, Any]:
    """Returns the verdict of one reader, and the value or None. Only Rejected may be raised."""
    try:
        value, end = READERS[name](data, registry, caches)
    except Rejected as refusal:
        return Verdict(refusal.reason, refusal.offset), None
    return Verdict(None, end), value


def agreed(data: bytes, registry: Registry = NONE, caches: Caches = NO_CACHES) -> Verdict:
    """Returns the verdict of both readers; fails if verdicts or values differ."""
    (by_node, node_value), (by_spec, spec_value) = (judged(name, data, registry, caches) for name in READERS)
    assert by_node.reason is by_spec.reason, f"{data[:60].hex()}: node {by_node}, spec {by_spec}"
    assert by_node == by_spec, f"{data[:60].hex()}: node {by_node}, spec {by_spec}"
    if by_node.reason is None:
        assert same(node_value, spec_value, registry), f"{data[:60].hex()}: node {node_value!r}, spec {spec_value!r}"
    return by_node


def folded(hex_type: str | bytes) -> bytes:
    """Returns the descriptor of a folded type."""
    type_ = bytes.fromhex(hex_type) if isinstance(hex_type, str) else hex_type
    return b"\x82" + len(type_).to_bytes(2, "big") + type_


def u32(n: int) -> bytes:
    return n.to_bytes(4, "big")
