"""EsrdRegistrar: a node becomes the server or registers with it, and resolves names."""

import asyncio
import socket

import pytest

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, Route
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import corrupt_packets, with_length, with_value
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.reference_node.api import Registrar
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.registrars import esrd_client as registrar
from ergo_conformance.reference_node.registrars.errors import registrar_errors
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.spec.ergo.esrd import write_packet
from tests.support.ports import free_port
from tests.support.registrars import (
    GRANTED,
    ROUTES,
    esrd_client,
    registrar_clients,
    registrar_error,
    registration,
    scripted_server,
)

pytestmark = pytest.mark.real_loop


# --- registering ------------------------------------------------------------------------------------------------------


async def test_the_first_registrar_serves_and_the_others_register() -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        b = await made.start("b", a.port)
        typed: list[Registrar] = [a, b]
        assert (a.serving, b.serving) == (True, False)
        assert a.registered
        assert b.registered
        for client in (each.resolver for each in typed):
            assert await client.resolve(a.name) == await client.resolve(b.name) == ROUTES
            assert await registrar_error(client.resolve(Atom("c@localhost"))) == "unknown"


@pytest.mark.parametrize("name", ["a", "b"], ids=["of_the_server", "of_a_client"])
async def test_a_taken_name_is_refused(name: str) -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        await made.start("b", a.port)
        assert await registrar_error(made.start(name, a.port)) == "resource is taken"
        assert not made.all[-1].registered
        assert len(a.server._sockets if a.server else ()) == 1


async def test_a_registration_without_routes_raises() -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        for port in (0, a.port):
            client = EsrdRegistrar(port=port)
            assert await registrar_error(client.register(registration(), [])) == "incorrect value or argument"
            assert not client.registered


async def test_a_hidden_node_only_resolves() -> None:
    async with registrar_clients() as made, scripted_server() as server:
        hidden = await made.start("h", server.port, hidden=True)
        assert not hidden.registered
        resolving = asyncio.create_task(hidden.resolve(Atom("a@localhost")))
        (await server.resolve_request()).answer(ROUTES)
        assert await resolving == ROUTES
        assert not server.registrations


async def test_a_client_without_a_server_gets_connection_refused() -> None:
    assert await registrar_error(esrd_client(free_port()).register(registration(), ROUTES)) == "connection refused"


async def test_an_invalid_host_raises() -> None:
    client = EsrdRegistrar(host="no such host", port=0)
    assert await registrar_error(client.register(registration(), ROUTES)) == "no such host"
    for host, text in (
        ("no such host", "no such host"),
        ("x" * 70, "incorrect value or argument"),
        ("a\0", "no such host"),
    ):
        assert await registrar_error(client.resolve(Atom(f"a@{host}"))) == text


async def test_a_name_too_long_for_a_packet_raises() -> None:
    client = esrd_client(1)
    assert await registrar_error(client.register(registration("n" * 256), ROUTES)) == "incorrect value or argument"
    assert await registrar_error(client.resolve(client.name)) == "incorrect value or argument"


def error_reply(text_length: int) -> bytes:
    return write_packet(RegisterReply(Error("x" * text_length)))


WRONG = "malformed value"
REPLIES: dict[str, tuple[bytes, str | None]] = {
    # texts of upstream, capture client-vs-bad-server
    "granted": (GRANTED, None),
    "junk behind it": (GRANTED + b"junk", None),
    "type 47": (GRANTED[:1] + b"\x2f" + GRANTED[2:], WRONG),
    "version 2": (b"\2" + GRANTED[1:], WRONG),
    "2 bytes, then the end": (GRANTED[:2], WRONG),
    "nothing, then the end": (b"", "EOF"),
    "length too long, then the end": (with_length(GRANTED, 300), WRONG),
    "an error": (write_packet(RegisterReply(Error("go away"))), "go away"),
    "an error without a text": (write_packet(RegisterReply(Error(""))), ""),
    "an error of 900 bytes": (error_reply(900), "x" * 900),
    "an error of 1200 bytes": (error_reply(1200), WRONG),
    "no value": (with_value(GRANTED, b"\1\2"), WRONG),
    "an error by id": (GRANTED[:-2] + b"\x80\x05", WRONG),
    # upstream accepts these: it starts unregistered (ESRD-CL-5), or reads beyond the length (ESRD-FR-4)
    "nil": (with_value(GRANTED, b"\xff"), WRONG),
    "another message": (with_value(GRANTED, write_packet(ResolveReply(None, None))[4:]), WRONG),
    "length 0": (with_length(GRANTED, 0), WRONG),
    "another packet": (write_packet(ResolveReply(None, None)), WRONG),
}


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_registration_returns_or_raises_by_the_reply(reply: str) -> None:
    data, wanted = REPLIES[reply]
    async with scripted_server() as server:
        client = esrd_client(server.port)
        registering = asyncio.create_task(registrar_error(client.register(registration(), ROUTES)))
        accepted = await server.registration()
        assert await accepted.request() == RegisterRoutes(client.name, ROUTES)
        accepted.socket.write(data)
        if reply.endswith("the end"):
            accepted.socket.end_writing()
        assert await registering == wanted
        assert client.registered is (wanted is None)
        if wanted is not None:
            await accepted.expect_close(60.0)  # no socket stays open (ESRD-BUG-6)
        await client.terminate()


async def test_each_corrupt_reply_to_a_registration_is_malformed() -> None:
    async with scripted_server() as server:
        for corruption in corrupt_packets(RegisterReply(Error("taken"))):
            registering = asyncio.create_task(
                registrar_error(esrd_client(server.port).register(registration(), ROUTES))
            )
            accepted = await server.registration()
            accepted.socket.write(corruption.data)
            accepted.socket.end_writing()
            assert await registering == WRONG, corruption.label
            await accepted.request()
            await accepted.expect_close(60.0)


