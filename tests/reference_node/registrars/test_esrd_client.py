"""What a node uses of the registrar: it serves or registers, and it resolves."""

import asyncio
import socket

import pytest

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, Route
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import corrupt_packets, with_length, with_value
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.peers.listener import HOST
from ergo_conformance.reference_node.api import Registrar
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.registrars import esrd_client as registrar
from ergo_conformance.reference_node.registrars.errors import registrar_errors
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.spec.ergo.esrd import write_packet
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


# --- starting ---------------------------------------------------------------------------------------------------------


async def test_the_first_one_serves_and_the_others_register() -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        b = await made.start("b", a.port)
        typed: list[Registrar] = [a, b]
        assert (a.serving, b.serving) == (True, False)
        assert a.registered
        assert b.registered
        for user in (each.resolver for each in typed):
            assert await user.resolve(a.name) == await user.resolve(b.name) == ROUTES
            assert await registrar_error(user.resolve(Atom("c@localhost"))) == "unknown"


@pytest.mark.parametrize("name", ["a", "b"], ids=["of_the_server", "of_a_client"])
async def test_a_name_that_is_taken(name: str) -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        await made.start("b", a.port)
        assert await registrar_error(made.start(name, a.port)) == "resource is taken"
        assert not made.all[-1].registered
        assert len(a.server._sockets if a.server else ()) == 1


async def test_nobody_is_registered_without_routes() -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        for port in (0, a.port):
            user = EsrdRegistrar(port=port)
            assert await registrar_error(user.register(registration(), [])) == "incorrect value or argument"
            assert not user.registered


async def test_a_hidden_node_only_resolves() -> None:
    async with registrar_clients() as made, scripted_server() as server:
        hidden = await made.start("h", server.port, hidden=True)
        assert not hidden.registered
        asking = asyncio.create_task(hidden.resolve(Atom("a@localhost")))
        (await server.resolve_request()).answer(ROUTES)
        assert await asking == ROUTES
        assert not server.registrations


async def test_a_node_that_does_not_serve_needs_somebody_who_does() -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    assert await registrar_error(esrd_client(port).register(registration(), ROUTES)) == "connection refused"


async def test_a_host_that_is_none() -> None:
    for host, text in (("no such host", "no such host"), ("x" * 70, "incorrect value or argument")):
        user = EsrdRegistrar(host=host, port=0)
        assert await registrar_error(user.register(registration(), ROUTES)) == text
        assert await registrar_error(user.resolve(Atom(f"a@{host}"))) == text


async def test_a_name_that_no_packet_can_hold() -> None:
    user = esrd_client(1)
    assert await registrar_error(user.register(registration("n" * 256), ROUTES)) == "incorrect value or argument"
    assert await registrar_error(user.resolve(user.name)) == "incorrect value or argument"


def padded(text_length: int) -> bytes:
    return write_packet(RegisterReply(Error("x" * text_length)))


WRONG = "malformed value"
REPLIES: dict[str, tuple[bytes, str | None]] = {
    # upstream's own words, capture client-vs-bad-server
    "granted": (GRANTED, None),
    "junk behind it": (GRANTED + b"junk", None),
    "type 47": (GRANTED[:1] + b"\x2f" + GRANTED[2:], WRONG),
    "version 2": (b"\2" + GRANTED[1:], WRONG),
    "2 bytes, then the end": (GRANTED[:2], WRONG),
    "nothing, then the end": (b"", "EOF"),
    "length too long, then the end": (with_length(GRANTED, 300), WRONG),
    "an error": (write_packet(RegisterReply(Error("go away"))), "go away"),
    "an error without a text": (write_packet(RegisterReply(Error(""))), ""),
    "an error of 900 bytes": (padded(900), "x" * 900),
    "an error of 1200 bytes": (padded(1200), WRONG),
    "no value": (with_value(GRANTED, b"\1\2"), WRONG),
    "an error by id": (GRANTED[:-2] + b"\x80\x05", WRONG),
    # what upstream takes: it starts unregistered (ESRD-CL-5), or reads beyond the length (ESRD-FR-4)
    "nil": (with_value(GRANTED, b"\xff"), WRONG),
    "another message": (with_value(GRANTED, write_packet(ResolveReply(None, None))[4:]), WRONG),
    "length 0": (with_length(GRANTED, 0), WRONG),
    "another packet": (write_packet(ResolveReply(None, None)), WRONG),
}


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_reply_to_a_registration(reply: str) -> None:
    data, wanted = REPLIES[reply]
    async with scripted_server() as server:
        user = esrd_client(server.port)
        starting = asyncio.create_task(registrar_error(user.register(registration(), ROUTES)))
        lease = await server.registration()
        assert await lease.request() == RegisterRoutes(user.name, ROUTES)
        lease.socket.write(data)
        if reply.endswith("the end"):
            lease.socket.end_writing()
        assert await starting == wanted
        assert user.registered is (wanted is None)
        if wanted is not None:
            await lease.expect_close(1.0)  # nothing stays open (ESRD-BUG-6)
        await user.terminate()


