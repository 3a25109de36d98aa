"""Reader of folded types: descriptors of a slice, array or map, in prefix notation."""

from collections.abc import Callable
from typing import Final

from ....errors import Reason, Rejected
from ....model.ergo.edf import MAX_DEPTH, SCALAR_TAGS, Tag
from ....model.registry import Row
from ....model.types import ANY, Array, Map, Reg, Scalar, Slice, Type

RowAt = Callable[[bytes, int, int], tuple[Row, int]]

_LEAVES: Final[dict[int, Type]] = {tag: Scalar(tag) for tag in SCALAR_TAGS} | {Tag.ANY: ANY}


def parse_folded_type(b: bytes, o: int, end: int, row_at: RowAt) -> Type:
    """Reads the type described by b[o:end] in one pass. Raises Rejected, with offsets from the start of b."""
    if o < end and b[o] not in (Tag.SLICE, Tag.ARRAY, Tag.MAP):
        unknown = b[o] not in _LEAVES and b[o] != Tag.REG
        raise Rejected(Reason.UNKNOWN_TAG if unknown else Reason.FOLDED, "", o, f"tag {b[o]:02x}")
    open_: list[
        tuple[int, int | Type | None]
    ] = []  # tag of the constructor, and length of an array or key type of a map
    while True:
        if o >= end:
            raise Rejected(Reason.END_OF_DATA, "", o, "folded type")
        tag = b[o]
        o += 1
        if tag in (Tag.SLICE, Tag.MAP, Tag.ARRAY):
            if len(open_) >= MAX_DEPTH:
                raise Rejected(Reason.DEPTH, "", o, "folded type")
            length = None
            if tag == Tag.ARRAY:
                if o + 4 > end:
                    raise Rejected(Reason.END_OF_DATA, "", o, "folded type")
                length = int.from_bytes(b[o : o + 4], "big")
                o += 4
            open_.append((tag, length))
            continue
        if tag == Tag.REG:
            row, o = row_at(b, o, end)
            type_: Type = Reg(row.name)
        elif tag in _LEAVES:
            type_ = _LEAVES[tag]
        else:
            raise Rejected(Reason.UNKNOWN_TAG, "", o - 1, f"tag {tag:02x}")
        while open_:
            constructor, extra = open_.pop()
            if constructor == Tag.MAP and extra is None:
                open_.append((constructor, type_))
                break
            type_ = _construct(extra, type_)
        else:
            if o != end:
                raise Rejected(Reason.FOLDED, "", o, "trailing bytes after a complete type")
            return type_


def _construct(extra: int | Type | None, inner: Type) -> Type:
    if isinstance(extra, Type):
        return Map(extra, inner)
    return Slice(inner) if extra is None else Array(extra, inner)
