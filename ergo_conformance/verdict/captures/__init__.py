"""Captures of real nodes (`ergo-captures/1`): every link against both readers and both writers.

The rules are those that hold for whatever real nodes wrote: the order of messages, digests recomputed with the writer's own
cookie, and everything written again, from its plain values alone, to the same bytes. Sides that a script wrote may be bad
on purpose: there only a value or a refusal is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ...model.ergo.ehs import Role
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.stream import ConnectionReader
from ..vectors.edf import Difference
from .frames import FrameChecker
from .handshake import HandshakeChecker
from .load import FORMAT, UDP, Capture, load
from .packets import PacketChecker
from .registries import caches_for, registry_for
from .saturn import SaturnChecker
from .sides import Side

__all__ = ["FORMAT", "PROTOCOLS", "Capture", "Checked", "Counts", "check", "load"]

PROTOCOLS: Final = ("ehs", "enp", "esrd", "saturn")
"""What can be checked, as metadata spell it."""


@dataclass
class Counts:
    """What was checked in a file."""

    links: int = 0
    messages: int = 0
    digests: int = 0
    frames: int = 0
    compressed: int = 0
    bytes: int = 0
    packets: int = 0
    proofs: int = 0
    """Of tokens, in handshakes of Saturn."""
    refused: int = 0

    @property
    def checked(self) -> int:
        """Messages, frames and packets."""
        return self.messages + self.frames + self.packets

    def __str__(self) -> str:
        parts = []
        if self.links:
            parts = [f"{self.links} links", f"{self.messages} handshake messages", f"{self.digests} digests"]
        if self.frames:
            parts.append(f"{self.frames} frames ({self.compressed} compressed)")
        if self.packets:
            parts.append(f"{self.packets} packets")
        if self.proofs:
            parts.append(f"{self.proofs} proofs of a token")
        parts.append(f"{self.bytes:,} bytes")
        if self.refused:
            parts.append(f"{self.refused} of scripts refused")
        return ", ".join(parts)


@dataclass
class Checked:
    """A file's counts and what differs."""

    counts: Counts = field(default_factory=Counts)
    differences: list[Difference] = field(default_factory=list)


def check(capture: Capture, only: str | None = None) -> Checked:
    """Holds a capture against the rules; `only`: of one protocol."""
    result = Checked()
    if only not in ("esrd", "saturn") and capture.speaks("ehs"):
        Connections(capture, only, result).check()
    if only in (None, "esrd") and capture.speaks("esrd"):
        packets = PacketChecker(capture)
        packets.check()
        result.counts.packets, result.differences = packets.packets, result.differences + packets.differences
        result.counts.bytes += packets.bytes
        result.counts.refused += packets.refused
    if only in (None, "saturn") and capture.speaks("saturn"):
        central = SaturnChecker(capture)
        central.check()
        result.counts.packets += central.packets
        result.counts.proofs, result.counts.bytes = central.digests, result.counts.bytes + central.bytes
        result.counts.refused += central.refused
        result.differences += central.differences
    return result


class Connections:
    """The links of a file that begin with a handshake."""

    def __init__(self, capture: Capture, only: str | None, result: Checked) -> None:
        self.capture, self.only, self.result = capture, only, result
        self.handshakes, self.frames = HandshakeChecker(capture), FrameChecker()
        self._readers: dict[str, ConnectionReader] = {}
        """One for each direction that dials: its connections."""

    def check(self) -> None:
        """All links, in the order in which they were opened."""
        links = [link for link in self.capture.links() if self.capture.speaks("ehs", link)]
        for link in links:
            self._link(link, self.read(link))
        if links:
            self.result.differences += self._dialer(links[0])
        counts = self.result.counts
        counts.links += len(links)
        counts.messages, counts.digests = self.handshakes.messages, self.handshakes.digests
        counts.frames, counts.compressed = self.frames.frames, self.frames.compressed
        self.result.differences += self.handshakes.differences + self.frames.differences

    def read(self, link: str) -> dict[Role, Side]:
        """Both sides of a link; those that it joins have to be read before it."""
        capture = self.capture
        dialer = capture.dialer(link)
        others = [side for side in capture.meta["sides"] if side != dialer and not side.endswith(UDP)]
        directions = {Role.DIALER: dialer, Role.ACCEPTOR: others[0] if others else ""}
        data = {role: capture.stream(link, direction) for role, direction in directions.items()}
        read = self._readers.setdefault(dialer, ConnectionReader()).read(
            data[Role.DIALER], data[Role.ACCEPTOR],
            {role: registry_for(capture, direction) for role, direction in directions.items()},
            {role: caches_for(capture, link, direction) for role, direction in directions.items()},
        )  # fmt: skip
        return {
            role: Side(
                f"link {link} {direction}", direction, capture.writer(direction),
                real=not capture.is_scripted(link, direction),
                begins_later=capture.is_cut(link, direction, "start"),
                data=data[role], read=read[role],
            )
            for role, direction in directions.items()
        }  # fmt: skip

    def _link(self, link: str, sides: dict[Role, Side]) -> None:
        if self.only != "enp":
            self.handshakes.link(f"link {link}", sides)
        for side in sides.values():
            self.result.counts.bytes += len(side.data)
            if side.real:
                self.result.differences += self._stops(link, side)
                if self.only != "ehs":
                    self.frames.direction(side)
            else:
                self.result.counts.refused += side.read.refusal is not None
                self.frames.script(side, EdfContext(registry_for(self.capture, side.direction)))

    def _stops(self, link: str, side: Side) -> Iterator[Difference]:
        """A stream of a real node is read to its end, unless the recording says where it stops."""
        capture, refusal = self.capture, side.read.refusal
        yield from capture.defects(link, side.direction)
        if side.data and not side.kinds and not side.begins_later and refusal is None:
            yield Difference(side.where, f"does not begin with a handshake: {side.data[:16].hex()}")
        if refusal is None or (self.only == "ehs" and side.read.handshake.refusal is None):
            return
        if side.ends_inside_a_frame and capture.is_cut(link, side.direction, "end"):
            return
        rest = side.data[side.end : side.end + 32].hex()
        yield Difference(side.where, f"refused at offset {side.end}: {refusal}; {rest}")

    def _dialer(self, link: str) -> Iterator[Difference]:
        """The metadata name who opened the first link."""
        direction = self.capture.dialer(link)
        named, found = self.capture.meta.get("dialer"), self.capture.writer(direction)
        if named and named != found and not self.capture.is_cut(link, direction, "start"):
            yield Difference(f"link {link}", f"opened by {found!r}, the metadata name {named!r}")
