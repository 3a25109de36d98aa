"""Capture files: metadata, the bytes of each direction of each connection, and what the metadata say about them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import UsageError
from ..vectors.edf import Difference

FORMAT: Final = "ergo-captures/1"
NOTE: Final = "note"
"""The direction of remarks, which are no bytes."""
UDP: Final = " udp"
"""Ends the name of a direction of datagrams, in files of streams."""

Json = Any


class Cut(NamedTuple):
    """Where a recording stops, or begins: connection and direction (`*`: any), and how."""

    conn: str
    dir: str
    at: str


@dataclass
class Capture:
    """A capture file."""

    path: Path
    meta: Json
    cuts: list[Cut] = field(default_factory=list)
    streams: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    first_writer: dict[str, str] = field(default_factory=dict)
    """Who wrote first on a link: its dialer."""
    datagrams: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Link, direction, bytes."""
    lines: list[Json] = field(default_factory=list)
    """All lines but the first, as they stand in the file."""
    shortened: list[tuple[str, str]] = field(default_factory=list)
    """Directions with a shortened chunk, although the metadata say nothing of it."""

    def links(self) -> list[str]:
        """Connections with bytes, in the order of the first of them."""
        return list(self.first_writer)

    @property
    def protocol(self) -> str:
        """What the file is about, in words."""
        named = self.meta.get("protocol", "")
        return " and ".join(map(str, named)) if isinstance(named, list) else str(named)

    def dialer(self, link: str) -> str:
        """The direction that a link's dialer writes in: who wrote first; a script may do so in either role."""
        first = self.first_writer[link]
        for direction in self.meta["sides"]:
            named = self.writer(direction) == self.meta.get("dialer") and not direction.endswith(UDP)
            if named and self.is_scripted(link, first):
                return str(direction)
        return first

    def writer(self, direction: str) -> str:
        """Who wrote in a direction: the key of releases, secrets, caches."""
        return str(self.meta["sides"].get(direction, ""))

    def speaks(self, protocol: str, link: str | None = None) -> bool:
        """Whether a link (or any) carries this protocol."""
        protocols = self.meta.get("protocols") or {}
        if link is None:
            spoken = [self.meta.get("protocol", ""), *protocols.values()]
        else:
            spoken = [protocols.get(link, self.meta.get("protocol", ""))]
        words = [word for entry in spoken for word in (entry if isinstance(entry, list) else [entry])]
        return protocol in "+".join(words).split("+")

    def is_scripted(self, link: str, direction: str) -> bool:
        """Whether a script wrote this side."""
        scripted = self.meta.get("scripted") or ()
        return direction in scripted or f"{link}:{direction}" in scripted

    def is_cut(self, link: str, direction: str, at: str) -> bool:
        """Whether the recording says that this stream stops, or begins, like this."""
        return any(
            cut.at == at and cut.conn in ("*", link) and cut.dir in ("*", direction)
            for cut in self.cuts
        )  # fmt: skip

    def surplus(self, link: str, direction: str) -> bytes:
        """What a real node wrote too much at the end of a stream."""
        rows = self.meta.get("surplus") or ()
        here = (row for row in rows if str(row["conn"]) == link and row["dir"] == direction)
        return b"".join(bytes.fromhex(row["hex"]) for row in here)

    def defects(self, link: str, direction: str) -> Iterator[Difference]:
        """What can't be of a real side's bytes, however they read."""
        where = f"link {link} {direction}"
        if (link, direction) in self.shortened:
            yield Difference(where, "has a shortened chunk, which the metadata do not announce")
        if not self.recorded(link, direction).endswith(self.surplus(link, direction)):
            yield Difference(where, "does not end with its surplus")

    def recorded(self, link: str, direction: str) -> bytes:
        """All bytes of one direction."""
        return bytes(self.streams.get((link, direction), b""))

    def stream(self, link: str, direction: str) -> bytes:
        """The bytes of one direction, without surplus."""
        return self.recorded(link, direction).removesuffix(self.surplus(link, direction))


def load(path: Path) -> Capture:
    """Reads a file. UsageError if it is none."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: no JSON lines: {error}") from None
    if not lines or not isinstance(lines[0], dict) or lines[0].get("format") != FORMAT:
        raise UsageError(f"{path}: the first line is not metadata of {FORMAT}")
    try:
        return _capture(path, lines)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: a line that is no chunk, event or note: {error}") from None


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
            raise ValueError(f"bytes of a side that the metadata do not name: {direction!r}")
        key = str(line.get("link", line.get("conn", ""))), direction
        if line.get("truncated"):
            _shortened(capture, key, stopped)
        if key not in stopped:
            _add(capture, key, bytes.fromhex(line["hex"]), datagram=_is_datagram(line))
    for key in capture.streams:
        capture.surplus(*key)  # is told here if it can't be read
    return capture


def _shortened(capture: Capture, key: tuple[str, str], stopped: set[tuple[str, str]]) -> None:
    """A script's direction ends where its chunks were shortened, if the metadata say so."""
    if capture.is_cut(*key, "line") and capture.is_scripted(*key):
        stopped.add(key)
    elif key not in capture.shortened:
        capture.shortened.append(key)


def _is_datagram(line: Json) -> bool:
    return line.get("proto") == "udp" or str(line["dir"]).endswith(UDP)


def _add(capture: Capture, key: tuple[str, str], data: bytes, *, datagram: bool) -> None:
    if datagram:
        capture.datagrams.append((*key, data))
        return
    capture.streams.setdefault(key, bytearray()).extend(data)
    capture.first_writer.setdefault(*key)
