"""The loopback network of a NetworkLoop behaves as that of a machine: TCP, TLS, UDP, refusals and taken ports."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ergo_conformance.asyncio_server import close_server
from ergo_conformance.peers.listener import HOST, Listener
from ergo_conformance.peers.memory_network import NetworkLoop
from ergo_conformance.peers.sockets import PeerSocket, connect
from ergo_conformance.peers.violation import ShortageError, UnreachableError
from ergo_conformance.reference_node.connection.tls import client_context, fingerprint_sha1, self_signed, server_context

BOTH = pytest.mark.parametrize("loop_class", [NetworkLoop, asyncio.SelectorEventLoop], ids=["memory", "machine"])
Loop = Callable[[], asyncio.AbstractEventLoop]


def run(loop_class: Loop, body: Callable[[], Awaitable[Any]]) -> None:
    """Runs a test on a network in memory or on that of the machine."""

    async def main() -> None:
        await body()

    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(main())


async def listening(context: ssl.SSLContext | None = None) -> Listener:
    listener = Listener("test", context)
    await listener.start()
    return listener


@BOTH
def test_bytes_pass_in_both_directions_until_one_end_closes(loop_class: Loop) -> None:
    async def body() -> None:
        listener = await listening()
        dialed = await connect(HOST, listener.port)
        accepted = await listener.socket()
        dialed.write(b"question")
        assert await accepted.read(5.0) == b"question"
        accepted.write(b"answer")
        accepted.close()
        assert [await dialed.read(5.0), await dialed.read(5.0)] == [b"answer", b""]
        dialed.close()
        await listener.stop()

    run(loop_class, body)


@BOTH
def test_the_addresses_of_both_ends_match(loop_class: Loop) -> None:
    async def body() -> None:
        listener = await listening()
        dialed = await connect(HOST, listener.port)
        accepted = await listener.socket()
        assert dialed.transport is not None
        assert accepted.transport is not None
        assert dialed.transport.get_extra_info("peername") == (HOST, listener.port)
        assert accepted.transport.get_extra_info("sockname") == (HOST, listener.port)
        assert dialed.transport.get_extra_info("sockname") == accepted.transport.get_extra_info("peername")
        dialed.close()
        await listener.stop()

    run(loop_class, body)


@BOTH
def test_a_dialer_over_tls_sees_the_certificate_and_longer_data_passes(loop_class: Loop) -> None:
    pair = self_signed(["localhost", HOST])
    data = bytes(range(256)) * 1_000

    async def body() -> None:
        listener = await listening(server_context(pair))
        dialed = await connect(HOST, listener.port, client_context())
        accepted = await listener.socket()
        assert dialed.fingerprint == fingerprint_sha1(pair.certificate)
        dialed.write(data)
        received = b""
        while len(received) < len(data):
            chunk = await accepted.read(5.0)
            assert chunk
            received += chunk
        assert received == data
        accepted.write(b"answer")
        assert await dialed.read(5.0) == b"answer"
        dialed.close()
        assert await accepted.read(5.0) == b""
        await listener.stop()

    run(loop_class, body)


@BOTH
def test_a_dialer_that_does_not_trust_the_certificate_is_refused(loop_class: Loop) -> None:
    async def body() -> None:
        listener = await listening(server_context(self_signed([HOST])))
        trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(UnreachableError, match="no TLS"):
            await connect(HOST, listener.port, trusting_nobody)
        await listener.stop()

    run(loop_class, body)


@BOTH
def test_a_port_without_a_listener_refuses(loop_class: Loop) -> None:
    async def body() -> None:
        listener = await listening()
        await listener.stop()
        with pytest.raises(UnreachableError, match="refused"):
            await connect(HOST, listener.port)

    run(loop_class, body)


@BOTH
def test_a_taken_port_is_refused_and_free_again_after_the_end(loop_class: Loop) -> None:
    async def body() -> None:
        first, second = await listening(), Listener("second")
        with pytest.raises(ShortageError, match="in use"):
            await second.start(first.port)
        await first.stop()
        await second.start(first.port)
        await second.stop()

    run(loop_class, body)


class Datagrams(asyncio.DatagramProtocol):
    """Records what arrives."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.arrived.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.arrived.put_nowait(exc)


@BOTH
def test_datagrams_pass_and_a_closed_port_reports_a_refusal(loop_class: Loop) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        bound, server = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 0))
        address = bound.get_extra_info("sockname")
        connected, client = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=("localhost", address[1]), family=socket.AF_INET
        )
        connected.sendto(b"question")
        data, sender = await server.arrived.get()
        assert data == b"question"
        bound.sendto(b"answer", sender)
        assert (await client.arrived.get())[0] == b"answer"
        bound.close()
        await asyncio.sleep(0.01)
        connected.sendto(b"again")
        assert isinstance(await client.arrived.get(), ConnectionRefusedError)
        connected.close()

    run(loop_class, body)


def test_a_connected_datagram_socket_hears_only_its_peer() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        connected, client = await loop.create_datagram_endpoint(Datagrams, remote_addr=(HOST, 7))
        stranger, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 8))
        stranger.sendto(b"hello", connected.get_extra_info("sockname"))
        await asyncio.sleep(1.0)
        assert client.arrived.empty()

    run(NetworkLoop, body)


def test_a_closed_server_keeps_its_accepted_sockets() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        accepted: list[PeerSocket] = []

        def accept() -> PeerSocket:
            accepted.append(PeerSocket())
            return accepted[0]

        server = await loop.create_server(accept, HOST, 0)
        dialed = await connect(HOST, server.sockets[0].getsockname()[1])
        await close_server(server)
        await server.wait_closed()
        assert not server.is_serving()
        dialed.write(b"still here")
        assert await accepted[0].read(1.0) == b"still here"

    run(NetworkLoop, body)


def test_another_host_is_unknown() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("example.org", 1)
        with pytest.raises(UnreachableError):
            await connect("192.0.2.1", 1)

    run(NetworkLoop, body)


def test_a_datagram_port_is_taken_once() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 9))
        with pytest.raises(OSError, match="in use") as raised:
            await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 9))
        assert raised.value.errno == errno.EADDRINUSE

    run(NetworkLoop, body)
