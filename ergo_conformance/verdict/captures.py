"""Captures of real nodes (`ergo-captures/1`): every link against both readers and both writers.

The rules are those that hold for whatever real nodes wrote: the order of messages, digests recomputed with the writer's own
cookie, and everything written again, from its plain values alone, to the same bytes. Sides that a script wrote may be bad
on purpose: there only a value or a refusal is asked for.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from ..locate import suites
from ..model import records
from ..model.caches import Caches
from ..model.ehs import Role
from ..model.registry import Registry
from ..model.terms import Atom
from ..model.typejson import payload_from_json, row_from_json
from ..spec.stream import ConnectionReader, Direction
from .frame_checks import FrameChecker
from .handshakes import HandshakeChecker
from .vectors import Difference, read_json

FORMAT: Final = "ergo-captures/1"
PROTOCOLS: Final = ("ehs", "enp", "esrd")
"""What can be checked, as metadata spell it."""
FRAMEWORK_3_0: Final = "3.0"
_SEPARATORS: Final = str.maketrans("+,[]'", "     ")

Json = Any


@dataclass
class Capture:
    """A capture file: metadata, the bytes of each direction of each link, and single datagrams."""

    path: Path
    meta: Json
    streams: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    first_writer: dict[str, str] = field(default_factory=dict)
    """Who wrote first on a link: its dialer."""
    datagrams: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Link, direction, bytes."""

    def links(self) -> list[str]:
        return list(self.first_writer)

    def speaks(self, protocol: str, link: str | None = None) -> bool:
        """Whether a link (or any) carries this protocol."""
        whole, each = self.meta.get("protocol", ""), self.meta.get("protocols") or {}
        spoken = [whole, *each.values()] if link is None else [each.get(link, whole)]
        return protocol in " ".join(map(str, spoken)).translate(_SEPARATORS).split()

    def is_scripted(self, link: str, direction: str) -> bool:
        """Whether a script wrote this side."""
        scripted = self.meta.get("scripted") or ()
        return direction in scripted or f"{link}:{direction}" in scripted

    def is_cut(self, link: str, direction: str, at: str) -> bool:
        """Whether the recording says that this stream stops like this."""
        return any(
            cut["at"] == at and cut["conn"] in ("*", link, _number(link)) and cut["dir"] in ("*", direction)
            for cut in self.meta.get("cut") or ()
        )

    def surplus(self, link: str, direction: str) -> bytes:
        """What a real node wrote too much at the end of a stream."""
        return b"".join(
            bytes.fromhex(row["hex"])
            for row in self.meta.get("surplus") or ()
            if row["conn"] in (link, _number(link)) and row["dir"] == direction
        )

    def stream(self, link: str, direction: str) -> bytes:
        """The bytes of one direction, without surplus."""
        data = bytes(self.streams.get((link, direction), b""))
        return data.removesuffix(self.surplus(link, direction))


def _number(link: str | None) -> Any:
    """A link as metadata may also name it."""
    return int(link) if link is not None and link.isdecimal() else link


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
    capture = Capture(path, lines[0])
    shortened: set[tuple[str, str]] = set()
    for line in lines[1:]:
        if not line.get("hex") or line["dir"] not in capture.meta.get("sides", {}):
            continue
        link, data = str(line.get("link", line.get("conn", ""))), bytes.fromhex(line["hex"])
        key = link, line["dir"]
        if line.get("proto") == "udp" or line["dir"].endswith(" udp"):
            capture.datagrams.append((*key, data))
            continue
        if line.get("truncated"):
            shortened.add(key)
        if key in shortened:
            continue
        capture.streams.setdefault(key, bytearray()).extend(data)
        capture.first_writer.setdefault(link, line["dir"])
    return capture


# --- the types that writers know --------------------------------------------------------------------------------------


@cache
def registry_of(release: str, set_: str) -> Registry:
    """The rows of a release's framework and of a set of further types."""
    registry = records.framework("ergo-3.0" if release == FRAMEWORK_3_0 else "ergo-3.1")
    content = read_json(suites() / "golden" / "subject_types.json")
    payloads = {row["name"]: payload_from_json(row) for row in content["marshalers"]["types"]}
    for row in content["types"]:
        releases = row.get("releases")
        if row["set"] in ("framework", set_) and (not releases or release in releases):
            registry.add(row_from_json(row, payloads))
    return registry


