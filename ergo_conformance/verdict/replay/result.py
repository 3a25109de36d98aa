"""The result of replaying one side of a capture."""

from collections import Counter
from dataclasses import dataclass, field

from ..vectors.difference import Difference


@dataclass
class ReplayResult:
    """Messages and frames that were as recorded, differences, and known deviations by their ids."""

    side: str
    """The name of the replaced node in the capture."""
    messages: int
    frames: int | None
    """None for a protocol without frames after its messages."""
    kind: str
    """The name of the messages, in the plural."""
    differences: list[Difference] = field(default_factory=list)
    deviations: Counter[str] = field(default_factory=Counter)

    @property
    def checked(self) -> int:
        """Messages and frames that were as recorded."""
        return self.messages + (self.frames or 0)

    def __str__(self) -> str:
        frames = "" if self.frames is None else f", {self.frames} frames"
        text = f"{self.messages} {self.kind}{frames} as recorded"
        known = ", ".join(f"{n} × {id_}" for id_, n in self.deviations.items())
        return f"{text}; known deviations: {known}" if known else text