async def test_a_reply_in_several_segments_is_read() -> None:
    async with scripted_server() as server:
        client = esrd_client(server.port)
        registering = asyncio.create_task(client.register(registration(), ROUTES))
        await (await server.registration()).socket.drip(GRANTED, 16, 0.001)
        await registering
        assert client.registered
        await client.terminate()


async def test_a_silent_server_times_out_the_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esrd, "REGISTER_TIMEOUT", 0.5)
    async with scripted_server() as server:
        assert await registrar_error(esrd_client(server.port).register(registration(), ROUTES)) == "i/o timeout"
        accepted = await server.registration()
        await accepted.request()
        await accepted.expect_close(60.0)


async def test_a_cancelled_registration_closes_its_socket() -> None:
    async with scripted_server() as server:
        registering = asyncio.create_task(esrd_client(server.port).register(registration(), ROUTES))
        accepted = await server.registration()
        await accepted.request()
        registering.cancel()
        await asyncio.gather(registering, return_exceptions=True)
        await accepted.expect_close(60.0)


# --- resolving --------------------------------------------------------------------------------------------------------


FOUND = write_packet(ResolveReply(ROUTES, None))
THREE = [route(1), Route("127.0.0.1", 2, True, *route()[3:]), route(3)]
ANSWERS: dict[str, tuple[bytes, list[Route] | str]] = {
    # texts of upstream, capture client-vs-bad-resolver
    "found": (FOUND, ROUTES),
    "three routes": (write_packet(ResolveReply(THREE, None)), THREE),
    "version 2": (b"\2" + FOUND[1:], WRONG),
    "type 46": (FOUND[:1] + b"\x2e" + FOUND[2:], WRONG),
    "3 bytes": (FOUND[:3], WRONG),
    "no bytes": (b"", WRONG),
    "length too long": (with_length(FOUND, 900), WRONG),
    "no value": (with_value(FOUND, b"\1"), WRONG),
    "no routes": (write_packet(ResolveReply([], None)), []),
    "nil": (write_packet(ResolveReply(None, None)), []),
    "an error beside routes": (write_packet(ResolveReply(ROUTES, Error("busy"))), "busy"),
    "more than 4096 bytes": (write_packet(ResolveReply([route(1, Host="h" * 50)] * 90, None)), WRONG),
    # upstream treats these as no routes (ESRD-CL-10), or reads beyond the length (ESRD-FR-4)
    "another message": (with_value(FOUND, write_packet(RegisterReply(None))[4:]), WRONG),
    "nil in place of a message": (with_value(FOUND, b"\xff"), WRONG),
    "length 0": (with_length(FOUND, 0), WRONG),
    "another packet": (GRANTED, WRONG),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_resolve_returns_or_raises_by_the_reply(answer: str) -> None:
    data, wanted = ANSWERS[answer]
    async with scripted_server() as server:
        resolving = asyncio.create_task(esrd_client(server.port).resolve(Atom("a@127.0.0.1")))
        request = await server.resolve_request()
        assert request.name == "a@127.0.0.1"
        request.answer_bytes(data)
        if isinstance(wanted, str):
            assert await registrar_error(resolving) == wanted
        else:
            assert await resolving == wanted


async def test_each_resolve_request_has_its_own_socket_and_uses_the_first_datagram() -> None:
    async with scripted_server() as server:
        client, senders = esrd_client(server.port), set()
        for first in (b"junk", FOUND):
            resolving = asyncio.create_task(client.resolve(Atom("a@localhost")))
            request = await server.resolve_request()
            senders.add(request.sender)
            request.answer_bytes(first)
            request.answer(THREE)
            if first == FOUND:
                assert await resolving == ROUTES
            else:
                assert await registrar_error(resolving) == WRONG
        assert len(senders) == 2


async def test_resolve_without_an_answer_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esrd, "RESOLVE_TIMEOUT", 0.5)
    async with scripted_server() as server:
        assert await registrar_error(esrd_client(server.port).resolve(Atom("a@localhost"))) == "i/o timeout"
        assert server.resolving is not None
        assert server.resolving.requests.qsize() == 1, "one try"
    assert await registrar_error(esrd_client(server.port).resolve(Atom("a@localhost"))) == "connection refused"


@pytest.mark.parametrize("name", ["", "a", "a@", "a@b@c", "a@@"])
async def test_resolve_of_a_name_without_a_host_raises(name: str) -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        for client in (a, esrd_client(a.port)):
            assert await registrar_error(client.resolve(Atom(name))) == "incorrect value or argument"


async def test_a_serving_registrar_resolves_names_of_its_host_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = []

    async def ask(host: str, port: int, name: Atom) -> ResolveReply:
        requests.append((host, name))
        return ResolveReply(THREE, None)

    monkeypatch.setattr(registrar, "ask", ask)
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        assert await a.resolve(a.name) == ROUTES
        assert requests == []
        assert await a.resolve(Atom("a@127.0.0.1")) == THREE
        assert requests == [("127.0.0.1", "a@127.0.0.1")]


def test_errors_of_asyncio_get_the_texts_of_the_framework_in_a_registrar() -> None:
    cases: list[tuple[Exception, str]] = [
        (TimeoutError(), "i/o timeout"),
        (asyncio.IncompleteReadError(b"", 4), "EOF"),
        (socket.gaierror(-2, "Name or service not known"), "no such host"),
        (ConnectionRefusedError(111, "Connect call failed"), "connection refused"),
        (OSError("No Address"), "no address"),
        (UnicodeError("label too long"), "incorrect value or argument"),
    ]
    for error, text in cases:
        with pytest.raises(RegistrarError) as caught, registrar_errors():
            raise error
        assert str(caught.value) == text
