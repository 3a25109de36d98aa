"""The result of checking one capture."""

from dataclasses import dataclass, field

from ..vectors.difference import Difference


@dataclass
class Counts:
    """Numbers of checked parts of a capture."""

    sockets: int = 0
    messages: int = 0
    """Handshake messages."""
    digests: int = 0
    frames: int = 0
    compressed: int = 0
    bytes: int = 0
    packets: int = 0
    proofs: int = 0
    """Proofs of a token in Saturn handshakes."""
    refused: int = 0
    """Inputs of scripts that the readers refuse."""

    @property
    def checked(self) -> int:
        """Messages, frames and packets."""
        return self.messages + self.frames + self.packets

    def __str__(self) -> str:
        parts = []
        if self.sockets:
            parts = [f"{self.sockets} sockets", f"{self.messages} handshake messages", f"{self.digests} digests"]
        if self.frames:
            parts.append(f"{self.frames} frames ({self.compressed} compressed)")
        if self.packets:
            parts.append(f"{self.packets} packets")
        if self.proofs:
            parts.append(f"{self.proofs} proofs of a token")
        parts.append(f"{self.bytes:,} bytes")
        if self.refused:
            parts.append(f"{self.refused} scripted inputs refused")
        return ", ".join(parts)


@dataclass
class CaptureResult:
    """The counts of a capture, and the differences found."""

    counts: Counts = field(default_factory=Counts)
    differences: list[Difference] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        """Adds a difference."""
        self.differences.append(Difference(place, text))