def caches_of(tables: Json) -> Caches:
    """Tables as metadata have them, in place of an Introduce."""
    return Caches(
        atoms={int(id_): Atom(name) for id_, name in (tables.get("atoms") or {}).items()},
        types={int(id_): name for id_, name in (tables.get("types") or {}).items()},
        errors={int(id_): text for id_, text in (tables.get("errors") or {}).items()},
    )


# --- checking ---------------------------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What was checked in a file."""

    links: int = 0
    messages: int = 0
    digests: int = 0
    frames: int = 0
    compressed: int = 0
    packets: int = 0
    refused: int = 0

    @property
    def checked(self) -> int:
        """Messages, frames and packets."""
        return self.messages + self.frames + self.packets

    def __str__(self) -> str:
        parts = [f"{self.links} links", f"{self.messages} handshake messages", f"{self.digests} digests"]
        parts += [f"{self.frames} frames ({self.compressed} compressed)"] if self.frames else []
        if self.packets:
            parts = [f"{self.packets} packets"] if not self.messages else [*parts, f"{self.packets} packets"]
        return ", ".join(parts) + (f", {self.refused} scripted sides refused" if self.refused else "")


@dataclass
class Checked:
    """A file's counts and what differs."""

    counts: Counts
    differences: list[Difference]


def check(capture: Capture, only: str | None = None) -> Checked:
    """Holds a capture against the rules; `only`: of one protocol."""
    counts, differences = Counts(), list[Difference]()
    if only != "esrd" and capture.speaks("ehs"):
        _links(capture, only, counts, differences)
    return Checked(counts, differences)


def _links(capture: Capture, only: str | None, counts: Counts, differences: list[Difference]) -> None:
    handshakes = HandshakeChecker(capture.meta)
    frames = FrameChecker()
    readers: dict[str, ConnectionReader] = {}
    for link in capture.links():
        if not capture.speaks("ehs", link):
            continue
        sides = _sides(capture, link)
        dialer = sides[Role.DIALER]
        read = readers.setdefault(dialer, ConnectionReader()).read(
            capture.stream(link, dialer), capture.stream(link, sides[Role.ACCEPTOR]),
            {role: _registry(capture, side) for role, side in sides.items()},
            {role: _fallback(capture, link, side) for role, side in sides.items()},
        )  # fmt: skip
        counts.links += 1
        real = {role: not capture.is_scripted(link, side) for role, side in sides.items()}
        data = {role: capture.stream(link, side) for role, side in sides.items()}
        if only != "enp":
            handshakes.link(link, sides, read, data, real)
        for role, side in sides.items():
            where = f"link {link} {side}"
            if not real[role]:
                counts.refused += read[role].refusal is not None
            else:
                differences += _ends(capture, link, side, read[role], data[role])
                if only != "ehs":
                    frames.direction(where, read[role], data[role])
    differences += handshakes.differences + frames.differences
    counts.messages, counts.digests = handshakes.messages, handshakes.digests
    counts.frames, counts.compressed = frames.frames, frames.compressed


def _sides(capture: Capture, link: str) -> dict[Role, str]:
    """The direction that each role writes in."""
    first = capture.first_writer[link]
    others = [side for side in capture.meta["sides"] if side != first and not side.endswith(" udp")]
    return {Role.DIALER: first, Role.ACCEPTOR: others[0] if others else ""}


def _registry(capture: Capture, side: str) -> Registry:
    writer = capture.meta["sides"].get(side, "")
    release = capture.meta.get("release") or {}
    return registry_of(str(release.get(writer) or next(iter(release.values()), "")), str(capture.meta.get("types")))


def _fallback(capture: Capture, link: str, side: str) -> Caches:
    tables: Mapping[str, Json] = capture.meta.get("caches") or {}
    used = capture.is_cut(link, side, "start")
    return caches_of(tables.get(capture.meta["sides"].get(side, ""), {}) if used else {})


def _ends(capture: Capture, link: str, side: str, read: Direction, data: bytes) -> Iterator[Difference]:
    """A stream of a real node is read to its end, unless the recording says where it stops."""
    refusal, where = read.refusal, f"link {link} {side}"
    if not read.handshake.frames and data and not capture.is_cut(link, side, "start"):
        yield Difference(where, f"does not begin with a handshake: {data[:16].hex()}")
    if refusal is None:
        return
    if refusal.reason.value == "end of data" and capture.is_cut(link, side, "end"):
        return
    at = read.frames[-1].end if read.frames else read.handshake.end
    yield Difference(where, f"refused at offset {at}: {refusal}; {data[at : at + 32].hex()}")
