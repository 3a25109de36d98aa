"""EDF, the Ergo Data Format (protocol documents: EDF-…)."""

from typing import Any

from ....errors import CannotEncode, Rejected
from ...parse import Parsed, build, parse
from .context import EdfContext
from .values import schemas

__all__ = ["EdfContext", "decode", "encode", "schemas"]


def decode(data: bytes, context: EdfContext, *, prefix: bool = False, offset: int = 0) -> Parsed | Rejected:
    """Reads one value with its descriptor."""
    return parse(schemas(context.registry).value, data, context, prefix=prefix, offset=offset)


def encode(value: Any, context: EdfContext) -> bytes:
    """Writes one value with its descriptor. Raises CannotEncode; nil has no encoding at top level (EDF-TOP-3)."""
    data = build(schemas(context.registry).value, value, context)
    if value is None or data == b"\xff":
        raise CannotEncode("nil has no encoding at top level")
    return data
