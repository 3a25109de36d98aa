"""Replays one side of a capture, of EHS and ENP or of Saturn."""

import asyncio
from collections.abc import Mapping
from typing import Final

from ...errors import UsageError
from ...peers.memory import VirtualLoop
from ..captures import Capture
from ..captures.load import UDP
from ..captures.saturn import CLIENT
from ..vectors.difference import Difference
from .deviations import CONNECTION_DEVIATIONS
from .findings import describe, findings
from .known_deviations import unexplained
from .replayer import Replayer
from .result import ReplayResult
from .saturn.deviations import SATURN_DEVIATIONS
from .saturn.replayer import SaturnReplayer
from .saturn.timeline import connections
from .setup import recorded_node
from .timeline import Timeline, timeline_of

KNOWN_DEVIATIONS: Final[Mapping[str, str]] = {
    **{row.id: row.text for row in CONNECTION_DEVIATIONS},
    **{row.id: row.text for row in SATURN_DEVIATIONS},
}
"""Texts of all known deviations, by their ids."""


def replayable_directions(capture: Capture, side: str | None = None) -> list[str]:
    """Returns the directions whose writer the reference node can replace: a real node, recorded from the handshake on.

    `side`: only the node with this name. Raises UsageError if the capture has no such node.
    """
    named = [str(writer) for writer in capture.meta["sides"].values()]
    if side is not None and side not in named:
        raise UsageError(f"{capture.path}: unknown side {side!r} (sides: {', '.join(dict.fromkeys(named))})")
    if capture.speaks("saturn"):
        return [CLIENT] if side in (None, capture.writer(CLIENT)) and connections(capture) else []
    sockets = [socket for socket in capture.sockets() if capture.speaks("ehs", socket)]

    def is_recorded(direction: str) -> bool:
        return not any(
            capture.is_scripted(socket, direction) or capture.is_cut(socket, direction, "start") for socket in sockets
        )

    return [
        direction for direction in capture.meta["sides"]
        if sockets and not direction.endswith(UDP) and is_recorded(direction)
        and side in (None, capture.writer(direction))
    ]  # fmt: skip


def replay(capture: Capture, direction: str) -> ReplayResult:
    """Replays a capture with the reference node in the place of the node that writes in `direction`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        if capture.speaks("saturn"):
            return runner.run(_replay_saturn(capture))
        return runner.run(_replay_connections(capture, timeline_of(capture), direction))


async def _replay_connections(capture: Capture, timeline: Timeline, direction: str) -> ReplayResult:
    other = next(side for side in capture.meta["sides"] if side != direction)
    replayer = Replayer(timeline, recorded_node(timeline, direction), recorded_node(timeline, other))
    await replayer.run()
    rest, deviations = unexplained(findings(replayer), CONNECTION_DEVIATIONS)
    differences = [*replayer.differences, *replayer.matcher.differences]
    differences += (Difference(f"socket {finding.socket} {direction}", describe(finding)) for finding in rest)
    frames = replayer.matcher.matched
    return ReplayResult(
        capture.writer(direction), replayer.output.messages, frames, "handshake messages", differences, deviations
    )


async def _replay_saturn(capture: Capture) -> ReplayResult:
    replayer = SaturnReplayer(capture)
    await replayer.run()
    rest, deviations = unexplained(replayer.findings, SATURN_DEVIATIONS)
    differences = [*replayer.differences]
    differences += (Difference(f"socket {finding.socket} {CLIENT}", str(finding)) for finding in rest)
    return ReplayResult(capture.writer(CLIENT), replayer.matched, None, "messages", differences, deviations)
