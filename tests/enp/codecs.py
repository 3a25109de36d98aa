"""Both readers and both writers of ENP frames behind one signature, and their verdicts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.registry import Registry
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder, SlowFrameReader
from ergo_conformance.spec.ergo import enp as spec_enp
from ergo_conformance.spec.ergo.edf import EdfContext

from .strategies import REGISTRY


def node_reads(data: bytes, registry: Registry = REGISTRY, caches: Caches = NO_CACHES) -> Any:
    return FrameDecoder(registry, caches).read(data)


def slowly_reads(data: bytes, registry: Registry = REGISTRY, caches: Caches = NO_CACHES) -> Any:
    """Reads with the node's slow reader alone; the header must be valid."""
    decoder = FrameDecoder(registry, caches)
    return SlowFrameReader(data, decoder.values, decoder.names).read()


def spec_reads(data: bytes, registry: Registry = REGISTRY, caches: Caches = NO_CACHES) -> Any:
    parsed = spec_enp.read_frame(data, EdfContext(registry, caches))
    if isinstance(parsed, Rejected):
        raise parsed
    return parsed.value


def node_writes(frame: Any, registry: Registry = REGISTRY, caches: Caches = NO_CACHES) -> bytes:
    return FrameEncoder(registry, caches).write(frame)


def spec_writes(frame: Any, registry: Registry = REGISTRY, caches: Caches = NO_CACHES) -> bytes:
    return spec_enp.write_frame(frame, EdfContext(registry, caches))


READERS: dict[str, Callable[..., Any]] = {"node": node_reads, "spec": spec_reads}
WRITERS: dict[str, Callable[..., bytes]] = {"node": node_writes, "spec": spec_writes}

both_readers = pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
both_writers = pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))


class Verdict(NamedTuple):
    """Verdict of a reader: reason, path and offset; reason None for a valid frame."""

    reason: Reason | None
    path: str = ""
    offset: int = 0


def judged(read: Callable[[], Any]) -> tuple[Verdict, Any]:
    """Returns the verdict of one reader, and the frame or None. Only Rejected may be raised."""
    try:
        return Verdict(None), read()
    except Rejected as refusal:
        return Verdict(refusal.reason, refusal.path, refusal.offset), None


def agreed(data: bytes, registry: Registry = REGISTRY, caches: Caches = NO_CACHES) -> Verdict:
    """Returns the verdict of both readers; fails if reasons, offsets or frames differ."""
    (by_node, node_frame), (by_spec, spec_frame) = (
        judged(partial(read, data, registry, caches)) for read in READERS.values()
    )
    shown = f"{data[:80].hex()}: node {by_node}, spec {by_spec}"
    assert (by_node.reason, by_node.offset) == (by_spec.reason, by_spec.offset), shown
    if by_node.reason is None:
        assert same_frames(node_frame, spec_frame, registry), f"{data[:80].hex()}: {node_frame}, {spec_frame}"
    return by_spec


EDF_FIELDS = frozenset({"payload", "reason", "message", "error"})


def same_frames(a: Any, b: Any, registry: Registry = REGISTRY) -> bool:
    """Tells whether two frames have the same type and equivalent fields."""
    if type(a) is not type(b):
        return False
    fields = zip(a._fields, a, b, strict=True)
    return all(same(x, y, registry) if name in EDF_FIELDS else x == y for name, x, y in fields)
