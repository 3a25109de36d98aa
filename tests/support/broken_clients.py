"""A node that is a bad client of registrars, as a target of its own: `python broken_clients.py FAULT`, ERGO_TARGET as ever."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from unittest import mock

from ergo_conformance.cli import node
from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import esrd, saturn
from ergo_conformance.model.ergo.esrd import ResolveReply, Route
from ergo_conformance.model.ergo.saturn import ApplicationRoute, Message
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import NodeRegistration
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.connection.tls import client_context
from ergo_conformance.reference_node.ergo import saturn as codec
from ergo_conformance.reference_node.ergo.saturn import SaturnClientSession, SaturnClientState, SaturnPacketReader
from ergo_conformance.reference_node.network import route_resolution as ways
from ergo_conformance.reference_node.network.route_resolution import RouteResolver
from ergo_conformance.reference_node.registrars import esrd_client as registrar
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar, Streams
from ergo_conformance.reference_node.registrars.saturn_client import SaturnRegistrar

FOR_EVER = 3600.0
become_known, register, until_lost = EsrdRegistrar._serve_or_register, registrar.register, registrar.until_lost
exchange, ask, resolved = registrar._exchange, registrar.ask, ways.resolved
enter, start, take, tell, spread = (
    EsrdRegistrar.register, SaturnClientSession.start, SaturnClientSession._accept,
    SaturnRegistrar._send, SaturnRegistrar._dispatch,
)  # fmt: skip
announce, connect, until, serve = (
    SaturnRegistrar.register_application_route, SaturnRegistrar._connect, SaturnRegistrar._until, EsrdRegistrar._serve,
)  # fmt: skip


# --- the embedded registrar -------------------------------------------------------------------------------------------


async def asks_twice_for_its_name(host: str, port: int, request: bytes) -> Streams:
    return await register(host, port, request * 2)


async def starts_refused(self: EsrdRegistrar) -> None:
    try:
        await become_known(self)
    except RegistrarError:
        self.may_serve = False


async def tries_again(self: EsrdRegistrar) -> None:
    """Once more, when it is refused at its start."""
    try:
        await become_known(self)
    except RegistrarError:
        await become_known(self)


async def comes_back_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_lost(reader, writer)
    await asyncio.sleep(1.2)


async def never_comes_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_lost(reader, writer)
    await asyncio.sleep(FOR_EVER)


async def gives_up(self: EsrdRegistrar) -> None:
    """When it is refused on its way back."""
    try:
        await become_known(self)
    except RegistrarError:
        if self._keeper is not None:
            await asyncio.sleep(FOR_EVER)
        raise


async def says_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"still there?")
    await until_lost(reader, writer)


async def dies_of_junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(1):
        os._exit(1)
    await until_lost(reader, writer)


async def registers_hidden(self: EsrdRegistrar, facts: NodeRegistration, routes: Sequence[Route]) -> None:
    await enter(self, facts._replace(hidden=False), routes)


async def never_takes_over(self: EsrdRegistrar) -> bool:
    """It serves from its start, or not at all."""
    return self._keeper is None and await serve(self)


async def asks_once_more(host: str, port: int, request: bytes) -> bytes:
    """When there was no reply for a second."""
    try:
        async with asyncio.timeout(1):
            return await exchange(host, port, request)
    except TimeoutError:
        return await exchange(host, port, request)


async def takes_what_is_good(host: str, port: int, name: Atom) -> ResolveReply:
    """Asks until it gets a good reply."""
    while True:
        try:
            return await ask(host, port, name)
        except RegistrarError as error:
            if str(error) != "malformed value":
                raise


async def errors_are_nothing(host: str, port: int, name: Atom) -> ResolveReply:
    return (await ask(host, port, name))._replace(Error=None)


async def any_name(self: EsrdRegistrar, name: Atom) -> list[Route]:
    return list((await ask("127.0.0.1", self.port, name)).Routes or ())


async def last_first(self: EsrdRegistrar, name: Atom) -> list[Route]:
    return list(reversed((await ask("127.0.0.1", self.port, name)).Routes or ()))


def never_tls(route: Any, found: Route) -> Any:
    return dataclasses.replace(resolved(route, found), tls=False)


def any_stack(known: list[Any], version: Any) -> Any:
    return known[0]


# --- the central one --------------------------------------------------------------------------------------------------


def any_proof(given: str, first: str, token: str) -> bool:
    return True


def proves_the_token_first(first: str, token: str) -> str:
    return sha256(f"{token}:{first}".encode()).hexdigest()


def does_not_wait(self: SaturnClientSession, salt: str) -> bytes:
    """Says all that it has to say at once."""
    return start(self, salt) + self.register(saturn.AnnouncedRoutes())


def in_no_cluster(self: SaturnClientSession, routes: saturn.AnnouncedRoutes) -> bytes:
    return codec.write(saturn.Register("", self.hidden, self.view.name, routes))


def takes_refusals(self: SaturnClientSession, message: Message) -> bool:
    if isinstance(message, saturn.RegisterResult):
        message = message._replace(Error=None)
    return take(self, message)


async def in_any_order(
    self: SaturnRegistrar, reader: asyncio.StreamReader, client: SaturnClientSession, wanted: type
) -> None:
    """A result counts even without a proof."""
    if client.state is not SaturnClientState.REGISTERED:
        client.state = SaturnClientState.AWAIT_RESULT
        await until(self, reader, client, saturn.RegisterResult)


def first_of_a_chunk(self: SaturnPacketReader, data: bytes) -> Iterator[Message]:
    """The rest is lost."""
    self._buffer += data
    size = codec.check_header(self._buffer)
    if size is not None and len(self._buffer) >= size:
        packet, self._buffer = self._buffer[:size], b""
        yield codec.read(packet)


def no_pieces(self: SaturnPacketReader, data: bytes) -> Iterator[Message]:
    """What is not whole is refused."""
    self._buffer = data
    while self._buffer:
        size = codec.check_header(self._buffer) or len(self._buffer)
        packet, self._buffer = self._buffer[:size], self._buffer[size:]
        yield codec.read(packet)


OLD: list[SaturnPacketReader] = []


def keeps_bytes(self: SaturnPacketReader) -> None:
    """Bytes of the old connection stand before those of the new one."""
    self._buffer = OLD[-1]._buffer if OLD else b""
    OLD.append(self)


def any_number(self: SaturnRegistrar, messages: Sequence[Message]) -> None:
    spread(self, [m._replace(ID=self._last_id) if isinstance(m, saturn.ResolveResult) else m for m in messages])


def one_number(self: SaturnRegistrar, message: Message) -> bool:
    self._last_id = 0
    return tell(self, message)


def tells_nothing(self: SaturnRegistrar, route: ApplicationRoute) -> None:
    """Of its applications."""


def never_stopping(self: SaturnRegistrar, route: ApplicationRoute) -> None:
    if route.State != 3:
        announce(self, route)


def dies_when_it_is_down(self: SaturnRegistrar, message: Message) -> bool:
    if self._writer is None:
        os._exit(2)
    return tell(self, message)


async def looks_at_no_certificate(self: SaturnRegistrar) -> Any:
    self._context = client_context()
    return await connect(self)


def news_end_it(self: SaturnClientSession, message: Message) -> bool:
    if isinstance(message, saturn.UnregisterApplicationRoute) and not message.Node:
        raise RegistrarError("whose is it?")
    return take(self, message)


async def never_registers_again(self: SaturnRegistrar) -> Any:
    await asyncio.sleep(FOR_EVER)


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "asks_twice_for_its_name": (registrar, "register", asks_twice_for_its_name),
    "starts_refused": (EsrdRegistrar, "_serve_or_register", starts_refused),
    "tries_again": (EsrdRegistrar, "_serve_or_register", tries_again),
    "comes_back_late": (registrar, "until_lost", comes_back_late),
    "never_comes_back": (registrar, "until_lost", never_comes_back),
    "gives_up": (EsrdRegistrar, "_serve_or_register", gives_up),
    "hurries": (esrd, "RETRY", 0.05),
    "waits_for_ever": (esrd, "REGISTER_TIMEOUT", FOR_EVER),
    "says_more": (registrar, "until_lost", says_more),
    "dies_of_junk": (registrar, "until_lost", dies_of_junk),
    "registers_hidden": (EsrdRegistrar, "register", registers_hidden),
    "never_takes_over": (EsrdRegistrar, "_serve", never_takes_over),
    "asks_once_more": (registrar, "_exchange", asks_once_more),
    "takes_what_is_good": (registrar, "ask", takes_what_is_good),
    "errors_are_nothing": (registrar, "ask", errors_are_nothing),
    "any_name": (EsrdRegistrar, "resolve", any_name),
    "last_first": (EsrdRegistrar, "resolve", last_first),
    "never_tls": (ways, "resolved", never_tls),
    "any_stack": (RouteResolver, "_spoken", staticmethod(any_stack)),
    "any_proof": (codec, "is_proof", any_proof),
    "proves_the_token_first": (codec, "proof", proves_the_token_first),
    "does_not_wait": (SaturnClientSession, "start", does_not_wait),
    "in_no_cluster": (SaturnClientSession, "register", in_no_cluster),
    "takes_refusals": (SaturnClientSession, "_accept", takes_refusals),
    "in_any_order": (SaturnRegistrar, "_until", in_any_order),
    "first_of_a_chunk": (SaturnPacketReader, "feed", first_of_a_chunk),
    "no_pieces": (SaturnPacketReader, "feed", no_pieces),
    "keeps_bytes": (SaturnPacketReader, "__init__", keeps_bytes),
    "any_number": (SaturnRegistrar, "_dispatch", any_number),
    "one_number": (SaturnRegistrar, "_send", one_number),
    "waits_for_routes_for_ever": (saturn, "RESOLVE_TIMEOUT", FOR_EVER),
    "redials_late": (saturn, "REDIAL", (1.2, 2.0)),
    "redials_at_once": (saturn, "REDIAL", (0.0,)),
    "never_registers_again": (SaturnRegistrar, "_reconnect", never_registers_again),
    "tells_nothing": (SaturnRegistrar, "register_application_route", tells_nothing),
    "never_stopping": (SaturnRegistrar, "register_application_route", never_stopping),
    "dies_when_it_is_down": (SaturnRegistrar, "_send", dies_when_it_is_down),
    "looks_at_no_certificate": (SaturnRegistrar, "_connect", looks_at_no_certificate),
    "news_end_it": (SaturnClientSession, "_accept", news_end_it),
    "none": (codec, "NO_ROUTE", codec.NO_ROUTE),
}


if __name__ == "__main__":
    try:
        with mock.patch.object(*FAULTS[sys.argv[1]]):
            asyncio.run(node.serve(node.target_of(os.environ["ERGO_TARGET"], {}), agents=True))
    except UsageError as error:
        sys.exit(str(error))
