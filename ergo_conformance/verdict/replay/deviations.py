"""Known deviations of real nodes in captures of EHS and ENP: one row for each, recognised by frames and sockets alone."""

from collections.abc import Iterator
from typing import Any, Final

from ...model.ergo import enp
from ...model.ergo.ehs import Accept, Role
from ...spec.ergo.stream import ReadFrame
from .findings import ConnectionFinding
from .known_deviations import KnownDeviation
from .replayer import Replayer
from .timeline import SocketClosed

LONGEST_FRAME: Final = 65_536
"""Bytes of a frame that every release reads."""


def _dials_while_connected(finding: ConnectionFinding) -> bool:
    """The acceptor closed a whole handshake, without a frame, while another socket was open."""
    replayer, timeline = finding.replayer, finding.replayer.timeline
    if finding.socket not in replayer.unopened or timeline.joins(finding.socket):
        return False
    dialer = timeline.sides[finding.socket, Role.DIALER]
    is_whole = any(isinstance(message, Accept) for message in dialer.read.messages)
    is_closed = timeline.is_closed_by(replayer.peer.direction, finding.socket)
    return is_whole and is_closed and not _has_frames(replayer, finding.socket)


def _joins_closed_connection(finding: ConnectionFinding) -> bool:
    """A Join without frames, of a connection without sockets: the acceptor had removed the connection."""
    replayer = finding.replayer
    if finding.socket not in replayer.unopened or not replayer.timeline.joins(finding.socket):
        return False
    if _has_frames(replayer, finding.socket):
        return False
    closed = {event.socket for event in replayer.timeline.events if isinstance(event, SocketClosed)}
    return not closed or closed.issuperset(replayer.output.sockets)  # none: the capture does not record closing


def _proves_and_closes(finding: ConnectionFinding) -> bool:
    """An Accept to a Join without frames, after which the socket was closed or the recording ended: no such connection."""
    replayer, timeline = finding.replayer, finding.replayer.timeline
    if not isinstance(finding.unwritten, Accept) or not timeline.joins(finding.socket):
        return False
    is_last = timeline.events[-1].socket == finding.socket
    is_closed = timeline.is_closed_by(replayer.recorded.direction, finding.socket)
    return (is_last or is_closed) and not _has_frames(replayer, finding.socket)


def _mode_zero(finding: ConnectionFinding) -> bool:
    """An application started in mode 0 is shown as temporary, whatever the mode of its specification."""
    recorded, actual = _payloads(finding)
    request = _request(finding)
    started = (
        frame.message.Mode for frame in _received(finding.replayer)
        if isinstance(frame, enp.Control) and isinstance(frame.message, enp.ApplicationStart)
        and isinstance(request, list) and frame.message.Name == request[-1]
    )  # fmt: skip
    return (
        isinstance(request, list) and request[:1] == ["app_info"] and 0 in started
        and recorded == "running temporary" and actual in ("running transient", "running permanent")
    )  # fmt: skip


def _unordered_counted_later(finding: ConnectionFinding) -> bool:
    """Messages without order had not been received yet when they were counted."""
    recorded, actual = _payloads(finding)
    if _request(finding) != "count" or type(recorded) is not int or type(actual) is not int:
        return False
    unordered = [
        frame for frame in _received(finding.replayer)
        if isinstance(frame, enp.MessagePID | enp.MessageName | enp.MessageAlias) and not frame.order
    ]  # fmt: skip
    return 0 < actual - recorded <= len(unordered)


def _long_frame(finding: ConnectionFinding) -> bool:
    """The real node closed the socket because of a frame above 64 KB, and did not respond to what followed."""
    replayer = finding.replayer
    longest = max((read.end - read.start for read in _peer_frames(replayer) if read.inner is None), default=0)
    is_surplus = finding.recorded is None and finding.actual is not None
    is_closed = replayer.timeline.is_closed_by(replayer.recorded.direction, finding.socket)
    return is_surplus and is_closed and longest > LONGEST_FRAME


# --- helpers of the rows ------------------------------------------------------------------------------------------


def _has_frames(replayer: Replayer, socket: str) -> bool:
    """Returns whether either side wrote a frame on a socket."""
    return any(replayer.timeline.sides[socket, role].read.frames for role in (Role.DIALER, Role.ACCEPTOR))


def _payloads(finding: ConnectionFinding) -> tuple[Any, Any]:
    """Returns the payload of the recorded and of the actual frame; None without a frame."""
    frames = (finding.recorded, finding.actual)
    recorded, actual = (getattr(frame.value, "payload", None) if frame else None for frame in frames)
    return recorded, actual


def _request(finding: ConnectionFinding) -> Any:
    """Returns the payload of the request that the recorded frame responds to; None if there is none."""
    ref = getattr(finding.recorded.value, "ref", None) if finding.recorded else None
    return finding.replayer.matcher.requests.get(ref) if ref else None


def _peer_frames(replayer: Replayer) -> Iterator[ReadFrame]:
    return (read for _, read in replayer.timeline.frames(replayer.peer.direction))


def _received(replayer: Replayer) -> Iterator[Any]:
    """Yields the peer's frames, decompressed."""
    return ((read.inner or read).value for read in _peer_frames(replayer))


CONNECTION_DEVIATIONS: Final = (
    KnownDeviation("NAPI-CON-7", "upstream dials a node to which it is already connected", _dials_while_connected),
    KnownDeviation(
        "EHS-JOIN-4", "upstream proves the cookie to a Join before it closes the socket", _proves_and_closes
    ),
    KnownDeviation("ENP-RED-3", "upstream repeats Join for a connection that is closed", _joins_closed_connection),
    KnownDeviation("ENP-APP-2", "upstream treats mode 0 as temporary", _mode_zero),
    KnownDeviation(
        "ENP-ORD-4", "messages with order byte 0 may be received later than others", _unordered_counted_later
    ),
    KnownDeviation("ENP-SIZE-3", "releases 3.0 and 3.1.0 close the socket on a frame above 64 KB", _long_frame),
)
