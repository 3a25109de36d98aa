"""Packets of registrars: every one of a real side is read and written again by both readers and writers."""

from collections.abc import Iterator
from contextlib import suppress

from ...errors import CannotEncode, Reason, Rejected
from ...model.compare import same
from ...model.ergo import esrd
from ...model.ergo.esrd import Message, Transport
from ...reference_node.ergo import esrd as node
from ...spec.ergo.esrd import CONTEXT, packet_size, read_packet, write_packet
from ..vectors.edf import Difference, byte_difference
from .load import Capture


class PacketChecker:
    """Counts the packets of a file, and collects what differs."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.packets = self.bytes = self.refused = 0
        self.differences: list[Difference] = []

    def check(self) -> None:
        """All streams, and all datagrams, each of which is one packet."""
        for link, direction in self.capture.streams:
            if self.capture.speaks("esrd", link):
                self._stream(link, direction)
        for link, direction, data in self.capture.datagrams:
            if self.capture.speaks("esrd", link):
                where = f"link {link} {direction}"
                self._read(where, link, direction, data, 0, Transport.UDP)

    def _stream(self, link: str, direction: str) -> None:
        where, data = f"link {link} {direction}", self.capture.stream(link, direction)
        if not self.capture.is_scripted(link, direction):
            self.differences += self.capture.defects(link, direction)
        offset: int | None = 0
        while offset is not None and offset < len(data):
            offset = self._read(where, link, direction, data, offset, Transport.TCP)

    def _read(
        self, where: str, link: str, direction: str, data: bytes, offset: int, transport: Transport
    ) -> int | None:
        """One packet; where the next one begins, None behind a refusal."""
        parsed = read_packet(data, offset=offset, prefix=transport is Transport.TCP)
        end = len(data) if isinstance(parsed, Rejected) else parsed.end
        self.bytes += end - offset
        if self.capture.is_scripted(link, direction):
            self.refused += isinstance(parsed, Rejected)
            with suppress(Rejected):
                node.read(data[offset:end])
        elif isinstance(parsed, Rejected):
            if not (self.capture.is_cut(link, direction, "end") and _is_open(data[offset:], parsed)):
                rest = data[offset : offset + 32].hex()
                self.differences.append(Difference(where, f"refused at offset {offset}: {parsed}; {rest}"))
        else:
            self.packets += 1
            texts = packet_faults(parsed.value, data[offset:end], transport)
            self.differences += (Difference(f"{where} offset {offset}", text) for text in texts)
        return None if isinstance(parsed, Rejected) else end


def _is_open(rest: bytes, refusal: Rejected) -> bool:
    """Whether the bytes stop before the end of a packet that is good so far."""
    size = packet_size(rest)
    return refusal.reason is Reason.END_OF_DATA and (size is None or size > len(rest))


def packet_faults(message: Message, data: bytes, transport: Transport) -> Iterator[str]:
    """What is wrong with a packet that the schema read."""
    if esrd.TYPES[type(message)].transport is not transport:
        yield f"{type(message).__name__} over {transport.value}"
    try:
        if not same(message, node.read(data), CONTEXT.registry):
            yield "the two readers find different values"
    except Rejected as refusal:
        yield f"the node refuses what the schema reads: {refusal}"
    for name, write in (("schema", write_packet), ("node", node.write)):
        try:
            written = write(type(message)(*message))
        except CannotEncode as error:
            yield f"the {name} can't write it again: {error}"
            continue
        if written != data:
            yield f"the {name} writes it otherwise: {byte_difference(data, written)}"
