"""Golden handshake frames (`ergo-vectors/1`, protocol EHS) against both readers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...errors import CannotEncode, Reason, Rejected
from ...model.compare import same
from ...model.ergo import ehs
from ...model.ergo.ehs import Digest, Introduce, Message, Role
from ...model.json.values import value_from_json
from ...model.values import Atom
from ...reference_node.api.handshake import Local
from ...reference_node.ergo import ehs as node_ehs
from ...reference_node.ergo.edf import Decoder, Encoder
from ...spec.ergo.ehs import CONTEXT, digest, read_frame, write_frame
from .edf import Difference

Json = Any


def check_frames(content: Json) -> tuple[str, int, list[Difference]]:
    """A line about what was checked, how many rows it was, and what differs."""
    vectors, cases = content.get("vectors", ()), content.get("cases", ())
    found: list[Difference] = []
    for row in vectors:
        found += check_frame(row)
    for row in cases:
        found += check_malformed(row)
    counts = Counter(row["group"] for row in vectors)
    text = ", ".join(f"{n} {group}" for group, n in sorted(counts.items()))
    return f"{len(vectors)} frames ({text}), {len(cases)} malformed ones, two readers", len(vectors) + len(cases), found


def check_frame(row: Json) -> Iterator[Difference]:
    """One golden frame: read, digests recomputed, written again."""
    data, wanted = bytes.fromhex(row["hex"]), value_from_json(row["value"], CONTEXT.registry)
    for name, read in READERS.items():
        try:
            value = read(data)
        except Rejected as refusal:
            yield Difference(row["id"], f"{name}: refused: {refusal}")
            continue
        if not same(value, wanted, CONTEXT.registry):
            yield Difference(row["id"], f"{name}: read as another value")
    for name, write in WRITERS.items():
        try:
            written = write(plain(wanted))
        except CannotEncode as error:
            yield Difference(row["id"], f"{name}: can't write it: {error}")
            continue
        if written != data:
            yield Difference(row["id"], f"{name}: {frame_difference(data, written)}")
    for rule in row.get("digest", ()):
        yield from _check_digest(row, Digest[rule], wanted)


def _check_digest(row: Json, rule: Digest, message: Message) -> Iterator[Difference]:
    facts = {name: str(value) for name, value in row["facts"].items() if name != "fingerprint_sha1"}
    fingerprint = bytes.fromhex(row["facts"].get("fingerprint_sha1", ""))
    given = {getattr(message, "Digest", ""), getattr(message, "DigestCert", "")}
    for name, computed in (
        ("schema", digest(rule, fingerprint=fingerprint, **facts)),
        ("node", node_digest(rule, fingerprint, facts)),
    ):
        if computed not in given:
            yield Difference(row["id"], f"{name}: {rule.name} is computed as {computed}, which the frame does not hold")


def check_malformed(row: Json) -> Iterator[Difference]:
    """One malformed frame: refused by both, for the reason the row names."""
    data = bytes.fromhex(row["hex"]) if "hex" in row else b"".join(bytes.fromhex(h) * n for h, n in row["pieces"])
    wanted = Reason(row["reason"]) if "reason" in row else None
    for name, read in READERS.items():
        try:
            value = read(data)
        except Rejected as refusal:
            if wanted is not None and refusal.reason is not wanted:
                yield Difference(row["id"], f"{name}: refused for {refusal.reason.value!r}, not {wanted.value!r}")
            continue
        if row["expect"] == "reject":
            yield Difference(row["id"], f"{name}: read as {type(value).__name__}, a refusal is expected")


def _schema_reads(data: bytes) -> object:
    parsed = read_frame(data)
    if isinstance(parsed, Rejected):
        raise parsed
    return parsed.value


def _node_reads(data: bytes) -> object:
    """The node's codec behind a header read by hand: magic, version, length, one value to the end of the frame."""
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


# --- the node's side, and writing again --------------------------------------------------------------------------------


def node_frame(message: Message) -> bytes:
    """A handshake message as the node writes it. Raises CannotEncode."""
    payload = Encoder(node_ehs.MESSAGE_TYPES).encode(message)
    return _node(b"").header(payload) + payload


def _node(fingerprint: bytes, parts: Mapping[str, str] | None = None) -> node_ehs.Ehs:
    local = Local(name=Atom(""), cookie="", creation=0, version=ehs.Version())
    handshake = node_ehs.Ehs(Role.ACCEPTOR, local, lambda n: "0" * n, fingerprint=fingerprint or None)
    handshake.parts = dict(parts or {})
    return handshake


def node_digest(rule: Digest, fingerprint: bytes, facts: Mapping[str, str]) -> str:
    """One of the handshake's digests as the node computes it."""
    return _node(fingerprint, facts).digest(rule)


def plain(message: Message) -> Message:
    """A message made anew of plain values: texts, numbers, tables in the order read; flags as their bits."""
    if not isinstance(message, Introduce):
        return type(message)(*message)
    flags = ehs.NETWORK_FLAGS.payload.canonical(message.Flags)
    tables = (message.AtomCache, message.RegCache, message.ErrCache)
    atoms, types, errors = (None if table is None else dict(table.items()) for table in tables)
    return message._replace(Flags=flags, AtomCache=atoms, RegCache=types, ErrCache=errors)  # type: ignore[arg-type]


def frame_difference(wanted: bytes, found: bytes) -> str:
    """The first place where two frames part, with its path, in hex around it."""
    at = next((i for i, (x, y) in enumerate(zip(wanted, found, strict=False)) if x != y), min(len(wanted), len(found)))
    parsed = read_frame(wanted)
    try:
        path = "?" if isinstance(parsed, Rejected) else parsed.at(at).path or "(frame)"
    except KeyError:
        path = "(end)"
    window = slice(max(0, at - 4), at + 24)
    return f"offset {at}, {path}: …{wanted[window].hex()}… on the wire, …{found[window].hex()}… written"


READERS: dict[str, Callable[[bytes], object]] = {"schema": _schema_reads, "node": _node_reads}
WRITERS: dict[str, Callable[[Message], bytes]] = {"schema": write_frame, "node": node_frame}
