"""Faults of the codec: readers, limits and tables."""

import re
from collections.abc import Iterable
from struct import Struct
from typing import Any, Final

from ..errors import CannotEncode, Reason, Rejected
from ..model.ergo.caches import Caches
from ..model.ergo.edf import MAX_DEPTH, Tag
from ..model.types import Map, Scalar, Type
from ..model.values import Atom, Error
from ..reference_node.ergo.edf import (
    dynamic_readers,
    folded_types,
    reader_generator,
    slow_reader,
)
from ..reference_node.ergo.edf.codec import Decoder, Encoder
from ..reference_node.ergo.edf.function_source import FunctionSource
from ..reference_node.ergo.edf.reader_generator import ReaderGenerator
from ..reference_node.ergo.edf.slow_reader import SlowReader
from ..reference_node.ergo.edf.tables import AtomTable, DecodeTables
from .edf_faults import CodecFault, codec_fault
from .mutant import Area

EDF = Area("edf")
GOLDEN, LIMITS, WIRE = "golden.edf", "golden.edf_limits", "proto.codec_bytes"

# --- every value ------------------------------------------------------------------------------------------------------

_decode_prefix: Final = Decoder.decode_prefix
_decode: Final = Decoder.decode
_encode: Final = Encoder.encode


@codec_fault(
    EDF, "EDF-TOP-1", "EDF-TOP-4",
    at=((Decoder, "decode_prefix"),),
    found_by=(f"{GOLDEN}.reads[*]", f"{GOLDEN}.malformed[trailing]", f"{GOLDEN}.malformed[depth]", f"{LIMITS}.any_slots[*]",
              f"{LIMITS}.constructors[*]", f"{LIMITS}.lengths_at_both_ends[*]", f"{LIMITS}.ids_at_both_ends[*]",
              f"{LIMITS}.keys_with_a_common_beginning[*]", f"{LIMITS}.atoms_with_a_common_beginning[*]"),
)  # fmt: skip
def leaves_a_byte_over(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Leaves the last byte of a value over."""
    value, end = _decode_prefix(self, data, offset)
    return value, end - 1


@codec_fault(EDF, "EDF-TOP-1", at=((Encoder, "encode"),), found_by=(f"{GOLDEN}.writes[*]",))
def writes_a_byte_more(self: Encoder, value: Any) -> bytes:
    """Writes a byte behind each value."""
    return _encode(self, value) + b"\0"


@codec_fault(EDF, "EDF-TOP-4", at=((Decoder, "decode_prefix"),), found_by=(f"{GOLDEN}.malformed[trailing]",))
def takes_the_rest(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Takes the bytes behind a value for a part of it."""
    return _decode_prefix(self, data, offset)[0], len(data)


@codec_fault(
    EDF, "EDF-STR-1", "EDF-ATOM-1", "EDF-ERR-1", "EDF-ID-2",
    at=((Encoder, "encode"),), found_by=(f"{LIMITS}.refused_by_the_writer[*]",),
)  # fmt: skip
def writes_nothing_in_place_of_a_refusal(self: Encoder, value: Any) -> bytes:
    """Writes no bytes for a value that it can't encode."""
    try:
        return _encode(self, value)
    except CannotEncode:
        return b""


@codec_fault(EDF, "ROB-EDF-3", at=((Decoder, "decode_prefix"),), found_by=(f"{LIMITS}.memory[*]",))
def room_for_all_refusals(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Allocates memory for what refused input declares."""
    try:
        return _decode_prefix(self, data, offset)
    except Rejected:
        bytearray(400_000_000)
        raise


@codec_fault(
    EDF, "ENP-T-121", "EDF-MAP-1", at=((Decoder, "decode"),),
    found_by=(f"{WIRE}.keys_of_different_messages", f"{WIRE}.unusual[*]"),
)  # fmt: skip
def reads_other_values_than_texts_as_nil(self: Decoder, data: bytes) -> Any:
    """Reads each value that is not a text as nil."""
    value = _decode(self, data)
    return value if isinstance(value, str) and len(value) < 30 else None


@codec_fault(EDF, "EDF-TOP-3", at=((Decoder, "decode_prefix"),), found_by=(f"{GOLDEN}.malformed[nil]",))
def refuses_nil(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Refuses nil at the top level."""
    if data[offset : offset + 1] == b"\xff":
        raise Rejected(Reason.UNKNOWN_TAG, "", offset)
    return _decode_prefix(self, data, offset)


class _Remembered:
    """What a faulty codec keeps of the last input."""

    refused = False


@codec_fault(
    EDF,
    "ROB-EDF-7",
    at=((Decoder, "decode_prefix"),),
    found_by=(f"{GOLDEN}.good_value_after_a_refusal[*]",),
    subtle=True,
)
def misreads_the_value_after_a_refusal(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Reads the value after a refused one as nil."""
    if _Remembered.refused:
        _Remembered.refused = False
        return None, len(data)
    try:
        return _decode_prefix(self, data, offset)
    except Rejected:
        _Remembered.refused = True
        raise


# --- refusals ---------------------------------------------------------------------------------------------------------

REFUSALS: Final[dict[Reason, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    Reason.END_OF_DATA: (("ROB-EDF-1", "EDF-TOP-5"), ("truncation", "length", "struct", "atom", "time")),
    Reason.UNKNOWN_TAG: (("EDF-TAG-2", "EDF-TOP-2"), ("tag", "fold", "any")),
    Reason.UNKNOWN_TYPE: (("EDF-REG-10",), ("reg",)),
    Reason.UNKNOWN_ID: (("EDF-ATOM-3", "EDF-ERR-6", "EDF-REG-10"), ("cache",)),
    Reason.MARKER: (("EDF-SLICE-4", "EDF-REG-11"), ("slice", "map")),
    Reason.COUNT: (("EDF-SLICE-3", "EDF-MAP-1"), ("huge", "slice", "map")),
    Reason.FOLDED: (("EDF-FOLD-4",), ("fold",)),
    Reason.PAYLOAD: (("EDF-MAR-1", "EDF-MAR-4"), ("marshaler",)),
    Reason.TIME: (("EDF-TIME-3",), ("time",)),
}
"""Reasons of refusals, with the requirements that demand them and the groups of vectors that show them."""


def _accepts(reason: Reason) -> Any:
    def decode_prefix(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
        try:
            return _decode_prefix(self, data, offset)
        except Rejected as refusal:
            if refusal.reason is not reason:
                raise
            return None, len(data)

    return decode_prefix


for _reason, (_requirements, _groups) in REFUSALS.items():
    EDF.add(
        f"reads_nil_for_{re.sub(r'[^a-z]+', '_', _reason.value)}",
        f"Reads nil in place of input that is to be refused: {_reason.value}.",
        CodecFault(((Decoder, "decode_prefix", _accepts(_reason)),)),
        *_requirements,
        found_by=tuple(f"{GOLDEN}.malformed[{group}]" for group in _groups),
    )


@codec_fault(EDF, "ROB-EDF-1", at=((Decoder, "decode_prefix"),), found_by=(f"{GOLDEN}.malformed[hang]",))
def memory_error_for_empty_items(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Runs out of memory on counts of items without bytes."""
    try:
        return _decode_prefix(self, data, offset)
    except Rejected as refusal:
        if refusal.reason is Reason.EMPTY_ITEMS:
            raise MemoryError from None
        raise


# --- readers ----------------------------------------------------------------------------------------------------------

_scalar: Final = ReaderGenerator.scalar
_entries: Final = ReaderGenerator.entries
_container: Final = ReaderGenerator.container
_struct_method: Final = FunctionSource.struct_method


@codec_fault(
    EDF,
    "EDF-BOOL-1",
    at=((ReaderGenerator, "scalar"),),
    found_by=(f"{GOLDEN}.malformed[bool]", *(f"{WIRE}.bool[{n}]" for n in (2, 128, 255))),
)
def reads_every_other_byte_as_true(self: ReaderGenerator, type_: Scalar) -> str:
    """Reads every byte but 00 as true."""
    if type_.tag is Tag.BOOL:
        return f"({self.fixed('B')[0]} != 0)"
    return _scalar(self, type_)


@codec_fault(
    EDF, "EDF-BOOL-1", at=((ReaderGenerator, "scalar"),), found_by=(f"{GOLDEN}.reads[bool]", f"{WIRE}.bool[*]")
)
def reads_bools_inverted(self: ReaderGenerator, type_: Scalar) -> str:
    """Reads 00 as true and every other byte as false."""
    if type_.tag is Tag.BOOL:
        return f"({self.fixed('B')[0]} == 0)"
    return _scalar(self, type_)


@codec_fault(EDF, "EDF-ERR-5", at=((Decoder, "decode_prefix"),), found_by=(f"{GOLDEN}.malformed[error]",), subtle=True)
def percent_signs_of_errors_doubled(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Takes the text of an error for a format, as upstream does."""
    value, end = _decode_prefix(self, data, offset)
    return (value._replace(text=value.text.replace("%", "%%")) if isinstance(value, Error) else value), end


@codec_fault(
    EDF, "EDF-INT-1",
    at=((FunctionSource, "struct_method"),),
    found_by=(f"{GOLDEN}.reads[integer]",),
)  # fmt: skip
def little_endian(self: FunctionSource, method: str, codes: str) -> str:
    """Reads and writes numbers with the lowest byte first."""
    name = f"{method}_{codes.replace('?', 'o')}_little"
    self.names.setdefault(name, getattr(Struct("<" + codes), method))
    return name


@codec_fault(
    EDF, "EDF-MAP-1",
    at=((ReaderGenerator, "entries"),),
    found_by=(f"{GOLDEN}.malformed[map]", f"{WIRE}.unusual[map_dup_keys]"), subtle=True,
)  # fmt: skip
def first_of_equal_keys_wins(self: ReaderGenerator, type_: Map, n: str) -> str:
    """Keeps the first of equal keys."""
    out = _entries(self, type_, n)
    lines = self.source.lines
    at = max(i for i, line in enumerate(lines) if line.lstrip().startswith(f"{out}["))
    lines[at] = re.sub(rf"{out}\[(.*)\] = (.*)$", rf"{out}.setdefault(\1, \2)", lines[at])
    return out


@codec_fault(
    EDF, "EDF-SLICE-2", "EDF-REG-7",
    at=((ReaderGenerator, "container"),), found_by=(f"{GOLDEN}.reads[slice]", f"{GOLDEN}.reads[map]"),
)  # fmt: skip
def nil_is_empty(self: ReaderGenerator, type_: Type, nil: str = "None") -> str:
    """Reads nil slices and maps as empty ones."""
    return _container(self, type_, "[]" if nil == "None" else nil)


@codec_fault(
    EDF, "EDF-ANY-1",
    at=((Decoder, "decode_prefix"),),
    found_by=(f"{LIMITS}.chain_of_any[*]",),
)  # fmt: skip
def refuses_any_as_descriptor(self: Decoder, data: bytes, offset: int = 0) -> tuple[Any, int]:
    """Refuses 84 as a descriptor."""
    if data[offset : offset + 1] == bytes([Tag.ANY]):
        raise Rejected(Reason.UNKNOWN_TAG, "", offset)
    return _decode_prefix(self, data, offset)


# --- limits -----------------------------------------------------------------------------------------------------------

EDF.add(
    "one_any_slot_less",
    "Refuses a value whose 1024th `any` slot is open.",
    CodecFault(tuple((each, "MAX_DEPTH", MAX_DEPTH - 1) for each in (reader_generator, dynamic_readers, slow_reader))),
    "EDF-DEPTH-1",
    found_by=(f"{LIMITS}.any_slots[1024]", f"{LIMITS}.chain_of_any[1024]"),
    subtle=True,
)
EDF.add(
    "one_constructor_less",
    "Refuses a folded type of 1024 constructors.",
    CodecFault(((folded_types, "MAX_DEPTH", MAX_DEPTH - 1),)),
    "EDF-DEPTH-1",
    found_by=(f"{LIMITS}.constructors[1024]",),
    subtle=True,
)

_add: Final = DecodeTables.add


def _without(**dropped: Iterable[int]) -> Any:
    """Returns a method that leaves these ids out of the tables of a peer."""

    def add(self: DecodeTables, caches: Caches) -> None:
        kept = {
            table: {id_: each for id_, each in getattr(caches, table).items() if id_ not in ids}
            for table, ids in dropped.items()
        }
        _add(self, caches._replace(**kept) if hasattr(caches, "_replace") else _changed(caches, kept))

    return add


def _changed(caches: Caches, changes: dict[str, Any]) -> Caches:
    from dataclasses import replace

    return replace(caches, **changes)


for _name, _table, _id in (
    ("first_atom", "atoms", 256), ("last_atom", "atoms", 0xFFFF), ("first_error", "errors", 0x8000),
    ("last_error", "errors", 0xFFFE), ("first_type", "types", 4096), ("last_type", "types", 0xFFFF),
):  # fmt: skip
    EDF.add(
        f"{_name}_id_unknown",
        f"Does not know the id {_id:04x} of the announced {_table}.",
        CodecFault(((DecodeTables, "add", _without(**{_table: (_id,)})),)),
        "EDF-ATOM-1" if _table == "atoms" else "EDF-ERR-1" if _table == "errors" else "EDF-REG-3",
        found_by=(f"{LIMITS}.ids_at_both_ends[{_name}]",),
        subtle=True,
    )

_check_count: Final = SlowReader.check_count


@codec_fault(
    EDF,
    "ROB-EDF-3",
    "EDF-SLICE-3",
    at=((SlowReader, "check_count"),),
    found_by=(f"{LIMITS}.memory[huge]",),
    subtle=True,
)
def room_before_the_items(self: SlowReader, n: int, size: int, at: int) -> None:
    """Reserves room for the declared items before it looks whether their bytes are there."""
    self.room = [None] * min(n, 5_000_000)  # type: ignore[attr-defined]
    _check_count(self, n, size, at)


# --- what is kept -------------------------------------------------------------------------------------------------------


@codec_fault(
    EDF, "EDF-MAP-1",
    at=((DecodeTables, "new_key"),),
    found_by=tuple(f"{LIMITS}.keys_with_a_common_beginning[{n}]" for n in (32, 63, 64, 255)), subtle=True,
)  # fmt: skip
def keys_kept_by_their_first_32_bytes(self: DecodeTables, raw: bytes) -> str:
    """Remembers the keys of maps by their first 32 bytes."""
    text: str = _KEYS.setdefault((id(self), raw[:32]), raw.decode("utf-8", "surrogateescape"))
    return text


_KEYS: Final[dict[tuple[int, bytes], str]] = {}
_new_key: Final = DecodeTables.new_key


@codec_fault(
    EDF, "EDF-ATOM-1",
    at=((AtomTable, "__missing__"),),
    found_by=tuple(f"{LIMITS}.atoms_with_a_common_beginning[{n}]" for n in (64, 254)), subtle=True,
)  # fmt: skip
def atoms_kept_by_their_first_64_bytes(self: AtomTable, raw: bytes) -> Atom:
    """Remembers atoms by their first 64 bytes."""
    known = next((atom for text, atom in self.items() if text[:64] == raw[:64]), None)
    self[raw] = atom = known or Atom(raw.decode("utf-8", "surrogateescape"))
    return atom


@codec_fault(
    EDF,
    "EDF-ATOM-1",
    at=((AtomTable, "__missing__"),),
    found_by=(f"{LIMITS}.atoms_with_a_common_beginning[*]",),
    subtle=True,
)
def case_of_atoms_lost(self: AtomTable, raw: bytes) -> Atom:
    """Reads atoms in lower case."""
    return Atom(raw.decode("utf-8", "surrogateescape").lower())
