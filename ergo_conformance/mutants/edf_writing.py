"""Faults of the codec: writers."""

from struct import Struct
from typing import Any, Final

from ..model.ergo.edf import NIL_ERROR
from ..model.inferred import INTEGERS
from ..model.text import text_to_bytes
from ..model.types import Type
from ..reference_node.ergo.edf import (
    runtime,
    slow_writer,
    tables,
    times,
)
from .edf_faults import CodecFault, codec_fault
from .mutant import Area

EDF_WRITING = Area("edf_writing")
GOLDEN, LIMITS = "golden.edf", "golden.edf_limits"

# --- writers ----------------------------------------------------------------------------------------------------------

EDF_WRITING.add(
    "seconds_of_offsets_without_sign",
    "Reads the seconds of a time's offset without a sign.",
    CodecFault(((times, "_SECONDS", Struct(">B")),)),
    "EDF-TIME-1",
    found_by=(f"{GOLDEN}.reads[time]",),
    subtle=True,
)
EDF_WRITING.add(
    "atoms_of_256_bytes_written",
    "Writes atoms of more than 255 bytes: their length reads as an id.",
    CodecFault(((tables, "MAX_ATOM", 300),)),
    "EDF-ATOM-1",
    "EDF-ID-2",
    found_by=(f"{LIMITS}.refused_by_the_writer[atom]", f"{LIMITS}.refused_by_the_writer[node_of_a_pid]"),
    subtle=True,
)
EDF_WRITING.add(
    "errors_of_32768_bytes_written",
    "Writes errors of more than 32767 bytes: their length reads as an id.",
    CodecFault(((runtime, "MAX_ERROR", 40_000),)),
    "EDF-ERR-1",
    found_by=(f"{LIMITS}.refused_by_the_writer[error]",),
    subtle=True,
)
EDF_WRITING.add(
    "first_ids_not_written",
    "Writes the text of an atom in place of the id 256, and the name of a type in place of 4096.",
    CodecFault(((tables, "FIRST_ATOM_ID", 257), (tables, "FIRST_TYPE_ID", 4097))),
    "EDF-ATOM-1",
    "EDF-REG-3",
    found_by=(f"{LIMITS}.ids_at_both_ends[first_atom]", f"{LIMITS}.ids_at_both_ends[first_type]"),
    subtle=True,
)
EDF_WRITING.add(
    "last_error_id_not_written",
    "Writes the text of an error in place of the id fffe.",
    CodecFault(((tables, "NIL_ERROR", NIL_ERROR - 1),)),
    "EDF-ERR-1",
    found_by=(f"{LIMITS}.ids_at_both_ends[last_error]",),
    subtle=True,
)


@codec_fault(
    EDF_WRITING, "EDF-STR-1",
    at=((slow_writer, "_text"),),
    found_by=tuple(f"{LIMITS}.refused_by_the_writer[{which}]" for which in ("string", "string_in_a_slice")), subtle=True,
)  # fmt: skip
def long_strings_are_cut(value: str) -> bytes:
    """Cuts strings that are too long in place of refusing them."""
    return text_to_bytes(value)[:65_535]


_integer_of: Final = slow_writer._integer


@codec_fault(
    EDF_WRITING, "EDF-TAG-1",
    at=((slow_writer, "_integer"),),
    found_by=tuple(f"{LIMITS}.refused_by_the_writer[{which}]" for which in ("int8", "uint16", "uint", "int")), subtle=True,
)  # fmt: skip
def numbers_are_cut(type_: Type, value: Any) -> bytes:
    """Drops the bits of a number that its type does not have."""
    bits, signed = INTEGERS[type_]
    value %= 1 << bits
    return _integer_of(type_, value - (1 << bits) if signed and value >> (bits - 1) else value)
