"""Recorded peers: our node takes the place of one real node of a capture, and the other side is played to it.

What it writes has to be what the real node wrote: the same frames on the same links, ids that each run chooses anew aside.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from ...errors import UsageError
from ...peers.memory import VirtualLoop
from ..captures import Capture
from ..captures.load import UDP
from ..captures.saturn import CLIENT
from ..vectors.edf import Difference
from .excuses import EXCUSES, Excuse, judge
from .player import Player
from .saturn import SATURN_EXCUSES, SaturnPlayer
from .saturn_script import connections
from .script import read
from .stage import role_of

__all__ = ["EXCUSES", "SATURN_EXCUSES", "Excuse", "Played", "play", "roles"]


@dataclass
class Played:
    """How one role went."""

    role: str
    messages: int = 0
    frames: int = 0
    kind: str = "handshake messages"
    differences: list[Difference] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    """Ids of the rows that excuse a difference."""

    @property
    def checked(self) -> int:
        """Messages and frames that were the recorded ones."""
        return self.messages + self.frames

    def __str__(self) -> str:
        frames = f", {self.frames} frames" if self.frames or self.kind == "handshake messages" else ""
        text = f"{self.messages} {self.kind}{frames} as recorded"
        excused = ", ".join(f"{n} × {id_}" for id_, n in self.excused.items())
        return f"{text}; excused: {excused}" if excused else text


def roles(capture: Capture, wanted: str | None = None) -> list[str]:
    """The sides that our node can take: written by a real node, from the handshake on. UsageError for one there is not."""
    named = [str(writer) for writer in capture.meta["sides"].values()]
    if wanted is not None and wanted not in named:
        raise UsageError(f"{capture.path}: no side {wanted!r}; there are {', '.join(dict.fromkeys(named))}")
    if capture.speaks("saturn"):
        return [CLIENT] if wanted in (None, capture.writer(CLIENT)) and connections(capture) else []
    links = [link for link in capture.links() if capture.speaks("ehs", link)]
    return [
        direction for direction in capture.meta["sides"]
        if links and not direction.endswith(UDP)
        and not any(capture.is_scripted(link, direction) or capture.is_cut(link, direction, "start") for link in links)
        and wanted in (None, capture.writer(direction))
    ]  # fmt: skip


def play(capture: Capture, direction: str) -> Played:
    """Plays one role."""
    if capture.speaks("saturn"):
        return _play_saturn(capture)
    script = read(capture)
    other = next(side for side in capture.meta["sides"] if side != direction)
    player = Player(script, role_of(script, direction), role_of(script, other))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(player.run())
    differences, excused = judge(player)
    return Played(
        capture.writer(direction), player.messages, player.matcher.agreed, differences=differences,
        excused=Counter(excuse.id for excuse, _ in excused),
    )  # fmt: skip


def _play_saturn(capture: Capture) -> Played:
    player = SaturnPlayer(capture)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(player.run())
    excused = player.judge()
    return Played(capture.writer(CLIENT), player.agreed, 0, "messages", player.differences, excused)
