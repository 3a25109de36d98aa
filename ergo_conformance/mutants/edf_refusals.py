"""Faults of the reader of EDF: bytes that it has to refuse, limits, caches, and what a refusal leaves behind."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from ..errors import Reason, Rejected
from ..model.ergo.caches import NO_CACHES, Caches
from ..model.ergo.edf import Tag
from ..model.registry import Registry
from ..model.values import Atom, Error
from ..reference_node.ergo.edf import Decoder, Encoder
from .mutant import Area

EDF_REFUSALS = Area("edf_refusals")
GOLDEN = "golden.edf"
T = TypeVar("T")


def malformed(*groups: str) -> tuple[str, ...]:
    """Cases with the malformed rows of these groups."""
    return tuple(f"{GOLDEN}.malformed[{group}]" for group in groups)


def reads(*groups: str) -> tuple[str, ...]:
    """Cases that read the rows of these groups."""
    return tuple(f"{GOLDEN}.reads[{group}]" for group in groups)


def writes(*groups: str) -> tuple[str, ...]:
    """Cases that write the rows of these groups."""
    return tuple(f"{GOLDEN}.writes[{group}]" for group in groups)


class _Refused(Decoder):
    """Does something else where a value has to be refused."""

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        try:
            return super().decode_prefix(data, offset)
        except Rejected as refusal:
            return self.refused(refusal, data, offset)

    def refused(self, refusal: Rejected, data: bytes, offset: int) -> tuple[Any, int]:
        """Returns a value and its end, or raises the refusal."""
        raise refusal


class _ReadAsNil(_Refused):
    """Reads values that have to be refused for one reason as nil."""

    reason: ClassVar[Reason]

    def refused(self, refusal: Rejected, data: bytes, offset: int) -> tuple[Any, int]:
        if refusal.reason is self.reason:
            return None, len(data)
        raise refusal


@EDF_REFUSALS.fault("ROB-EDF-6", "EDF-TOP-5", found_by=malformed("truncation", "atom"))
class MissingBytesAreZero(_Refused):
    """Reads up to 255 missing bytes at the end of a value as zero."""

    def refused(self, refusal: Rejected, data: bytes, offset: int) -> tuple[Any, int]:
        if refusal.reason is not Reason.END_OF_DATA:
            raise refusal
        return Decoder.decode_prefix(self, data + bytes(255), offset)


@EDF_REFUSALS.fault("EDF-TAG-2", found_by=malformed("tag", "any"))
class UnknownTagAsNil(_ReadAsNil):
    """Reads a value with an unknown tag as nil."""

    reason = Reason.UNKNOWN_TAG


@EDF_REFUSALS.fault("EDF-FOLD-4", found_by=malformed("fold"))
class FoldedTypeAsNil(_ReadAsNil):
    """Reads a value of a malformed folded type as nil."""

    reason = Reason.FOLDED


@EDF_REFUSALS.fault("EDF-REG-10", found_by=malformed("reg"))
class UnknownTypeAsNil(_ReadAsNil):
    """Reads a value of an unknown registered type as nil."""

    reason = Reason.UNKNOWN_TYPE


@EDF_REFUSALS.fault("EDF-ATOM-3", "EDF-ERR-6", found_by=malformed("cache"))
class UnknownIdAsNil(_ReadAsNil):
    """Reads a value with an id that was never announced as nil."""

    reason = Reason.UNKNOWN_ID


@EDF_REFUSALS.fault("EDF-SLICE-4", "EDF-MAP-1", found_by=malformed("slice", "map", "struct"))
class WrongMarkerAsNil(_ReadAsNil):
    """Reads a slice or map with a wrong marker as nil."""

    reason = Reason.MARKER


@EDF_REFUSALS.fault("ROB-EDF-4", found_by=malformed("slice", "huge"))
class CountUnchecked(_ReadAsNil):
    """Reads a slice that announces more items than bytes are left as nil."""

    reason = Reason.COUNT


@EDF_REFUSALS.fault("EDF-BIN-1", "EDF-STR-1", found_by=malformed("length"), subtle=True)
class BinaryEndsWithTheInput(_ReadAsNil):
    """Reads a text or binary whose length points behind the input as nil."""

    reason = Reason.END_OF_DATA


@EDF_REFUSALS.fault("EDF-MAR-4", found_by=malformed("marshaler"))
class PayloadUnchecked(_ReadAsNil):
    """Reads a payload that its type refuses as nil."""

    reason = Reason.PAYLOAD


@EDF_REFUSALS.fault("EDF-TIME-3", found_by=malformed("time"))
class TimeUnchecked(_ReadAsNil):
    """Reads a malformed time as nil."""

    reason = Reason.TIME


@EDF_REFUSALS.fault("EDF-DOS-2", "EDF-DOS-8", found_by=malformed("hang"))
class LimitCheckedAfterAllocation(_Refused):
    """Runs out of memory where too many items without a byte have to be refused."""

    def refused(self, refusal: Rejected, data: bytes, offset: int) -> tuple[Any, int]:
        raise MemoryError if refusal.reason is Reason.EMPTY_ITEMS else refusal


@EDF_REFUSALS.fault("EDF-DEPTH-1", found_by=malformed("depth"), subtle=True)
class DepthLimitTooLow(Decoder):
    """Refuses values with a thousand open levels."""

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        value, end = super().decode_prefix(data, offset)
        inner, level = value, 0
        while isinstance(inner, list) and inner:
            inner, level = inner[0], level + 1
        if level >= 999:
            raise Rejected(Reason.DEPTH, "", offset)
        return value, end


@EDF_REFUSALS.fault(
    "ROB-EDF-7",
    found_by=tuple(
        f"{GOLDEN}.good_value_after_a_refusal[{group}]" for group in ("truncation", "length", "huge", "depth")
    ),
    subtle=True,
)
class RefusalStays(Decoder):
    """Refuses the value after a refused one, too."""

    _last: ClassVar[list[Rejected]] = []

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        if self._last:
            raise self._last.pop()
        try:
            return super().decode_prefix(data, offset)
        except Rejected as refusal:
            self._last.append(refusal)
            raise


@EDF_REFUSALS.fault("EDF-TOP-4", found_by=malformed("trailing"))
class EndOfInputIsEndOfValue(Decoder):
    """Takes the end of the input for the end of the value."""

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        return super().decode_prefix(data, offset)[0], len(data)


@EDF_REFUSALS.fault("EDF-TOP-3", found_by=malformed("nil"))
class NilRefused(Decoder):
    """Refuses nil at top level."""

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        if data[offset : offset + 1] == bytes([Tag.NIL]):
            raise Rejected(Reason.UNKNOWN_TAG, "", offset)
        return super().decode_prefix(data, offset)


@EDF_REFUSALS.fault("EDF-BOOL-1", found_by=malformed("bool"), subtle=True)
class AnyBitIsTrue(Decoder):
    """Reads a bool of any value but 0 as true."""

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        value, end = super().decode_prefix(data, offset)
        return (data[offset + 1] != 0 if isinstance(value, bool) else value), end


@EDF_REFUSALS.fault("EDF-ERR-5", found_by=malformed("error"), subtle=True)
class ErrorIsFormatted(Decoder):
    """Reads the text of an error as a format: `%` and the letter after it disappear."""

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        value, end = super().decode_prefix(data, offset)
        if isinstance(value, Error) and "%" in value.text:
            value = Error(value.text.partition("%")[0])
        return value, end


# --- caches -----------------------------------------------------------------------------------------------------------


def without_last(table: Mapping[int, T]) -> dict[int, T]:
    """A table without its greatest id."""
    return {id_: value for id_, value in table.items() if id_ != max(table)}


def without_last_ids(caches: Caches) -> Caches:
    """Caches without the greatest id of each table."""
    atoms, types, errors = without_last(caches.atoms), without_last(caches.types), without_last(caches.errors)
    return replace(caches, atoms=atoms, types=types, errors=errors)


def without_mapping(caches: Caches) -> Caches:
    """Caches without the mapping of atoms."""
    return replace(caches, atom_mapping=dict[Atom, Atom]())


@EDF_REFUSALS.fault(
    "EDF-CACHE-10",
    "EDF-ATOM-2",
    found_by=reads("cache_reg", "cache_atom", "cache_err", "cache_all"),
    subtle=True,
)
class LastReceivedIdUnknown(Decoder):
    """Does not know the greatest id that its peer has announced."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES, **more: Any) -> None:
        super().__init__(registry, without_last_ids(caches), **more)


@EDF_REFUSALS.fault(
    "EDF-CACHE-10",
    "EDF-ATOM-2",
    found_by=writes("cache_reg", "cache_atom", "cache_err", "cache_all"),
    subtle=True,
)
class LastAnnouncedIdUnused(Encoder):
    """Does not use the greatest id that it has announced."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        super().__init__(registry, without_last_ids(caches))


@EDF_REFUSALS.fault("EDF-ATOM-2", found_by=reads("atom_mapping"))
class MappingIgnoredByReader(Decoder):
    """Does not replace remote atoms by local ones."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES, **more: Any) -> None:
        super().__init__(registry, without_mapping(caches), **more)


@EDF_REFUSALS.fault("EDF-ATOM-2", found_by=writes("atom_mapping"))
class MappingIgnoredByWriter(Encoder):
    """Does not replace local atoms by remote ones."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        super().__init__(registry, without_mapping(caches))
