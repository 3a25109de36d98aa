"""Findings of a replay of Saturn: messages that the reference node did not write as recorded."""

from dataclasses import dataclass

from ....model.ergo.saturn import Message
from .client import RecordedClient


@dataclass(frozen=True, slots=True)
class SaturnFinding:
    """A message that the real client wrote, one that the registrar wrote, or both."""

    socket: str
    recorded: Message | None
    actual: Message | None
    client: RecordedClient

    def __str__(self) -> str:
        return f"wrote {self.actual or 'nothing'}; recorded: {self.recorded or 'nothing'}"
