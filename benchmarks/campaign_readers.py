"""The readers that the campaign compares: for each protocol the node's reader and the schemas, with seeds from the vectors."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from ergo_conformance import locate
from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import Compressed, max_unpacked
from ergo_conformance.model.registry import Registry
from ergo_conformance.reference_node.ergo import esrd as esrd_node
from ergo_conformance.reference_node.ergo import saturn as saturn_node
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.reference_node.ergo.edf.runtime import no_fast_reader
from ergo_conformance.reference_node.ergo.edf.slow_reader import SlowReader
from ergo_conformance.reference_node.ergo.ehs import MESSAGE_TYPES
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder
from ergo_conformance.reference_node.ergo.enp.compression import uncompress
from ergo_conformance.spec.ergo import edf as edf_schema
from ergo_conformance.spec.ergo import ehs as ehs_schema
from ergo_conformance.spec.ergo import esrd as esrd_schema
from ergo_conformance.spec.ergo import saturn as saturn_schema
from ergo_conformance.spec.ergo.edf import EdfContext
from ergo_conformance.spec.ergo.enp import read_frame
from ergo_conformance.spec.ergo.stream import ReadFrame, read_one
from ergo_conformance.spec.parse import Parsed
from ergo_conformance.verdict.vectors.files import file_registry, row_bytes, row_caches
from ergo_conformance.verdict.vectors.frames import frame_registry, same_frame

Read = Callable[[bytes], Any]
"""Reads bytes to a value. Raises Rejected."""


@dataclass(frozen=True)
class Subject:
    """The readers of one protocol. The first one is the node's: its time and memory are measured."""

    readers: Mapping[str, Read]
    same: Callable[[Any, Any], bool]
    seeds: list[bytes]
    paths: bool = False
    """Whether the paths of refusals are compared; the headers of frames and packets have no common names."""


class Verdict(NamedTuple):
    """What a reader says of an input: a reason with path and offset, or none and a value."""

    reason: Reason | None
    path: str
    offset: int
    value: Any = None


def judge(read: Read, data: bytes) -> Verdict:
    """Returns the verdict of a reader. Any exception but Rejected is passed on."""
    try:
        return Verdict(None, "", 0, read(data))
    except Rejected as refusal:
        return Verdict(refusal.reason, refusal.path, refusal.offset)


def difference(subject: Subject, data: bytes) -> tuple[str, Verdict]:
    """Returns how the readers disagree, or "", and the node's verdict."""
    first, *others = ((name, judge(read, data)) for name, read in subject.readers.items())
    ours = plain(first[1], paths=subject.paths)
    for name, verdict in others:
        theirs = plain(verdict, paths=subject.paths)
        if theirs != ours:
            return f"{first[0]}: {ours}, {name}: {theirs}", first[1]
        if verdict.reason is None and not subject.same(first[1].value, verdict.value):
            return f"{first[0]} and {name} read different values", first[1]
    return "", first[1]


_KEY: Final = re.compile(r"(^|\.)(\d+)\.key")
_DESCRIPTOR: Final = re.compile(r"(^|\.)type(\.(item|key|value|name))*$")


def plain(verdict: Verdict, *, paths: bool) -> str:
    """Returns reason, offset and path as text; the schemas name parts of descriptors, and keys in another way."""
    path = _KEY.sub(r"[\2].key", _DESCRIPTOR.sub("", verdict.path)) if paths else ""
    return f"{verdict.reason} at {path}, offset {verdict.offset}"


def content(name: str) -> Any:
    """Returns the content of a vector file."""
    return json.loads((locate.suites() / "golden" / name).read_text(encoding="utf-8"))


def rows_of(files: Iterable[Any]) -> list[Any]:
    """Returns the rows of vector files."""
    return [row for file in files for key in ("vectors", "cases") for row in file.get(key, ())]


def seeds_of(rows: list[Any]) -> list[bytes]:
    """Returns the bytes of rows, each once, except the longest."""
    return list(dict.fromkeys(data for row in rows if (data := row_bytes(row)) and len(data) <= MAX_SEED))


MAX_SEED: Final = 4096


def all_caches(rows: list[Any]) -> Caches:
    """Returns the caches of all rows in one; of an id with two meanings the first counts."""
    atoms: dict[int, Any] = {}
    types: dict[int, str] = {}
    errors: dict[int, str] = {}
    for caches in map(row_caches, rows):
        for table, found in ((atoms, caches.atoms), (types, caches.types), (errors, caches.errors)):
            for id_, meaning in found.items():
                table.setdefault(id_, meaning)
    return Caches(atoms=atoms, types=types, errors=errors)


