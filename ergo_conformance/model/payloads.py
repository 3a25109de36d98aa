"""Payload rules of marshaler types: which payloads a type accepts, and the form in which it writes them.

On the wire a marshaler is `u32 n` and n bytes that only the type understands. Readers keep the bytes raw, refuse those
that the type refuses, and compare canonical forms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from .types import UINT8, UINT16, UINT32, UINT64, Type


class Payload(Protocol):
    """The rule of one marshaler."""

    def refusal(self, payload: bytes) -> str | None:
        """Returns why the type refuses these bytes, or None if it accepts them."""

    def canonical(self, payload: bytes) -> bytes:
        """Returns the bytes that the type writes for the value of an accepted payload."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """Any bytes, kept unchanged; a first byte in `refused_first` is refused."""

    refused_first: bytes = b""

    def refusal(self, payload: bytes) -> str | None:
        return f"first byte {payload[0]:02x}" if payload and payload[0] in self.refused_first else None

    def canonical(self, payload: bytes) -> bytes:
        return payload


@dataclass(frozen=True, slots=True)
class Ignored:
    """Accepts any bytes and discards them; writes none."""

    def refusal(self, payload: bytes) -> str | None:  # noqa: ARG002  every payload is accepted
        return None

    def canonical(self, payload: bytes) -> bytes:  # noqa: ARG002  no byte of it is kept
        return b""


_MOST_DIGITS: Final = 19  # of a 64-bit number


@dataclass(frozen=True, slots=True)
class Decimal:
    """A signed 64-bit number as ASCII decimal text."""

    def refusal(self, payload: bytes) -> str | None:
        digits = payload[1:] if payload[:1] == b"-" else payload
        if not digits.isdigit() or len(digits) > _MOST_DIGITS or not -(2**63) <= int(payload) < 2**63:
            return "not a decimal number of 64 bits"
        return None

    def canonical(self, payload: bytes) -> bytes:
        return b"%d" % int(payload)


@dataclass(frozen=True, slots=True)
class BitSet:
    """A big-endian bit set of `width` bytes; later bytes and bits outside `known` are ignored; without `enable` all are 0."""

    width: int
    known: int
    enable: int

    def refusal(self, payload: bytes) -> str | None:
        return f"fewer than {self.width} bytes" if len(payload) < self.width else None

    def canonical(self, payload: bytes) -> bytes:
        bits = int.from_bytes(payload[: self.width], "big") & self.known
        return (bits if bits & self.enable else 0).to_bytes(self.width, "big")


_WIDTHS: Final[Mapping[Type, int]] = {UINT8: 1, UINT16: 2, UINT32: 4, UINT64: 8}


@dataclass(frozen=True, slots=True)
class Layout:
    """Numbers of fixed width; with `rest` followed by any bytes, else by none."""

    fields: tuple[Type, ...]
    rest: bool

    def refusal(self, payload: bytes) -> str | None:
        width = sum(_WIDTHS[field] for field in self.fields)
        fits = len(payload) >= width if self.rest else len(payload) == width
        return None if fits else f"{len(payload)} bytes, expected {width}"

    def canonical(self, payload: bytes) -> bytes:
        return payload
