"""Capture files: metadata, and the bytes of each direction of each socket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import UsageError
from ..vectors.difference import Difference

FORMAT: Final = "ergo-captures/1"
NOTE: Final = "note"
"""Direction of remarks, which have no bytes."""
UDP: Final = " udp"
"""Suffix of the name of a direction of datagrams, in captures of streams."""

Json = Any


class Cut(NamedTuple):
    """A place where a recording begins late or stops early: socket and direction (`*`: any), and how."""

    socket: str
    direction: str
    at: str


@dataclass
class Capture:
    """A capture file."""

    path: Path
    meta: Json
    cuts: list[Cut] = field(default_factory=list)
    streams: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    """Bytes by socket and direction."""
    first_writer: dict[str, str] = field(default_factory=dict)
    """The direction of the first bytes of each socket: usually its dialer's."""
    datagrams: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Socket, direction, bytes."""
    lines: list[Json] = field(default_factory=list)
    """Lines of the file after the metadata."""
    shortened: list[tuple[str, str]] = field(default_factory=list)
    """Sockets and directions with a shortened chunk that the metadata do not announce."""

    def sockets(self) -> list[str]:
        """Returns the sockets with bytes, in the order of their first bytes."""
        return list(self.first_writer)

    @property
    def protocol(self) -> str:
        """The protocols of the file, in words."""
        named = self.meta.get("protocol", "")
        return " and ".join(map(str, named)) if isinstance(named, list) else str(named)

    def dialer(self, socket: str) -> str:
        """Returns the direction of a socket's dialer: the first writer, but a script may write first in either role."""
        first = self.first_writer[socket]
        for direction in self.meta["sides"]:
            named = self.writer(direction) == self.meta.get("dialer") and not direction.endswith(UDP)
            if named and self.is_scripted(socket, first):
                return str(direction)
        return first

    def writer(self, direction: str) -> str:
        """Returns the writer of a direction: the key of its release, secrets and caches in the metadata."""
        return str(self.meta["sides"].get(direction, ""))

    def speaks(self, protocol: str, socket: str | None = None) -> bool:
        """Returns whether a socket carries this protocol; None: whether any does."""
        protocols = self.meta.get("protocols") or {}
        if socket is None:
            spoken = [self.meta.get("protocol", ""), *protocols.values()]
        else:
            spoken = [protocols.get(socket, self.meta.get("protocol", ""))]
        words = [word for entry in spoken for word in (entry if isinstance(entry, list) else [entry])]
        return protocol in "+".join(words).split("+")

    def is_scripted(self, socket: str, direction: str) -> bool:
        """Returns whether a script wrote this side."""
        scripted = self.meta.get("scripted") or ()
        return direction in scripted or f"{socket}:{direction}" in scripted

    def is_cut(self, socket: str, direction: str, at: str) -> bool:
        """Returns whether the recording of this stream is incomplete according to the metadata: start, end, line, recording."""
        return any(
            cut.at == at and cut.socket in ("*", socket) and cut.direction in ("*", direction)
            for cut in self.cuts
        )  # fmt: skip

    def surplus(self, socket: str, direction: str) -> bytes:
        """Returns the bytes that a real node wrote after the valid end of a stream, according to the metadata."""
        rows = self.meta.get("surplus") or ()
        here = (row for row in rows if str(row["conn"]) == socket and row["dir"] == direction)
        return b"".join(bytes.fromhex(row["hex"]) for row in here)

    def defects(self, socket: str, direction: str) -> Iterator[Difference]:
        """Yields contradictions between the metadata and the bytes of a real side."""
        place = f"socket {socket} {direction}"
        if (socket, direction) in self.shortened:
            yield Difference(place, "has a shortened chunk, which the metadata do not announce")
        if not self.recorded(socket, direction).endswith(self.surplus(socket, direction)):
            yield Difference(place, "does not end with the surplus of the metadata")

    def recorded(self, socket: str, direction: str) -> bytes:
        """Returns all bytes of one direction."""
        return bytes(self.streams.get((socket, direction), b""))

    def stream(self, socket: str, direction: str) -> bytes:
        """Returns the bytes of one direction without surplus."""
        return self.recorded(socket, direction).removesuffix(self.surplus(socket, direction))


def socket_of(line: Json) -> str:
    """Returns the socket that a line of a capture belongs to."""
    return str(line.get("link", line.get("conn", "")))


def load(path: Path) -> Capture:
    """Loads a capture file. Raises UsageError if it is not one."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{path}: not valid JSON lines: {error}") from None
    if not lines or not isinstance(lines[0], dict) or lines[0].get("format") != FORMAT:
        raise UsageError(f"{path}: the first line is not metadata of {FORMAT}")
    try:
        return _capture(path, lines)
    except KeyError as error:
        raise UsageError(f"{path}: malformed line: missing key {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: malformed line: {error}") from None


def _capture(path: Path, lines: list[Json]) -> Capture:
    meta = lines[0]
    cuts = [Cut(str(row["conn"]), row["dir"], row["at"]) for row in meta.get("cut") or ()]
    capture = Capture(path, meta, cuts, lines=lines[1:])
    stopped: set[tuple[str, str]] = set()
    for line in lines[1:]:
        direction = line["dir"]
        if direction == NOTE or not line.get("hex"):
            continue
        if direction not in meta["sides"]:
            raise ValueError(f"direction {direction!r} is not in the sides of the metadata")
        key = socket_of(line), direction
        if line.get("truncated"):
            _add_shortened(capture, key, stopped)
        if key not in stopped:
            _add_bytes(capture, key, bytes.fromhex(line["hex"]), is_datagram=_is_datagram(line))
    for key in capture.streams:
        capture.surplus(*key)  # raises here if the metadata are malformed
    return capture


def _add_shortened(capture: Capture, key: tuple[str, str], stopped: set[tuple[str, str]]) -> None:
    """Ends a script's stream at its first shortened chunk if the metadata announce it, else notes the chunk."""
    if capture.is_cut(*key, "line") and capture.is_scripted(*key):
        stopped.add(key)
    elif key not in capture.shortened:
        capture.shortened.append(key)


def _is_datagram(line: Json) -> bool:
    return line.get("proto") == "udp" or str(line["dir"]).endswith(UDP)


def _add_bytes(capture: Capture, key: tuple[str, str], data: bytes, *, is_datagram: bool) -> None:
    if is_datagram:
        capture.datagrams.append((*key, data))
        return
    capture.streams.setdefault(key, bytearray()).extend(data)
    capture.first_writer.setdefault(*key)
