"""Findings of a replay of EHS and ENP: frames, sockets and messages that the reference node did not write as recorded."""

from collections.abc import Iterator
from dataclasses import dataclass

from ...model.ergo import enp
from ...model.ergo.ehs import Message
from .matching import SentFrame
from .replayer import Replayer


@dataclass(frozen=True, slots=True)
class ConnectionFinding:
    """One finding: a recorded frame, an actual frame, or both; a handshake message that only the real node wrote.

    Without any of these: a socket that only the real node opened.
    """

    replayer: Replayer
    socket: str
    recorded: SentFrame | None = None
    actual: SentFrame | None = None
    unwritten: Message | None = None


def findings(replayer: Replayer) -> Iterator[ConnectionFinding]:
    """Yields the findings of a finished replay. Missing and surplus responses to one request are one finding."""
    surplus = list(replayer.matcher.surplus)
    for recorded in replayer.matcher.missing:
        if recorded.socket in replayer.unopened:
            continue
        actual = next((frame for frame in surplus if _is_same_response(recorded, frame)), None)
        if actual is not None:
            surplus.remove(actual)
        yield ConnectionFinding(replayer, recorded.socket, recorded, actual)
    for frame in surplus:
        yield ConnectionFinding(replayer, frame.socket, actual=frame)
    for socket in replayer.unopened:
        yield ConnectionFinding(replayer, socket)
    for socket, message in replayer.output.unwritten():
        yield ConnectionFinding(replayer, socket, unwritten=message)


def _is_same_response(recorded: SentFrame, actual: SentFrame) -> bool:
    """Returns whether two frames respond to the same request."""
    a, b = recorded.value, actual.value
    return isinstance(a, enp.Response | enp.ResponseError) and getattr(b, "ref", None) == a.ref


def describe(finding: ConnectionFinding) -> str:
    """Describes a finding that is a difference."""
    if finding.unwritten is not None:
        return f"did not write {finding.unwritten!r:.300}"
    if finding.recorded is None and finding.actual is None:
        return "was opened by the real node and not by the reference node"
    return f"wrote {finding.actual or 'no such frame'}; recorded: {finding.recorded or 'nothing'}"
