"""Where our node does otherwise than a real one did, and may: one row for each bug or freedom, told by frames alone."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from ...model.ergo import enp
from ...model.ergo.ehs import Accept, Message, Role
from ...spec.ergo.stream import ReadFrame
from ..vectors.edf import Difference
from .matching import Frame
from .player import Player
from .script import Closed, Spoken


class Finding(NamedTuple):
    """What differs: a frame that the real node wrote, one that ours wrote, both, or a link that only the real one opened.

    `unsaid`: a message of the handshake that only the real one wrote.
    """

    recorded: Frame | None
    ours: Frame | None
    link: str
    unsaid: Message | None = None


class Excuse(NamedTuple):
    """A statement by its id, what it says, and which findings it explains."""

    id: str
    text: str
    covers: Callable[[Player, Finding], bool]


def judge(player: Player) -> tuple[list[Difference], list[tuple[Excuse, Finding]]]:
    """What really differs, and what is excused by which row."""
    differences = [*player.differences, *player.matcher.differences]
    excused: list[tuple[Excuse, Finding]] = []
    for finding in _findings(player):
        excuse = next((row for row in EXCUSES if row.covers(player, finding)), None)
        if excuse is None:
            differences += _tell(player, finding)
        else:
            excused.append((excuse, finding))
    return differences, excused


def _findings(player: Player) -> Iterator[Finding]:
    surplus = list(player.matcher.surplus)
    for recorded in player.matcher.missing:
        if recorded.link in player.unopened:
            continue
        ours = next((frame for frame in surplus if _belong(recorded, frame)), None)
        if ours is not None:
            surplus.remove(ours)
        yield Finding(recorded, ours, recorded.link)
    for frame in surplus:
        yield Finding(None, frame, frame.link)
    for link in player.unopened:
        yield Finding(None, None, link)
    for link, message in player.unsaid:
        yield Finding(None, None, link, message)


def _belong(recorded: Frame, ours: Frame) -> bool:
    """Whether two frames answer the same request."""
    a, b = recorded.value, ours.value
    return isinstance(a, enp.Response | enp.ResponseError) and getattr(b, "ref", None) == a.ref


def _tell(player: Player, finding: Finding) -> Iterator[Difference]:
    where = f"link {finding.link} {player.role.direction}"
    if finding.unsaid is not None:
        yield Difference(where, f"did not write {finding.unsaid!r:.300}")
        return
    if finding.recorded is None and finding.ours is None:
        yield Difference(where, "was opened by the real node and not by ours")
        return
    wrote = "nothing of the kind" if finding.ours is None else str(finding.ours)
    yield Difference(where, f"wrote {wrote}; recorded: {finding.recorded or 'nothing'}")


# --- the rows ---------------------------------------------------------------------------------------------------------


def _dials_though_connected(player: Player, finding: Finding) -> bool:
    """A whole handshake, closed by the acceptor without a frame, while another link was open."""
    if finding.link not in player.unopened or player.script.joins(finding.link):
        return False
    dialer, acceptor = (player.script.sides[finding.link, role] for role in (Role.DIALER, Role.ACCEPTOR))
    whole = any(isinstance(message, Accept) for message in dialer.read.messages)
    return whole and not dialer.read.frames and not acceptor.read.frames and _other_closed(player, finding.link)


def _joins_without_pause(player: Player, finding: Finding) -> bool:
    """A Join of a connection without links, which carried no frame: the acceptor had dropped the connection."""
    if finding.link not in player.unopened or not player.script.joins(finding.link):
        return False
    sides = [player.script.sides[finding.link, role] for role in (Role.DIALER, Role.ACCEPTOR)]
    return not any(side.read.frames for side in sides) and all(
        _is_closed(player, link) for link in player.matcher.links
    )


def _proves_and_closes(player: Player, finding: Finding) -> bool:
    """An Accept to a Join, and the close of that link, or the end of the recording, without a frame: no such connection."""
    if not isinstance(finding.unsaid, Accept) or not player.script.joins(finding.link):
        return False
    sides = [player.script.sides[finding.link, role] for role in (Role.DIALER, Role.ACCEPTOR)]
    last = player.script.happenings[-1].link == finding.link
    return not any(side.read.frames for side in sides) and (last or _own_close(player, finding.link))


def _other_closed(player: Player, link: str) -> bool:
    return any(
        isinstance(happening, Closed) and happening.link == link and happening.by == player.other.direction
        for happening in player.script.happenings
    )


def _is_closed(player: Player, link: str) -> bool:
    """Whether it was; a recording without any end of a link does not tell."""
    closed = [happening.link for happening in player.script.happenings if isinstance(happening, Closed)]
    return not closed or link in closed


def _mode_zero(player: Player, finding: Finding) -> bool:
    """An application started in mode 0 is shown as temporary, whatever its specification says."""
    recorded, ours = _payloads(player, finding)
    asked = _asked(player, finding)
    started = (
        frame.message.Mode for frame in _heard(player)
        if isinstance(frame, enp.Control) and isinstance(frame.message, enp.ApplicationStart)
        and isinstance(asked, list) and frame.message.Name == asked[-1]
    )  # fmt: skip
    return (
        isinstance(asked, list) and asked[:1] == ["app_info"] and 0 in started
        and recorded == "running temporary" and ours in ("running transient", "running permanent")
    )  # fmt: skip


def _unordered_counted_later(player: Player, finding: Finding) -> bool:
    """Messages without order were not there yet when they were counted."""
    recorded, ours = _payloads(player, finding)
    if _asked(player, finding) != "count" or type(recorded) is not int or type(ours) is not int:
        return False
    unordered = [
        frame for frame in _heard(player)
        if isinstance(frame, enp.MessagePID | enp.MessageName | enp.MessageAlias) and not frame.order
    ]  # fmt: skip
    return 0 < ours - recorded <= len(unordered)


def _long_frame(player: Player, finding: Finding) -> bool:
    """A frame above 64 KB ended the link, so what followed was not answered."""
    longest = max((read.end - read.start for read in _read_frames(player) if read.inner is None), default=0)
    return (
        finding.recorded is None
        and finding.ours is not None
        and longest > _LONGEST
        and _own_close(player, finding.link)
    )


def _own_close(player: Player, link: str) -> bool:
    return any(
        isinstance(happening, Closed) and happening.link == link and happening.by == player.role.direction
        for happening in player.script.happenings
    )


def _payloads(player: Player, finding: Finding) -> tuple[Any, Any]:  # noqa: ARG001  as the others
    return tuple(getattr(frame.value, "payload", None) if frame else None for frame in finding[:2])  # type: ignore[return-value]


def _asked(player: Player, finding: Finding) -> Any:
    ref = getattr(finding.recorded.value, "ref", None) if finding.recorded else None
    return player.matcher.asked.get(ref) if ref else None


def _read_frames(player: Player) -> Iterator[ReadFrame]:
    for happening in player.script.happenings:
        if isinstance(happening, Spoken) and happening.by == player.other.direction:
            yield from (said for said in happening.said if isinstance(said, ReadFrame))


def _heard(player: Player) -> Iterator[Any]:
    """What was said to the node, compressed or not."""
    return ((read.inner or read).value for read in _read_frames(player))


_LONGEST: Final = 65_536
"""Bytes of a frame that every release reads."""
EXCUSES: Final = (
    Excuse("NAPI-CON-7", "upstream dials a node although it is connected", _dials_though_connected),
    Excuse("EHS-JOIN-4", "upstream proves the cookie to a Join that it then closes", _proves_and_closes),
    Excuse("ENP-RED-3", "upstream joins a connection that is gone again and again", _joins_without_pause),
    Excuse("ENP-APP-2", "upstream takes mode 0 for temporary", _mode_zero),
    Excuse("ENP-ORD-4", "messages with order byte 0 may come later than others", _unordered_counted_later),
    Excuse("ENP-SIZE-3", "3.0 and 3.1.0 close a link on a frame above 64 KB", _long_frame),
)
