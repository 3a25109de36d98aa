"""Packets of a socket: the work is linear in the received bytes, and what is held of one packet is bounded."""

from typing import Any

import pytest

from ergo_conformance.peers import packet_reader
from ergo_conformance.peers.ergo.pool import FORMAT
from ergo_conformance.peers.packet_reader import PacketReader
from ergo_conformance.peers.sockets import PeerSocket
from ergo_conformance.peers.violation import ViolationError


class CountingBuffer(bytearray):
    """A buffer that counts the bytes copied out of it."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        CountingBuffer.copied += len(found) if isinstance(found, bytearray) else 0
        return found


def frame(size: int) -> bytes:
    """Returns a frame of this many bytes."""
    return b"\x4e\x01" + size.to_bytes(4, "big") + bytes(size - 6)


@pytest.mark.parametrize("chunks", [1, 2000])
async def test_a_long_frame_in_many_chunks_is_copied_once(chunks: int) -> None:
    socket, data = PeerSocket(), frame(400_000)
    reader = PacketReader(socket, FORMAT)
    reader._buffer, CountingBuffer.copied = CountingBuffer(), 0
    size = len(data) // chunks
    for start in range(0, len(data), size):
        assert reader.read_now() is None
        socket.data_received(data[start : start + size])
    assert reader.read_now() == data
    assert CountingBuffer.copied <= len(data) + 16 * (chunks + 2)


async def test_a_frame_beyond_the_limit_of_the_tester_is_a_violation_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packet_reader, "MAX_HELD", 1000)
    socket = PeerSocket()
    reader = PacketReader(socket, FORMAT)
    socket.data_received(frame(1 << 31 - 8)[:900])
    assert reader.read_now() is None
    socket.data_received(bytes(200))
    with pytest.raises(ViolationError) as failure:
        reader.read_now()
    assert failure.value.actual == "1,100 bytes of a packet of 8,388,608 bytes; the tester holds 1,000 at most"
