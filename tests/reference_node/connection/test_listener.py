"""Listening sockets: silent connections to a TLS port cost little and end in time; a lack of descriptors is survived."""

import asyncio
import errno
import gc
import logging
import os
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.reference_node.connection import listener as module
from ergo_conformance.reference_node.connection import socket_registry
from ergo_conformance.reference_node.connection.listener import TcpListener, listen
from ergo_conformance.reference_node.connection.socket_registry import SocketRegistry
from ergo_conformance.reference_node.connection.tls import client_context, self_signed, server_context
from ergo_conformance.reference_node.turns import Turns
from tests.support.nodes import settle
from tests.support.sockets import HOST, eventually

LONG = 300.0
"""Seconds: a deadline that never matters."""
TLS_BUFFER = 256 * 1024
"""Bytes that asyncio reserves for one TLS connection."""


class Greeter(asyncio.Protocol):
    """Says hello when a connection is open, and ends it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@asynccontextmanager
async def tls_listener(timeout: float = LONG) -> AsyncIterator[TcpListener]:
    context = server_context(self_signed(["localhost"]))
    made = await listen(HOST, 0, SocketRegistry(Turns()), Greeter, context, timeout)
    try:
        yield made
    finally:
        made.close()
        await made.registry.close_all()
        await made.wait_closed()


async def dial(stack: AsyncExitStack, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Opens a TCP connection that is closed with the stack."""
    reader, writer = await asyncio.open_connection(HOST, port)
    stack.callback(lambda: writer.transport.abort())  # noqa: PLW0108  keeps the writer, whose end would close the connection
    return reader, writer


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def greeting(port: int) -> bytes:
    """Returns what a TLS client reads."""
    reader, writer = await asyncio.open_connection(HOST, port, ssl=client_context())
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.real_loop
async def test_tls_clients_are_served_one_after_the_other_and_beside_silent_ones() -> None:
    async with tls_listener() as made, AsyncExitStack() as stack:
        assert await greeting(made.port) == b"hello"
        for _ in range(5):
            await dial(stack, made.port)
        assert await greeting(made.port) == b"hello"
        await eventually(lambda: made.registry.accepting == 5 and not made.shaking)


@pytest.mark.real_loop
@pytest.mark.parametrize("first", [b"", b"\x16", b"GET / HTTP/1.0\r\n\r\n"], ids=["silent", "one_byte", "no_tls"])
async def test_a_client_without_a_tls_handshake_is_closed_in_time(first: bytes) -> None:
    async with tls_listener(0.2) as made, AsyncExitStack() as stack:
        reader, writer = await dial(stack, made.port)
        writer.write(first)
        await read_to_end(reader)
        await eventually(lambda: not made.registry.accepting and not made.registry.live and not made.shaking)


@pytest.mark.real_loop
async def test_the_oldest_silent_client_is_closed_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_registry, "MAX_HANDSHAKES", 3)
    async with tls_listener() as made, AsyncExitStack() as stack:
        readers = []
        for number in range(1, 6):
            readers.append((await dial(stack, made.port))[0])
            await eventually(partial(lambda most: made.registry.accepting == most, min(number, 3)))
        assert [await read_to_end(reader) for reader in readers[:2]] == [b"", b""]
        assert made.registry.accepting == 3
        assert not any(reader.at_eof() for reader in readers[2:])
        assert await greeting(made.port) == b"hello"


@pytest.mark.real_loop
async def test_the_oldest_tls_handshake_is_closed_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TLS", 2)
    async with tls_listener() as made, AsyncExitStack() as stack:
        readers = []
        for number in range(1, 5):
            reader, writer = await dial(stack, made.port)
            writer.write(b"\x16")
            readers.append(reader)
            await eventually(partial(lambda most: len(made.shaking) == most, min(number, 2)))
        assert [await read_to_end(reader) for reader in readers[:2]] == [b"", b""]
        assert len(made.shaking) == 2
        assert await greeting(made.port) == b"hello"


@pytest.mark.real_loop
async def test_silent_clients_reserve_no_buffers_of_tls() -> None:
    number = 100
    async with tls_listener() as made, AsyncExitStack() as stack:
        tracemalloc.start()
        for _ in range(number):
            await dial(stack, made.port)
        await eventually(lambda: made.registry.accepting == number)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < number * TLS_BUFFER / 8


