"""Checks packets of registrars: both readers read each packet of a real side, both writers write it again."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ...errors import Rejected
from ...model.ergo import esrd
from ...model.ergo.esrd import Transport
from ...spec.parse import Parsed
from ..vectors.difference import Difference
from ..vectors.packets import ESRD, PacketProtocol
from .load import Capture
from .result import CaptureResult

SHOWN = 32
"""Bytes shown from the offset of a refusal on."""


class PacketChecker:
    """Checks the packets of one registrar protocol, and counts them."""

    def __init__(self, capture: Capture, result: CaptureResult, protocol: PacketProtocol) -> None:
        self.capture, self.result, self.protocol = capture, result, protocol

    def stream(self, socket: str, direction: str) -> Iterator[Any]:
        """Checks one direction of a socket; yields its messages up to the first that is refused."""
        data, offset = self.capture.stream(socket, direction), 0
        if not self.capture.is_scripted(socket, direction):
            self.result.differences += self.capture.defects(socket, direction)
        while offset < len(data):
            parsed = self.packet(socket, direction, data, offset, is_stream=True)
            if parsed is None:
                return
            yield parsed.value
            offset = parsed.end

    def packet(self, socket: str, direction: str, data: bytes, offset: int, *, is_stream: bool) -> Parsed | None:
        """Checks the packet at an offset; in a stream others may follow. None if it is refused."""
        parsed = self.protocol.parse(data, offset=offset, prefix=is_stream)
        if isinstance(parsed, Rejected):
            self.refused(socket, direction, data, offset, parsed)
            return None
        self.result.counts.bytes += parsed.end - offset
        packet = data[offset : parsed.end]
        if self.capture.is_scripted(socket, direction):
            self._read_by_node(packet)
        else:
            self.result.counts.packets += 1
            for text in self.protocol.differences(parsed.value, packet):
                self.result.add(f"socket {socket} {direction} offset {offset}", text)
        return parsed

    def refused(self, socket: str, direction: str, data: bytes, offset: int, refusal: Rejected) -> None:
        """Adds a difference for bytes that the schema refuses, unless a script wrote them or the recording ends there."""
        rest = data[offset:]
        if self.capture.is_scripted(socket, direction):
            self.result.counts.refused += 1
            self._read_by_node(rest)
        elif not (self.capture.is_cut(socket, direction, "end") and self.protocol.is_truncated(rest, refusal)):
            text = f"refused at offset {offset}: {refusal}; {rest[:SHOWN].hex()}"
            self.result.differences.append(Difference(f"socket {socket} {direction}", text))

    def _read_by_node(self, data: bytes) -> None:
        """Lets the node read a script's bytes: they give a value or a refusal, no other exception."""
        with suppress(Rejected):
            self.protocol.readers["node"](data)


class EsrdChecker(PacketChecker):
    """Checks the packets of the embedded registrar."""

    def __init__(self, capture: Capture, result: CaptureResult, only: str | None = None) -> None:  # noqa: ARG002
        super().__init__(capture, result, ESRD)

    def check(self) -> None:
        """Checks all streams, and all datagrams, each of which is one packet."""
        for socket, direction in self.capture.streams:
            if self.capture.speaks("esrd", socket):
                list(self.stream(socket, direction))
        for socket, direction, data in self.capture.datagrams:
            if self.capture.speaks("esrd", socket):
                self.packet(socket, direction, data, 0, is_stream=False)

    def packet(self, socket: str, direction: str, data: bytes, offset: int, *, is_stream: bool) -> Parsed | None:
        """Checks a packet, and that its type belongs to the transport."""
        parsed = super().packet(socket, direction, data, offset, is_stream=is_stream)
        transport = Transport.TCP if is_stream else Transport.UDP
        if parsed is not None and not self.capture.is_scripted(socket, direction):
            kind = type(parsed.value)
            if esrd.TYPES[kind].transport is not transport:
                place = f"socket {socket} {direction} offset {offset}"
                self.result.add(place, f"{kind.__name__} over {transport.value}")
        return parsed

    def refused(self, socket: str, direction: str, data: bytes, offset: int, refusal: Rejected) -> None:
        """Adds a difference as for every packet; counts the refused bytes."""
        self.result.counts.bytes += len(data) - offset
        super().refused(socket, direction, data, offset, refusal)
