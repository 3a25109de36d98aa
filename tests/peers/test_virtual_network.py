"""The network in memory: TCP, TLS and UDP between programs of one event loop with a virtual clock."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ergo_conformance.peers.listener import HOST, Listener
from ergo_conformance.peers.sockets import LINGER, connect
from ergo_conformance.peers.violation import UnreachableError
from ergo_conformance.peers.virtual_network import ANY, VirtualNetworkLoop, address_of
from ergo_conformance.reference_node.connection.tls import client_context, server_context, verifying_context
from ergo_conformance.verdict.run.registration import certificate


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualNetworkLoop) as runner:
        runner.run(work())


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_bytes_of_any_length_arrive_in_both_directions_and_the_end_after_them(tls: bool) -> None:
    async def exchange() -> None:
        listener = Listener("listener", server_context(certificate()) if tls else None)
        await listener.start()
        dialed = await connect("localhost", listener.port, client_context() if tls else None)
        accepted = await listener.socket()
        for sender, receiver in ((dialed, accepted), (accepted, dialed)):
            sender.write(bytes(1_000_000))
            received = b""
            while len(received) < 1_000_000:
                received += await receiver.read(1.0) or pytest.fail("nothing arrives")
            assert received == bytes(1_000_000)
        dialed.write(b"last words")
        dialed.close()
        assert [await accepted.read(1.0), await accepted.read(1.0)] == [b"last words", b""]
        accepted.close()
        await dialed.wait_closed()
        assert (dialed.reset, accepted.reset) == (False, False)
        assert dialed.now() < LINGER
        await listener.stop()

    run(exchange)


def test_a_client_that_verifies_refuses_an_unknown_certificate() -> None:
    async def refuse() -> None:
        listener = Listener("listener", server_context(certificate()))
        await listener.start()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(HOST, listener.port, ssl=verifying_context(None))
        await listener.stop()

    run(refuse)


def test_a_port_is_refused_before_and_after_it_listens_and_taken_in_between() -> None:
    async def listen() -> None:
        listener = Listener("listener")
        with pytest.raises(UnreachableError, match="Connection refused"):
            await connect(HOST, 5)
        await listener.start(5)
        assert listener.port == 5
        with pytest.raises(UnreachableError, match="can't listen on"):
            await Listener("second").start(5)
        (await connect(HOST, 5)).close()
        await listener.stop()
        with pytest.raises(UnreachableError, match="Connection refused"):
            await connect(HOST, 5)

    run(listen)


class Datagrams(asyncio.DatagramProtocol):
    """Queues what arrives."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.arrived.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.arrived.put_nowait(type(exc))


def test_datagrams_reach_their_address_and_a_connected_socket_hears_only_its_peer() -> None:
    async def exchange() -> None:
        loop = asyncio.get_running_loop()
        serving, server = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 0))
        to = serving.get_extra_info("sockname")
        stranger, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 0))
        asking, client = await loop.create_datagram_endpoint(Datagrams, remote_addr=to)
        asking.sendto(b"question")
        data, origin = await server.arrived.get()
        assert data == b"question"
        stranger.sendto(b"not asked for", origin)
        serving.sendto(b"", origin)
        assert await client.arrived.get() == (b"", to)
        assert client.arrived.empty()
        with pytest.raises(OSError, match="in use"):
            await loop.create_datagram_endpoint(Datagrams, local_addr=to)
        serving.close()
        asking.sendto(b"anybody?")
        assert await client.arrived.get() is ConnectionRefusedError

    run(exchange)


def test_only_this_machine_has_an_address() -> None:
    assert [address_of(host) for host in ("localhost", "127.0.0.2", b"127.0.0.1", None)] == [
        "127.0.0.1", "127.0.0.2", "127.0.0.1", ANY,
    ]  # fmt: skip
    with pytest.raises(socket.gaierror):
        address_of("elsewhere.example")
