"""Limits of EDF: the last allowed value and the first refused one, keys that are nearly equal, and memory for refused input."""

from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode, Rejected
from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import edf, records
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.registry import Struct
from ergo_conformance.model.show import show
from ergo_conformance.model.values import PID, Atom, Error, ProcessID, Typed
from ergo_conformance.testing import REGISTRY, Codec, ViolationError, case
from ergo_conformance.verdict.vectors.cost import NODE_LIMITS, peak_memory
from ergo_conformance.verdict.vectors.files import row_bytes, row_caches
from ergo_conformance.verdict.vectors.golden import GoldenGroup, golden_groups

OFFERS = ("codec",)
ANY_SLICE = bytes.fromhex("8200029d84")
NIL = b"\xff"


def read(codec: Codec, data: bytes, caches: Caches = NO_CACHES) -> Any:
    """Returns the single value in `data`. ViolationError if the codec refuses it or leaves bytes over."""
    try:
        value, end = codec.decode(data, REGISTRY, caches)
    except Rejected as refusal:
        raise ViolationError(f"refused: {refusal}", (f"a value for {data[:24].hex(' ')}…",)) from None
    if end != len(data):
        raise ViolationError(f"{len(data) - end} bytes left over", (f"all of {data[:24].hex(' ')}… read",))
    return value


def check(codec: Codec, data: bytes, value: Any, caches: Caches = NO_CACHES) -> None:
    """Checks that the codec reads these bytes as this value, and writes the value as these bytes."""
    found = read(codec, data, caches)
    if found != value or type(found) is not type(value):
        raise ViolationError(show(found, 200), (show(value, 200),))
    written = codec.encode(value, REGISTRY, caches)
    if written != data:
        raise ViolationError(f"the bytes {written[:40].hex(' ')}", (f"the bytes {data[:40].hex(' ')}",))


# --- depth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [edf.MAX_DEPTH - 1, edf.MAX_DEPTH])
@case("EDF-DEPTH-1", offers=OFFERS)
def test_any_slots(ergo_codec: Codec, slots: int) -> None:
    """A codec reads and writes a value with {slots} open `any` slots."""
    one = bytes.fromhex("9d00000001")
    data = (ANY_SLICE + one) * slots + ANY_SLICE + bytes.fromhex("9d00000000")
    value = read(ergo_codec, data)
    written = ergo_codec.encode(value, REGISTRY, NO_CACHES)
    depth = 0
    while value:
        (value,) = value
        depth += 1
    if depth != slots or written != data:
        raise ViolationError(f"{depth} levels, {len(written)} bytes written", (f"{slots} levels, {len(data)} bytes",))


@pytest.mark.parametrize("slots", [1, 2, edf.MAX_DEPTH])
@case("EDF-DEPTH-1", "EDF-ANY-1", offers=OFFERS)
def test_chain_of_any(ergo_codec: Codec, slots: int) -> None:
    """A codec reads a string behind {slots} bytes 84, each of which opens an `any` slot."""
    data = b"\x84" * slots + bytes.fromhex("8d000161")
    value = read(ergo_codec, data)
    if value != "a":
        raise ViolationError(show(value), ('"a"',))


@pytest.mark.parametrize("depth", [edf.MAX_DEPTH - 1, edf.MAX_DEPTH])
@case("EDF-DEPTH-1", offers=OFFERS)
def test_constructors(ergo_codec: Codec, depth: int) -> None:
    """A codec reads and writes a nil value of a folded type with {depth} constructors."""
    folded = b"\x9d" * depth + b"\x92"
    data = b"\x82" + len(folded).to_bytes(2, "big") + folded + NIL
    written = ergo_codec.encode(read(ergo_codec, data), REGISTRY, NO_CACHES)
    if written != data:
        raise ViolationError(f"{len(written)} bytes written", (f"the {len(data)} bytes that were read",))


# --- ids and lengths --------------------------------------------------------------------------------------------------

ENDS = {
    "first_atom": (0x8C, edf.FIRST_ATOM_ID), "last_atom": (0x8C, 0xFFFF),
    "first_error": (0x9C, edf.FIRST_ERROR_ID), "last_error": (0x9C, edf.LAST_ERROR_ID),
    "first_type": (0x83, edf.FIRST_TYPE_ID), "last_type": (0x83, edf.LAST_TYPE_ID),
}  # fmt: skip


@pytest.mark.parametrize("which", ENDS)
@case("EDF-ATOM-1", "EDF-ERR-1", "EDF-REG-3", offers=OFFERS)
def test_ids_at_both_ends(ergo_codec: Codec, which: str) -> None:
    """A codec reads and writes the ids at the ends of their ranges ({which})."""
    tag, id_ = ENDS[which]
    data = bytes([tag]) + id_.to_bytes(2, "big")
    match tag:
        case 0x8C:
            check(ergo_codec, data, Atom("cached"), Caches(atoms={id_: Atom("cached")}))
        case 0x9C:
            check(ergo_codec, data, Error("cached", registered=True), Caches(errors={id_: "cached"}))
        case 0x83:
            queues = records.framework().get("#ergo.services/ergo/gen/MailboxQueues")
            assert isinstance(queues, Struct)
            value: Any = queues.value_class(*(1, 2, 3, 4))  # type: ignore[call-arg, arg-type]
            body = b"".join(n.to_bytes(8, "big") for n in value)
            check(ergo_codec, data + body, value, Caches(types={id_: queues.name}))


