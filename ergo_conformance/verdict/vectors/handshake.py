"""Golden handshake frames (`ergo-vectors/1`, protocol EHS) against both readers and writers, and their digests."""

from collections.abc import Iterator, Mapping
from typing import Final

from ...errors import Reason, Rejected
from ...model.compare import same
from ...model.ergo import ehs
from ...model.ergo.ehs import Digest, Introduce, Message, Role
from ...model.json.values import value_from_json
from ...model.values import Atom
from ...reference_node.api.handshake import LocalIdentity
from ...reference_node.ergo import ehs as node_ehs
from ...reference_node.ergo.edf import Decoder, Encoder
from ...spec.ergo.ehs import CONTEXT, digest, read_frame, write_frame
from .codecs import Reader, Writer, raising, read_differences, refusal_differences, write_differences
from .difference import Difference, first_difference, path_at, written_difference
from .files import FileResult, Json, build_all, row_bytes, row_counts


def check(content: Json) -> FileResult:
    """Checks every row of a file."""
    vectors, cases = content.get("vectors", ()), content.get("cases", ())
    build_all(vectors, _parts)
    differences = [each for row in vectors for each in check_frame(row)]
    differences += (each for row in cases for each in check_malformed(row))
    summary = f"{len(vectors)} frames ({row_counts(vectors)}), {len(cases)} malformed ones, two readers"
    return FileResult(summary, len(vectors) + len(cases), differences)


def _parts(row: Json) -> object:
    """Builds the message of a row and the parts of its digests."""
    parts = [row["facts"][part] for name in row.get("digest", ()) for part in Digest[name].parts]
    return value_from_json(row["value"], CONTEXT.registry), parts


def check_frame(row: Json) -> Iterator[Difference]:
    """Checks one golden frame: it is read to its value and written to its bytes, and its digests are computed again."""
    data, expected = bytes.fromhex(row["hex"]), value_from_json(row["value"], CONTEXT.registry)
    for text in read_differences(READERS, data, lambda read: same(read, expected, CONTEXT.registry)):
        yield Difference(row["id"], text)
    for text in rewrite_differences(expected, data):
        yield Difference(row["id"], text)
    for name in row.get("digest", ()):
        yield from _check_digest(row, Digest[name], expected)


def _check_digest(row: Json, rule: Digest, message: Message) -> Iterator[Difference]:
    facts = {name: str(value) for name, value in row["facts"].items() if name != "fingerprint_sha1"}
    fingerprint = bytes.fromhex(row["facts"].get("fingerprint_sha1", ""))
    contained = {getattr(message, "Digest", ""), getattr(message, "DigestCert", "")}
    for name, computed in computed_digests(rule, fingerprint, facts).items():
        if computed not in contained:
            yield Difference(row["id"], f"{name}: {rule.name} is computed as {computed}, which the frame does not hold")


def check_malformed(row: Json) -> Iterator[Difference]:
    """Checks one malformed frame: both readers refuse it, for the reason of the row if it has one."""
    reason = Reason(row["reason"]) if "reason" in row else None
    for text in refusal_differences(READERS, row_bytes(row) or b"", reason):
        yield Difference(row["id"], text)


# --- readers and writers --------------------------------------------------------------------------------------------


def _read_by_node(data: bytes) -> Message:
    """Reads a frame with the node's EDF codec: magic, version, length, and one value that ends with the frame."""
    for at, (name, byte) in enumerate((("magic", ehs.MAGIC), ("version", ehs.VERSION))):
        if data[at : at + 1] not in (b"", bytes([byte])):
            raise Rejected(Reason.MAGIC, name, at)
    if len(data) < ehs.HEADER_LENGTH:
        raise Rejected(Reason.END_OF_DATA, "length", len(data))
    end = ehs.HEADER_LENGTH + int.from_bytes(data[2 : ehs.HEADER_LENGTH], "big")
    if end - ehs.HEADER_LENGTH > ehs.MAX_PAYLOAD:
        raise Rejected(Reason.LENGTH, "length", 2)
    if len(data) < end:
        raise Rejected(Reason.END_OF_DATA, "message", len(data))
    value = Decoder(CONTEXT.registry).decode(data[ehs.HEADER_LENGTH : end])
    if end != len(data):
        raise Rejected(Reason.LEFTOVER, "", end)
    if not isinstance(value, Message):
        raise Rejected(Reason.UNEXPECTED, "message", ehs.HEADER_LENGTH)
    return value


def _write_by_node(message: Message) -> bytes:
    payload = Encoder(node_ehs.MESSAGE_TYPES).encode(message)
    return _node(b"", {}).header(payload) + payload


READERS: Final[Mapping[str, Reader]] = {"schema": raising(read_frame), "node": _read_by_node}
WRITERS: Final[Mapping[str, Writer]] = {"schema": write_frame, "node": _write_by_node}


def rewrite_differences(message: Message, data: bytes) -> Iterator[str]:
    """Yields a text for each writer that does not write a message, built again from its plain values, to `data`."""

    def describe(actual: bytes) -> str | None:
        if actual == data:
            return None
        at = first_difference(data, actual)
        return written_difference(data, actual, at, path_at(read_frame(data), at, "(frame)"))

    yield from write_differences(WRITERS, plain_message(message), describe)


def plain_message(message: Message) -> Message:
    """Returns a copy of plain values: texts, numbers, tables in the order read; flags as their bits."""
    if not isinstance(message, Introduce):
        return type(message)(*message)
    flags = ehs.NETWORK_FLAGS.payload.canonical(message.Flags)
    tables = (message.AtomCache, message.RegCache, message.ErrCache)
    atoms, types, errors = (None if table is None else dict(table.items()) for table in tables)
    return message._replace(Flags=flags, AtomCache=atoms, RegCache=types, ErrCache=errors)  # type: ignore[arg-type]


# --- digests --------------------------------------------------------------------------------------------------------


def computed_digests(rule: Digest, fingerprint: bytes, facts: Mapping[str, str]) -> dict[str, str]:
    """Returns a digest as the schema and as the node computes it."""
    by_schema = digest(rule, fingerprint=fingerprint, **facts)
    return {"schema": by_schema, "node": _node(fingerprint, facts).digest(rule)}


def _node(fingerprint: bytes, parts: Mapping[str, str]) -> node_ehs.EhsSession:
    """Returns a handshake of the node that knows the parts of its digests."""
    local = LocalIdentity(name=Atom(""), cookie="", creation=0, version=ehs.Version())
    handshake = node_ehs.EhsSession(Role.ACCEPTOR, local, lambda n: "0" * n, fingerprint=fingerprint or None)
    handshake.parts = dict(parts)
    return handshake
