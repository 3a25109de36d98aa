"""Recorded peers: our node takes the place of one real node of a capture, and the other side is played to it.

What it writes has to be what the real node wrote: the same frames on the same links, ids that each run chooses anew aside.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from ...errors import UsageError
from ...peers.link import VirtualLoop
from ..captures import Capture
from ..captures.load import UDP
from ..vectors import Difference
from .excuses import EXCUSES, Excuse, judge
from .player import Player
from .script import read
from .stage import role_of

__all__ = ["EXCUSES", "Excuse", "Played", "play", "roles"]


@dataclass
class Played:
    """How one role went."""

    role: str
    messages: int = 0
    frames: int = 0
    differences: list[Difference] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    """Ids of the rows that excuse a difference."""

    @property
    def checked(self) -> int:
        """Messages and frames that were the recorded ones."""
        return self.messages + self.frames

    def __str__(self) -> str:
        text = f"{self.messages} handshake messages, {self.frames} frames as recorded"
        excused = ", ".join(f"{n} × {id_}" for id_, n in self.excused.items())
        return f"{text}; excused: {excused}" if excused else text


def roles(capture: Capture, wanted: str | None = None) -> list[str]:
    """The sides that our node can take: written by a real node, from the handshake on. UsageError for one there is not."""
    named = [str(writer) for writer in capture.meta["sides"].values()]
    if wanted is not None and wanted not in named:
        raise UsageError(f"{capture.path}: no side {wanted!r}; there are {', '.join(dict.fromkeys(named))}")
    links = [link for link in capture.links() if capture.speaks("ehs", link)]
    return [
        direction for direction in capture.meta["sides"]
        if links and not direction.endswith(UDP)
        and not any(capture.is_scripted(link, direction) or capture.is_cut(link, direction, "start") for link in links)
        and wanted in (None, capture.writer(direction))
    ]  # fmt: skip


def play(capture: Capture, direction: str) -> Played:
    """Plays one role."""
    script = read(capture)
    other = next(side for side in capture.meta["sides"] if side != direction)
    player = Player(script, role_of(script, direction), role_of(script, other))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(player.run())
    differences, excused = judge(player)
    return Played(
        capture.writer(direction), player.messages, player.matcher.agreed, differences,
        Counter(excuse.id for excuse, _ in excused),
    )  # fmt: skip