@pytest.mark.real_loop
async def test_ended_tls_handshakes_leave_no_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their memory is in cycles of references, which are collected."""
    monkeypatch.setattr(module, "COLLECT_AFTER", 8)
    async with tls_listener() as made, AsyncExitStack() as stack:
        gc.collect()
        tracemalloc.start()
        for _ in range(64):
            reader, writer = await dial(stack, made.port)
            writer.write(b"no TLS at all")
            await read_to_end(reader)
            writer.close()
        await eventually(lambda: not made.shaking)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 16 * TLS_BUFFER


@pytest.mark.real_loop
async def test_a_connection_that_is_accepted_when_the_node_stops_is_closed() -> None:
    async with tls_listener() as made, AsyncExitStack() as stack:
        made.registry.closed = True
        reader, _ = await dial(stack, made.port)
        assert await read_to_end(reader) == b""
        assert not made.registry.live


# --- a lack of descriptors, in memory ---------------------------------------------------------------------------------


class Crowded:
    """A listening socket that is always readable; `accept` fails with these errors, then has no connections."""

    def __init__(self, descriptor: int, errors: list[int]) -> None:
        self.descriptor, self.errors, self.asked = descriptor, errors, 0

    def fileno(self) -> int:
        return self.descriptor

    def setblocking(self, flag: bool) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing: the test closes the descriptor."""

    def accept(self) -> Any:
        self.asked += 1
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        os.read(self.descriptor, 1)  # not readable any more
        raise BlockingIOError


@pytest.fixture
def readable() -> Iterator[int]:
    """A descriptor that is readable until one byte is read."""
    reading, writing = os.pipe()
    os.write(writing, b"x")
    yield reading
    os.close(reading)
    os.close(writing)


class Unfinished:
    """An unfinished handshake; closing it frees a descriptor."""

    role = Role.ACCEPTOR

    def __init__(self, registry: SocketRegistry) -> None:
        self.registry, self.refused = registry, False
        registry.add(self)

    def refuse(self, error: Exception) -> None:
        del error
        self.refused = True
        self.registry.remove(self)

    def close(self) -> None:
        """Does nothing."""

    abort = close


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_a_lack_of_descriptors_pauses_and_is_logged_once(
    number: int, readable: int, caplog: pytest.LogCaptureFixture
) -> None:
    crowded = Crowded(readable, [number] * 10)
    registry = SocketRegistry(Turns())
    oldest = [Unfinished(registry) for _ in range(12)]
    made = TcpListener(crowded, registry, Greeter)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        await asyncio.sleep(5 * module.PAUSE)
        assert crowded.asked <= 6, "it spins"
        await asyncio.sleep(20 * module.PAUSE)
    assert not crowded.errors
    assert crowded.asked == 11, "it does not try again"
    assert [record.message for record in caplog.records] == [f"connections are not accepted: {os.strerror(number)}"]
    assert [row.refused for row in oldest] == [True] * 10 + [False] * 2
    made.close()
    await settle()


async def test_a_connection_that_ended_before_it_was_accepted_is_skipped(readable: int) -> None:
    crowded = Crowded(readable, [errno.ECONNABORTED, errno.EPROTO])
    made = TcpListener(crowded, SocketRegistry(Turns()), Greeter)  # type: ignore[arg-type]
    await asyncio.sleep(module.PAUSE / 2)
    assert crowded.asked == 3
    made.close()


async def test_a_closed_listener_does_not_listen_again_after_a_lack(readable: int) -> None:
    crowded = Crowded(readable, [errno.EMFILE])
    made = TcpListener(crowded, SocketRegistry(Turns()), Greeter)  # type: ignore[arg-type]
    await settle()
    made.close()
    await asyncio.sleep(10 * module.PAUSE)
    assert crowded.asked == 1


@pytest.mark.real_loop
async def test_listening_on_a_taken_port_raises_and_leaves_nothing_open() -> None:
    with socket.create_server((HOST, 0)) as taken, pytest.raises(OSError, match="in use"):
        await listen(HOST, taken.getsockname()[1], SocketRegistry(Turns()), Greeter)
