"""Golden ENP frames (`ergo-vectors/1`, protocol ENP) against both readers and both writers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...errors import Reason, Rejected
from ...model.compare import same
from ...model.ergo.enp import Compressed, max_unpacked
from ...model.ergo.records import framework
from ...model.json.frames import frame_from_json
from ...model.registry import Registry
from ...model.values import Error
from ...reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ...reference_node.ergo.enp.compression import uncompress
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.enp import write_frame
from ...spec.ergo.stream import read_one
from .codecs import Reader, Writer, read_differences, refusal_differences, write_differences
from .difference import Difference
from .files import FileResult, Json, build_all, file_registry, row_caches, row_counts


class GoldenFrame(NamedTuple):
    """A frame, and for a compressed one the frame inside."""

    value: Any
    inner: Any = None


def check(content: Json) -> FileResult:
    """Checks every row of a file."""
    registry = frame_registry(content)
    vectors, cases = content.get("vectors", ()), content.get("cases", ())
    build_all(vectors, lambda row: (row_caches(row), expected_frame(row, registry)))
    caches = {row["id"]: row_caches(row) for row in vectors}
    build_all(cases, lambda row: caches[row["of"]])
    differences = [each for row in vectors for each in check_frame(row, registry)]
    differences += (each for row in cases for each in check_malformed(row, EdfContext(registry, caches[row["of"]])))
    summary = f"{len(vectors)} frames ({row_counts(vectors)}), {len(cases)} malformed ones, two readers"
    return FileResult(summary, len(vectors) + len(cases), differences)


def frame_registry(content: Json) -> Registry:
    """Returns the types of a file; rows equal to the framework's are the framework's, with their Python classes."""
    known = {row.name: row for row in framework()}
    return Registry(known[row.name] if known.get(row.name) == row else row for row in file_registry(content))


def check_frame(row: Json, registry: Registry) -> Iterator[Difference]:
    """Checks one golden frame: it is read to its fields and written to its bytes."""
    context, data = EdfContext(registry, row_caches(row)), bytes.fromhex(row["hex"])
    expected = expected_frame(row, registry)
    for text in read_differences(readers(context), data, lambda read: _same(row, read, expected, registry)):
        yield Difference(row["id"], text)

    def describe(actual: bytes) -> str | None:
        return None if _masked(actual, row) == _masked(data, row) else actual.hex()

    for text in write_differences(writers(context), expected.value, describe):
        yield Difference(row["id"], text)


def expected_frame(row: Json, registry: Registry) -> GoldenFrame:
    """Returns the frame in a row's `fields`, and the one in `inner`."""
    inner = row.get("inner")
    return GoldenFrame(
        frame_from_json(row["group"], row["fields"], registry),
        frame_from_json(inner["group"], inner["fields"], registry) if inner else None,
    )


def check_malformed(row: Json, context: EdfContext) -> Iterator[Difference]:
    """Checks one malformed frame: both readers refuse it for the reason of the row."""
    for text in refusal_differences(readers(context), bytes.fromhex(row["hex"]), Reason(row["reason"])):
        yield Difference(row["id"], text)


def readers(context: EdfContext) -> dict[str, Reader]:
    """Returns both readers; each reads bytes to a GoldenFrame."""
    decoder = FrameDecoder(context.registry, context.caches)

    def by_schema(data: bytes) -> GoldenFrame:
        read = read_one(data, 0, context)
        if isinstance(read, Rejected):
            raise read
        if read.end != len(data):
            raise Rejected(Reason.LEFTOVER, "", read.end)
        return GoldenFrame(read.value, read.inner.value if read.inner else None)

    def by_node(data: bytes) -> GoldenFrame:
        value = decoder.read(data)
        if not isinstance(value, Compressed):
            return GoldenFrame(value)
        return GoldenFrame(value, decoder.read(uncompress(value, max_unpacked(len(value.stream)))))

    return {"schema": by_schema, "node": by_node}


def writers(context: EdfContext) -> dict[str, Writer]:
    """Returns both writers of frames."""
    encoder = FrameEncoder(context.registry, context.caches)
    return {"schema": lambda frame: write_frame(frame, context), "node": encoder.write}


def same_frame(a: Any, b: Any, registry: Registry) -> bool:
    """Returns whether two frames are the same to the protocol: errors are compared by their text."""
    if type(a) is not type(b):
        return False
    return all(_same_field(x, y, registry) for x, y in zip(a, b, strict=True))


def _same_field(x: Any, y: Any, registry: Registry) -> bool:
    if isinstance(x, Error) and isinstance(y, Error):
        return x.text == y.text
    return same(x, y, registry) if not isinstance(x, tuple) or hasattr(x, "_fields") else x == y


def _same(row: Json, actual: GoldenFrame, expected: GoldenFrame, registry: Registry) -> bool:
    """Returns whether two frames have the same specified fields: a masked message id may have any value."""
    value, inner = actual
    if row.get("mask"):
        value = value._replace(mid=expected.value.mid)
    if not same_frame(value, expected.value, registry):
        return False
    if inner is None or expected.inner is None:
        return inner is expected.inner
    if hasattr(inner, "mid") and hasattr(expected.inner, "mid"):
        inner = inner._replace(mid=expected.inner.mid)
    return same_frame(inner, expected.inner, registry)


def _masked(data: bytes, row: Json) -> bytes:
    masked = bytearray(data)
    for start, end in row.get("mask", ()):
        masked[start:end] = bytes(end - start)
    return bytes(masked)
