"""Changed copies of captures: whole directions, single frames, metadata."""

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

Json = Any
CAPTURES = Path(__file__).parents[1] / "data" / "captures"
UPSTREAM = sorted(
    f"{path.parent.name}/{path.stem}" for path in CAPTURES.glob("*/*.jsonl") if captures.load(path).speaks("ehs")
)
"""Captures of sockets that begin with a handshake."""
CUT = {"conn": "*", "dir": "*", "reason": "a test"}
"""A row of `cut` without its `at`."""


class Recording:
    """The lines of a capture, which a test changes and checks."""

    def __init__(self, name: str) -> None:
        text = (CAPTURES / f"{name}.jsonl").read_text(encoding="utf-8")
        self.meta, *self.lines = map(json.loads, text.splitlines())

    def stream(self, socket: int, direction: str) -> bytes:
        """Returns the bytes of one direction."""
        return bytes.fromhex("".join(line["hex"] for line in self._chunks(socket, direction)))

    def replace(self, socket: int, direction: str, data: bytes) -> None:
        """Replaces the bytes of one direction; its first chunk then contains all of them."""
        first, *others = self._chunks(socket, direction)
        first["hex"] = data.hex()
        self.lines = [line for line in self.lines if not any(line is other for other in others)]

    def _chunks(self, socket: int, direction: str) -> list[Json]:
        return [line for line in self.lines if (line["link"], line["dir"]) == (socket, direction) and line.get("hex")]

    def messages(self, socket: int, direction: str) -> list[bytes]:
        """Returns the handshake frames of a direction, and as last item the bytes after them."""
        data, found = self.stream(socket, direction), []
        while data[:1] == bytes([ehs.MAGIC]):
            size = ehs.HEADER_LENGTH + int.from_bytes(data[2 : ehs.HEADER_LENGTH], "big")
            found.append(data[:size])
            data = data[size:]
        return [*found, data]

    def save(self, folder: Path) -> Path:
        """Writes the capture file; returns its path."""
        path = folder / "changed.jsonl"
        path.write_text("\n".join(map(json.dumps, (self.meta, *self.lines))) + "\n", encoding="utf-8")
        return path

    def check(self, folder: Path, only: str | None = None) -> list[str]:
        """Checks the capture; returns the differences."""
        return [str(difference) for difference in captures.check(captures.load(self.save(folder)), only).differences]


def sized(frame: bytes) -> bytes:
    """Returns a frame with its actual length in the header."""
    return frame[:2] + len(frame).to_bytes(4, "big") + frame[6:]


CapturedFrame = tuple[str, int, str, ReadFrame]
"""Capture, socket, direction, frame."""


def frames_of(name: str) -> Iterator[CapturedFrame]:
    """Yields the frames of real nodes in a capture."""
    reader = captures.CaptureReader(captures.load(CAPTURES / f"{name}.jsonl"))
    for socket in reader.capture.sockets():
        for side in reader.read(socket).values():
            yield from ((name, int(socket), side.direction, frame) for frame in side.read.frames if side.is_real)


def change_frame(captured: CapturedFrame, change: Callable[[bytes], bytes]) -> Recording:
    """Returns the recording with one frame changed."""
    name, socket, direction, frame = captured
    recording = Recording(name)
    data = recording.stream(socket, direction)
    changed_data = data[: frame.start] + change(data[frame.start : frame.end]) + data[frame.end :]
    recording.replace(socket, direction, changed_data)
    return recording


def value_at(captured: CapturedFrame) -> int:
    """Returns the offset of the first EDF value in a frame."""
    name, socket, direction, frame = captured
    parsed = read_frame(Recording(name).stream(socket, direction)[frame.start : frame.end], frame.context)
    assert isinstance(parsed, Parsed)
    ends = ("payload", "reason", "message", "error")
    return min(span.start for span in parsed.spans if span.path.split(".")[-1] in ends)


def changed(
    direction: str, change: Callable[[list[bytes]], list[bytes]], name: str = "master/links", socket: int = 1
) -> Recording:
    """Returns the recording with the handshake messages of one direction, and the bytes after them, changed."""
    recording = Recording(name)
    recording.replace(socket, direction, b"".join(change(recording.messages(socket, direction))))
    return recording


@cache
def samples() -> dict[FrameType, CapturedFrame]:
    """Returns a recorded frame of each type, from the smallest capture that has one."""
    found: dict[FrameType, CapturedFrame] = {}
    names = [name for name in UPSTREAM if name.startswith("master/")]
    for name in sorted(names, key=lambda name: (CAPTURES / f"{name}.jsonl").stat().st_size):
        for captured in frames_of(name):
            found.setdefault(enp.TYPES[type(captured[3].value)], captured)
    return found


def put(at: int, by: bytes) -> Callable[[bytes], bytes]:
    """Returns a change that replaces the bytes at an offset."""
    return lambda frame: frame[:at] + by + frame[at + len(by) :]


def first(name: str, wanted: Callable[[Any], bool]) -> CapturedFrame:
    """Returns the first frame of a capture whose value is wanted."""
    return next(captured for captured in frames_of(name) if wanted(captured[3].value))