async def test_every_fault_in_a_reply_is_one() -> None:
    async with scripted_server() as server:
        for damage in corrupt_packets(RegisterReply(Error("taken"))):
            starting = asyncio.create_task(registrar_error(esrd_client(server.port).register(registration(), ROUTES)))
            lease = await server.registration()
            lease.socket.write(damage.data)
            lease.socket.end_writing()
            assert await starting == WRONG, damage.label
            await lease.request()
            await lease.expect_close(1.0)


async def test_a_reply_in_pieces_is_put_together() -> None:
    async with scripted_server() as server:
        user = esrd_client(server.port)
        starting = asyncio.create_task(user.register(registration(), ROUTES))
        await (await server.registration()).socket.drip(GRANTED, 16, 0.001)
        await starting
        assert user.registered
        await user.terminate()


async def test_a_mute_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esrd, "REGISTER_TIMEOUT", 0.05)
    async with scripted_server() as server:
        assert await registrar_error(esrd_client(server.port).register(registration(), ROUTES)) == "i/o timeout"
        lease = await server.registration()
        await lease.request()
        await lease.expect_close(1.0)


async def test_a_registration_that_is_given_up_leaves_nothing_open() -> None:
    async with scripted_server() as server:
        starting = asyncio.create_task(esrd_client(server.port).register(registration(), ROUTES))
        lease = await server.registration()
        await lease.request()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await lease.expect_close(1.0)


# --- resolving --------------------------------------------------------------------------------------------------------


FOUND = write_packet(ResolveReply(ROUTES, None))
THREE = [route(1), Route("127.0.0.1", 2, True, *route()[3:]), route(3)]
ANSWERS: dict[str, tuple[bytes, list[Route] | str]] = {
    # upstream's own words, capture client-vs-bad-resolver
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
    # what upstream takes for no routes (ESRD-CL-10), or reads beyond the length (ESRD-FR-4)
    "another message": (with_value(FOUND, write_packet(RegisterReply(None))[4:]), WRONG),
    "nil in place of a message": (with_value(FOUND, b"\xff"), WRONG),
    "length 0": (with_length(FOUND, 0), WRONG),
    "another packet": (GRANTED, WRONG),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_reply_to_a_question(answer: str) -> None:
    data, wanted = ANSWERS[answer]
    async with scripted_server() as server:
        asking = asyncio.create_task(esrd_client(server.port).resolve(Atom("a@127.0.0.1")))
        question = await server.resolve_request()
        assert question.name == "a@127.0.0.1"
        question.answer_bytes(data)
        if isinstance(wanted, str):
            assert await registrar_error(asking) == wanted
        else:
            assert await asking == wanted


async def test_only_the_first_datagram_counts_and_every_question_has_its_own_socket() -> None:
    async with scripted_server() as server:
        user, askers = esrd_client(server.port), set()
        for first in (b"junk", FOUND):
            asking = asyncio.create_task(user.resolve(Atom("a@localhost")))
            question = await server.resolve_request()
            askers.add(question.sender)
            question.answer_bytes(first)
            question.answer(THREE)
            if first == FOUND:
                assert await asking == ROUTES
            else:
                assert await registrar_error(asking) == WRONG
        assert len(askers) == 2


async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esrd, "RESOLVE_TIMEOUT", 0.05)
    async with scripted_server() as server:
        assert await registrar_error(esrd_client(server.port).resolve(Atom("a@localhost"))) == "i/o timeout"
        assert server.resolving is not None
        assert server.resolving.requests.qsize() == 1, "one try"
    assert await registrar_error(esrd_client(server.port).resolve(Atom("a@localhost"))) == "connection refused"


@pytest.mark.parametrize("name", ["", "a", "a@", "a@b@c", "a@@"])
async def test_a_name_without_a_host(name: str) -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        for user in (a, esrd_client(a.port)):
            assert await registrar_error(user.resolve(Atom(name))) == "incorrect value or argument"


async def test_who_serves_asks_itself_about_its_own_host_and_others_about_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def ask(host: str, port: int, name: Atom) -> ResolveReply:
        asked.append((host, name))
        return ResolveReply(THREE, None)

    monkeypatch.setattr(registrar, "ask", ask)
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        assert await a.resolve(a.name) == ROUTES
        assert asked == []
        assert await a.resolve(Atom("a@127.0.0.1")) == THREE
        assert asked == [("127.0.0.1", "a@127.0.0.1")]


def test_what_goes_wrong_below_is_put_in_the_framework_s_words() -> None:
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
