"""Faults of the codec of EDF in single types: each is one mutant that reads, and one that writes values like that."""

from collections.abc import Callable
from typing import Any

from ..model.types import Reg
from ..model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed
from ..reference_node.ergo.edf import Decoder, Encoder
from .faults import ClassFault
from .mutant import Area

EDF_VALUES = Area("edf_values")
Change = Callable[[Any], Any]
"""Returns another value in place of a value; its parts are changed already."""
MAX_BYTE = 255


def mapped(value: Any, change: Change) -> Any:
    """A value in which each part, from the innermost on, is changed."""
    if isinstance(value, Typed):
        return change(Typed(value.type, mapped(value.value, change)))
    if isinstance(value, tuple):
        value = tuple.__new__(type(value), [mapped(item, change) for item in value])
    elif isinstance(value, list):
        value = [mapped(item, change) for item in value]
    elif isinstance(value, dict):
        value = {mapped(key, change): mapped(item, change) for key, item in value.items()}
    return change(value)


class _Reading(Decoder):
    """Changes values that are read, except those nested too deep for `mapped`."""

    change: Change

    def decode(self, data: bytes) -> Any:
        return self._changed(super().decode(data))

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        value, end = super().decode_prefix(data, offset)
        return self._changed(value), end

    def _changed(self, value: Any) -> Any:
        try:
            return mapped(value, self.change)
        except RecursionError:
            return value


class _Writing(Encoder):
    """Changes values that are written, with the same exception."""

    change: Change

    def encode(self, value: Any) -> bytes:
        try:
            changed = mapped(value, self.change)
        except RecursionError:
            changed = value
        return super().encode(changed)


def both(
    *requirements: str, reads: tuple[str, ...], writes: tuple[str, ...] | None = None, subtle: bool = False
) -> Callable[[Change], Change]:
    """Declares a change as two mutants; its docstring completes "Reads …" and "Writes …".

    `reads`, `writes`: the groups of golden rows that find them; the same groups by default.
    """

    def declare(change: Change) -> Change:
        text = " ".join((change.__doc__ or "").split())
        for base, verb, kind, groups in (
            (_Reading, "Reads", "reads", reads),
            (_Writing, "Writes", "writes", writes or reads),
        ):
            faulty = type(base.__name__, (base,), {"change": staticmethod(change), "__module__": __name__})
            EDF_VALUES.add(
                f"{kind}_{change.__name__}",
                f"{verb} {text[:1].lower()}{text[1:]}",
                ClassFault(faulty),
                *requirements,
                found_by=tuple(f"golden.edf.{kind}[{group}]" for group in groups),
                subtle=subtle,
            )
        return change

    return declare


# --- scalars ----------------------------------------------------------------------------------------------------------


@both("EDF-BOOL-1", reads=("bool",))
def inverted_bools(value: Any) -> Any:
    """True as false, and false as true."""
    return not value if isinstance(value, bool) else value


@both("EDF-INT-1", reads=("integer",))
def integers_without_sign(value: Any) -> Any:
    """Negative integers without their sign."""
    return abs(value) if type(value) is int else value


@both("EDF-FLOAT-1", reads=("float",), subtle=True)
def floats_without_negative_zero(value: Any) -> Any:
    """-0.0 as 0.0."""
    return value + 0.0 if isinstance(value, float) else value


@both("EDF-STR-1", reads=("string",), subtle=True)
def strings_without_foreign_bytes(value: Any) -> Any:
    """Bytes of strings that are not UTF-8 as question marks."""
    return value.encode("utf-8", "replace").decode() if type(value) is str else value


@both("EDF-BIN-1", reads=("binary",))
def binaries_without_last_byte(value: Any) -> Any:
    """Binaries without their last byte."""
    return value[:-1] if isinstance(value, bytes) else value


@both("EDF-ATOM-1", reads=("atom",), subtle=True)
def atoms_of_254_bytes(value: Any) -> Any:
    """Atoms of 255 bytes without their last byte."""
    return Atom(value[: MAX_BYTE - 1]) if isinstance(value, Atom) else value


@both("EDF-ID-1", reads=("pid",), subtle=True)
def pids_with_positive_creation(value: Any) -> Any:
    """The creation of a PID without its sign."""
    return value._replace(creation=abs(value.creation)) if isinstance(value, PID) else value


@both("EDF-ID-1", reads=("process_id",))
def names_before_nodes(value: Any) -> Any:
    """The name of a process ID in place of its node, and its node in place of its name."""
    return ProcessID(value.name, value.node) if isinstance(value, ProcessID) else value


@both("EDF-ID-1", reads=("event",))
def events_without_node(value: Any) -> Any:
    """An event with the name of the event in place of its node."""
    return Event(value.name, value.name) if isinstance(value, Event) else value


@both("EDF-ID-1", reads=("ref",))
def references_in_reverse(value: Any) -> Any:
    """The words of a reference in reverse order."""
    return value._replace(id=value.id[::-1]) if isinstance(value, Ref) else value


@both("EDF-ID-1", reads=("alias",), subtle=True)
def aliases_of_two_words(value: Any) -> Any:
    """The third word of an alias as 0."""
    return value._replace(id=(*value.id[:2], 0)) if isinstance(value, Alias) else value


@both("EDF-TIME-1", reads=("time",), subtle=True)
def times_in_microseconds(value: Any) -> Any:
    """Times in whole microseconds."""
    return value._replace(nanos=value.nanos // 1000 * 1000) if isinstance(value, Time) else value


@both("EDF-ERR-1", reads=("error",), subtle=True)
def errors_up_to_a_colon(value: Any) -> Any:
    """The text of a wrapped error up to its first colon."""
    return value._replace(text=value.text.partition(":")[0]) if isinstance(value, Error) else value


# --- containers -------------------------------------------------------------------------------------------------------


@both("EDF-SLICE-2", reads=("slice",), subtle=True)
def empty_slices_as_nil(value: Any) -> Any:
    """Empty slices as nil."""
    return None if value == [] and isinstance(value, list) else value


@both("EDF-ANY-1", reads=("any",), subtle=True)
def slices_without_nil(value: Any) -> Any:
    """Slices without their items that are nil."""
    return [item for item in value if item is not None] if isinstance(value, list) else value


@both("EDF-ARR-1", reads=("array",))
def arrays_in_reverse(value: Any) -> Any:
    """The items of an array in reverse order."""
    return value[::-1] if type(value) is tuple else value


@both("EDF-MAP-1", reads=("map",))
def maps_without_last_entry(value: Any) -> Any:
    """Maps without their last entry."""
    return dict(list(value.items())[:-1]) if isinstance(value, dict) else value


@both("EDF-REG-4", reads=("registered", "cache_reg", "marshaler"))
def registered_types_without_name(value: Any) -> Any:
    """Registered types as their underlying types."""
    return value.value if isinstance(value, Typed) and isinstance(value.type, Reg) else value


BUILT_IN = (PID, ProcessID, Alias, Ref, Event, Error, Time, Typed)


@both("EDF-REG-5", "EDF-REG-1", reads=("struct", "handshake", "registrar", "proto", "framework"))
def structs_with_swapped_fields(value: Any) -> Any:
    """The first two fields of a struct in the wrong order."""
    if not isinstance(value, tuple) or type(value) is tuple or isinstance(value, BUILT_IN):
        return value
    return tuple.__new__(type(value), [*value[1::-1], *value[2:]])