def raised(parsed: Parsed | ReadFrame | Rejected) -> Any:
    """Returns the value (of a frame: the frame with its inner one), or raises the refusal."""
    if isinstance(parsed, Rejected):
        raise parsed
    return parsed if isinstance(parsed, ReadFrame) else parsed.value


def within(read: Callable[[], Any]) -> Any:
    """Returns the frame inside a compressed one; a refusal of it gets no offset, since each reader gives another one."""
    try:
        return read()
    except Rejected as refusal:
        raise Rejected(refusal.reason, "", 0) from None


def edf() -> Subject:
    """EDF values with descriptor: the node with generated readers, its slow reader alone, and the schemas."""
    files = [content("edf_vectors.json"), content("edf_negative.json")]
    rows, registry = rows_of(files), file_registry(files[0])
    caches = all_caches([row for row in rows if "hex" in row])
    decoder, context = Decoder(registry, caches), EdfContext(registry, caches)

    def slowly(data: bytes) -> Any:
        value, end = SlowReader(data, 0, decoder.tables, lambda _: no_fast_reader).read(None)
        if end != len(data):
            raise Rejected(Reason.LEFTOVER, "", end)
        return value

    readers = {"node": decoder.decode, "slow": slowly, "schema": lambda data: raised(edf_schema.decode(data, context))}
    return Subject(readers, partial(_same, registry), seeds_of(rows), paths=True)


def _same(registry: Registry, a: Any, b: Any) -> bool:
    return same(a, b, registry)


def enp() -> Subject:
    """Frames of ENP and the frames inside compressed ones."""
    file = content("enp_vectors.json")
    rows, registry = rows_of([file]), frame_registry(file)
    caches = all_caches(file["vectors"])
    decoder, context = FrameDecoder(registry, caches), EdfContext(registry, caches)

    def by_node(data: bytes) -> Any:
        frame = decoder.read(data)
        if not isinstance(frame, Compressed):
            return frame, None
        return frame, within(lambda: decoder.read(uncompress(frame, max_unpacked(len(frame.stream)))))

    def by_schema(data: bytes) -> Any:
        frame = raised(read_frame(data, context))
        if not isinstance(frame, Compressed):
            return frame, None
        return frame, within(lambda: raised(read_one(data, 0, context)).inner.value)

    def alike(a: Any, b: Any) -> bool:
        if not same_frame(a[0], b[0], registry) or (a[1] is None) != (b[1] is None):
            return False
        return a[1] is None or same_frame(a[1], b[1], registry)

    return Subject({"node": by_node, "schema": by_schema}, alike, seeds_of(rows))


def handshake() -> Subject:
    """Frames of EHS: header, one value, a message."""
    rows = rows_of([content("ehs_vectors.json")])
    decoder, context = Decoder(MESSAGE_TYPES, generated_lines=0), EdfContext(MESSAGE_TYPES)

    def node(data: bytes) -> Any:
        return decoder.decode(data[ehs.HEADER_LENGTH :])

    def schema(data: bytes) -> Any:
        value = raised(edf_schema.decode(data[ehs.HEADER_LENGTH :], context))
        framed = ehs_schema.read_frame(data[:2] + (len(data) - ehs.HEADER_LENGTH).to_bytes(4, "big") + data[6:])
        if data[:2] == bytes([ehs.MAGIC, ehs.VERSION]) and len(data) <= ehs.MAX_PAYLOAD:
            assert isinstance(framed, Parsed) == isinstance(value, ehs.Message)
        return value

    return Subject({"node": node, "schema": schema}, partial(_same, MESSAGE_TYPES), seeds_of(rows))


def esrd() -> Subject:
    """Packets of ESRD."""
    readers = {"node": esrd_node.read, "schema": lambda data: raised(esrd_schema.read_packet(data))}
    return Subject(
        readers, partial(_same, esrd_schema.CONTEXT.registry), seeds_of(rows_of([content("esrd_vectors.json")]))
    )


def saturn() -> Subject:
    """Packets of Saturn."""
    readers = {"node": saturn_node.read, "schema": lambda data: raised(saturn_schema.read_packet(data))}
    seeds = seeds_of(rows_of([content("saturn_vectors.json")]))
    return Subject(readers, partial(_same, saturn_schema.CONTEXT.registry), seeds)


SUBJECTS: Final[Mapping[str, Callable[[], Subject]]] = {
    "edf": edf,
    "enp": enp,
    "ehs": handshake,
    "esrd": esrd,
    "saturn": saturn,
}
WATCHED: Final = tuple(
    str(Path(locate.__file__).parent / part) for part in ("spec", "reference_node/ergo", "model/map_keys.py")
)
"""Directories and files whose lines count as covered."""
