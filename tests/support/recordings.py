"""Copies of captures with something changed: whole directions, single frames, metadata."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.spec import Parsed
from ergo_conformance.spec.ergo.enp import read_frame
from ergo_conformance.spec.ergo.stream import ReadFrame
from ergo_conformance.verdict import captures
from ergo_conformance.verdict.captures import Connections

Json = Any
CAPTURES = Path(__file__).parents[1] / "data" / "captures"
UPSTREAM = sorted(
    f"{path.parent.name}/{path.stem}" for path in CAPTURES.glob("*/*.jsonl") if captures.load(path).speaks("ehs")
)
"""Captures of links that begin with a handshake."""
CUT = {"conn": "*", "dir": "*", "reason": "a test"}
"""A row of `cut` without its `at`."""


class Recording:
    """The lines of a capture, to be changed and checked."""

    def __init__(self, name: str) -> None:
        text = (CAPTURES / f"{name}.jsonl").read_text(encoding="utf-8")
        self.meta, *self.lines = map(json.loads, text.splitlines())

    def stream(self, link: int, direction: str) -> bytes:
        """The bytes of one direction."""
        return bytes.fromhex("".join(line["hex"] for line in self._chunks(link, direction)))

    def replace(self, link: int, direction: str, data: bytes) -> None:
        """Puts other bytes there, all in the first chunk."""
        first, *others = self._chunks(link, direction)
        first["hex"] = data.hex()
        self.lines = [line for line in self.lines if not any(line is other for other in others)]

    def _chunks(self, link: int, direction: str) -> list[Json]:
        return [line for line in self.lines if (line["link"], line["dir"]) == (link, direction) and line.get("hex")]

    def messages(self, link: int, direction: str) -> list[bytes]:
        """The handshake frames of a direction, and behind them the rest."""
        data, found = self.stream(link, direction), []
        while data[:1] == bytes([ehs.MAGIC]):
            size = ehs.HEADER_LENGTH + int.from_bytes(data[2 : ehs.HEADER_LENGTH], "big")
            found.append(data[:size])
            data = data[size:]
        return [*found, data]

    def save(self, folder: Path) -> Path:
        path = folder / "changed.jsonl"
        path.write_text("\n".join(map(json.dumps, (self.meta, *self.lines))) + "\n", encoding="utf-8")
        return path

    def check(self, folder: Path, only: str | None = None) -> list[str]:
        """The differences that are found."""
        return [str(difference) for difference in captures.check(captures.load(self.save(folder)), only).differences]


def sized(frame: bytes) -> bytes:
    """A frame whose header states how long it is."""
    return frame[:2] + len(frame).to_bytes(4, "big") + frame[6:]


Found = tuple[str, int, str, ReadFrame]
"""Capture, link, direction, frame."""


def frames_of(name: str) -> Iterator[Found]:
    """The frames of a capture that real nodes wrote."""
    capture = captures.load(CAPTURES / f"{name}.jsonl")
    reader = Connections(capture, None, captures.Checked())
    for link in capture.links():
        for side in reader.read(link).values():
            yield from ((name, int(link), side.direction, frame) for frame in side.read.frames if side.real)


def change_frame(found: Found, change: Callable[[bytes], bytes]) -> Recording:
    """The recording with one frame changed."""
    name, link, direction, frame = found
    recording = Recording(name)
    data = recording.stream(link, direction)
    recording.replace(link, direction, data[: frame.start] + change(data[frame.start : frame.end]) + data[frame.end :])
    return recording


def value_at(found: Found) -> int:
    """Where the first EDF value of a frame begins."""
    name, link, direction, frame = found
    parsed = read_frame(Recording(name).stream(link, direction)[frame.start : frame.end], frame.context)
    assert isinstance(parsed, Parsed)
    ends = ("payload", "reason", "message", "error")
    return min(span.start for span in parsed.spans if span.path.split(".")[-1] in ends)


def changed(
    direction: str, change: Callable[[list[bytes]], list[bytes]], name: str = "master/links", link: int = 1
) -> Recording:
    """The recording with the handshake messages of one direction (and what follows them) changed."""
    recording = Recording(name)
    recording.replace(link, direction, b"".join(change(recording.messages(link, direction))))
    return recording


@cache
def samples() -> dict[FrameType, Found]:
    """The first frame of each type that real nodes were recorded writing."""
    found: dict[FrameType, Found] = {}
    for name in UPSTREAM:
        if name.startswith("master/"):
            for frame in frames_of(name):
                found.setdefault(enp.TYPES[type(frame[3].value)], frame)
    return found


def put(at: int, by: bytes) -> Callable[[bytes], bytes]:
    """Other bytes in one place."""
    return lambda frame: frame[:at] + by + frame[at + len(by) :]


def first(name: str, wanted: Callable[[Any], bool]) -> Found:
    """The first such frame of a capture."""
    return next(found for found in frames_of(name) if wanted(found[3].value))