LENGTHS: dict[str, tuple[Any, bytes]] = {
    "empty_string": ("", bytes.fromhex("8d0000")),
    "longest_string": ("s" * 65_535, bytes.fromhex("8dffff") + b"s" * 65_535),
    "longest_but_one_string": ("s" * 65_534, bytes.fromhex("8dfffe") + b"s" * 65_534),
    "empty_atom": (Atom(""), bytes.fromhex("8c0000")),
    "longest_atom": (Atom("a" * 255), bytes.fromhex("8c00ff") + b"a" * 255),
    "longest_error": (Error("e" * 32_767), bytes.fromhex("9c7fff") + b"e" * 32_767),
    "empty_error": (Error(""), bytes.fromhex("9c0000")),
    "longest_node": (PID(Atom("n" * 255), 1, 1), bytes.fromhex("aa00ff") + b"n" * 255 + (1).to_bytes(8, "big") * 2),
}


@pytest.mark.parametrize("which", LENGTHS)
@case("EDF-STR-1", "EDF-ATOM-1", "EDF-ERR-1", offers=OFFERS)
def test_lengths_at_both_ends(ergo_codec: Codec, which: str) -> None:
    """A codec reads and writes texts of the smallest and the greatest length ({which})."""
    value, data = LENGTHS[which]
    check(ergo_codec, data, value)


TOO_LONG: dict[str, Any] = {
    "string": "s" * 65_536,
    "string_of_wide_characters": "я" * 32_768,
    "string_in_a_slice": Typed(t.Slice(t.STRING), ["", "s" * 65_536]),
    "string_in_any": ["", "s" * 70_000],
    "key_of_a_map": {"k" * 65_536: 1},
    "atom": Atom("a" * 256),
    "atom_in_a_slice": Typed(t.Slice(t.ATOM), [Atom("a"), Atom("a" * 256)]),
    "atom_of_wide_characters": Atom("я" * 128),
    "node_of_a_pid": PID(Atom("n" * 256), 1, 1),
    "name_of_a_process_id": ProcessID(Atom("n"), Atom("n" * 256)),
    "error": Error("e" * 32_768),
    "int8": Typed(t.INT8, 128),
    "uint16": Typed(t.UINT16, 65_536),
    "uint": Typed(t.UINT, -1),
    "int": Typed(t.INT, 2**63),
    "array": Typed(t.Array(3, t.INT8), (1, 2)),
}


@pytest.mark.parametrize("which", TOO_LONG)
@case("EDF-STR-1", "EDF-ATOM-1", "EDF-ERR-1", "EDF-ID-2", "EDF-TAG-1", offers=OFFERS)
def test_refused_by_the_writer(ergo_codec: Codec, which: str) -> None:
    """A codec refuses to write a value that has no bytes ({which}), and writes the next one."""
    try:
        written = ergo_codec.encode(TOO_LONG[which], REGISTRY, NO_CACHES)
    except CannotEncode:
        check(ergo_codec, bytes.fromhex("8d000161"), "a")
        return
    raise ViolationError(f"{len(written)} bytes: {written[:24].hex(' ')}…", ("a refusal",))


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 16, 31, 32, 63, 64, 255, 4_000])
@case("EDF-MAP-1", offers=OFFERS)
def test_keys_with_a_common_beginning(ergo_codec: Codec, length: int) -> None:
    """A codec distinguishes keys that differ behind {length} equal bytes, in one map and in maps one after the other."""
    keys = ["k" * length + end for end in ("", "a", "b", "ab")]
    for value in ({key: n for n, key in enumerate(keys)}, *({key: n} for n, key in enumerate(keys))):
        written = ergo_codec.encode(Typed(t.Map(t.STRING, t.INT64), value), REGISTRY, NO_CACHES)
        found = read(ergo_codec, written)
        if getattr(found, "value", found) != value:
            raise ViolationError(show(found, 200), (show(value, 200),))


@pytest.mark.parametrize("length", [1, 31, 32, 63, 64, 254])
@case("EDF-ATOM-1", offers=OFFERS)
def test_atoms_with_a_common_beginning(ergo_codec: Codec, length: int) -> None:
    """A codec distinguishes atoms that differ behind {length} equal bytes or in upper and lower case."""
    for value in ([Atom("a" * length + end) for end in ("", "a", "b", "A")], [Atom("A" * length), Atom("a" * length)]):
        check(ergo_codec, ergo_codec.encode(value, REGISTRY, NO_CACHES), value)


# --- memory -----------------------------------------------------------------------------------------------------------

HUGE = [group for group in golden_groups("edf_negative.json", "judges") if group.name in {"huge", "length", "hang"}]


@pytest.mark.parametrize("group", HUGE, ids=lambda group: group.name)
@case("ROB-EDF-3", offers=OFFERS)
def test_memory(ergo_codec: Codec, group: GoldenGroup) -> None:
    """A codec allocates no memory for counts and lengths without their bytes: {group}."""
    for row in group.rows:
        data = row_bytes(row)
        if data is None:
            continue
        caches = row_caches(row)
        allowed = NODE_LIMITS.scaled(len(data)).memory
        peak = peak_memory(lambda data=data, caches=caches: ergo_codec.decode(data, group.file.registry, caches))  # type: ignore[misc]
        if peak > allowed:
            raise ViolationError(f"{row['id']}: {peak:,} bytes", (f"at most {allowed:,} bytes",))
