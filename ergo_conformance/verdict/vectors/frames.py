"""Golden ENP frames (`ergo-vectors/1`, protocol ENP) against both readers and both writers."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo.enp import MAX_UNLIMITED, Compressed
from ...model.ergo.records import framework
from ...model.json.frames import frame_from_json
from ...model.registry import Registry
from ...reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ...reference_node.ergo.enp.compression import uncompress
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.enp import write_frame
from ...spec.ergo.stream import read_one
from ..captures.frames import same_frame
from .edf import Difference, caches_of, registry_of

Json = Any


class Found(NamedTuple):
    """A frame, and the one inside a compressed one."""

    value: Any
    inner: Any = None


def check_enp(content: Json) -> tuple[str, int, list[Difference]]:
    """A line about what was checked, how many rows it was, and what differs."""
    registry = model_registry(content)
    vectors, cases = content["vectors"], content["cases"]
    options = {row["id"]: caches_of(row) for row in vectors}
    found: list[Difference] = []
    for row in vectors:
        found += check_row(row, registry)
    for row in cases:
        found += check_case(row, EdfContext(registry, options[row["of"]]))
    counts = Counter(row["group"] for row in vectors)
    text = ", ".join(f"{n} {group}" for group, n in sorted(counts.items()))
    return f"{len(vectors)} frames ({text}), {len(cases)} malformed ones, two readers", len(vectors) + len(cases), found


def model_registry(content: Json) -> Registry:
    """The types of a file; those that are the model's own with the classes that code names."""
    ours = {row.name: row for row in framework()}
    return Registry(ours[row.name] if ours.get(row.name) == row else row for row in registry_of(content))


def check_row(row: Json, registry: Registry) -> Iterator[Difference]:
    """One golden frame: read to its fields, written to its bytes."""
    context, data = EdfContext(registry, caches_of(row)), bytes.fromhex(row["hex"])
    wanted = wanted_of(row, registry)
    for name, read in readers(context).items():
        try:
            found = read(data)
        except Rejected as refusal:
            yield Difference(row["id"], f"{name}: refused: {refusal}")
            continue
        if not _same(row, found, wanted, registry):
            yield Difference(row["id"], f"{name}: read as another frame")
    encoder = FrameEncoder(registry, context.caches)
    writers: dict[str, Callable[[Any], bytes]] = {"schema": lambda f: write_frame(f, context), "node": encoder.write}
    for name, write in writers.items():
        try:
            written = write(wanted.value)
        except CannotEncode as error:
            yield Difference(row["id"], f"{name}: can't write it: {error}")
            continue
        if _masked(written, row) != _masked(data, row):
            yield Difference(row["id"], f"{name}: written as {written.hex()}")


def wanted_of(row: Json, registry: Registry) -> Found:
    """The frame that a row stands for, and the one inside."""
    inner = row.get("inner")
    return Found(
        frame_from_json(row["group"], row["fields"], registry),
        frame_from_json(inner["group"], inner["fields"], registry) if inner else None,
    )


def check_case(row: Json, context: EdfContext) -> Iterator[Difference]:
    """One malformed frame: refused for its reason."""
    for name, read in readers(context).items():
        try:
            read(bytes.fromhex(row["hex"]))
        except Rejected as refusal:
            if refusal.reason is not Reason(row["reason"]):
                yield Difference(row["id"], f"{name}: refused for another reason: {refusal}")
            continue
        yield Difference(row["id"], f"{name}: not refused")


def readers(context: EdfContext) -> dict[str, Callable[[bytes], Found]]:
    """Both readers; they raise Rejected."""
    decoder = FrameDecoder(context.registry, context.caches)

    def by_schema(data: bytes) -> Found:
        read = read_one(data, 0, context)
        if isinstance(read, Rejected):
            raise read
        if read.end != len(data):
            raise Rejected(Reason.LEFTOVER, "", read.end)
        return Found(read.value, read.inner.value if read.inner else None)

    def by_node(data: bytes) -> Found:
        value = decoder.read(data)
        if not isinstance(value, Compressed):
            return Found(value)
        return Found(value, decoder.read(uncompress(value, MAX_UNLIMITED)))

    return {"schema": by_schema, "node": by_node}


def _same(row: Json, found: Found, wanted: Found, registry: Registry) -> bool:
    """As far as something is specified: a masked field counts as the 0 that stands for it."""
    value, inner = found
    if row.get("mask"):
        value = value._replace(mid=wanted.value.mid)
    if inner is not None and hasattr(inner, "mid"):
        inner = inner._replace(mid=wanted.inner.mid)
    if not same_frame(value, wanted.value, registry):
        return False
    return inner is wanted.inner is None or same_frame(inner, wanted.inner, registry)


def _masked(data: bytes, row: Json) -> bytes:
    masked = bytearray(data)
    for first, behind in row.get("mask", ()):
        masked[first:behind] = bytes(behind - first)
    return bytes(masked)
