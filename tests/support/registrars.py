"""ESRD registrars of nodes over loopback sockets, and scripted ESRD servers."""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from ergo_conformance.model.ergo.esrd import RegisterReply
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.peers.ergo.esrd_server import ScriptedEsrdServer
from ergo_conformance.reference_node.api import NodeRegistration
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.node import random_hex
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.spec.ergo.esrd import write_packet
from tests.support.ports import free_port

ROUTES = [route(11_144)]
GRANTED = write_packet(RegisterReply(None))


class RegistrarClients:
    """Registrars of several nodes, which terminate together."""

    def __init__(self) -> None:
        self.all: list[EsrdRegistrar] = []

    async def start(self, name: str, port: int, **options: Any) -> EsrdRegistrar:
        hidden = options.pop("hidden", False)
        client = EsrdRegistrar(port=port, **options)
        self.all.append(client)
        await client.register(registration(name, hidden=hidden), [] if hidden else ROUTES)
        return client


@contextlib.asynccontextmanager
async def registrar_clients() -> AsyncIterator[RegistrarClients]:
    made = RegistrarClients()
    try:
        yield made
    finally:
        for client in made.all:
            await client.terminate()


@contextlib.asynccontextmanager
async def scripted_server(port: int | None = None) -> AsyncIterator[ScriptedEsrdServer]:
    """Starts a server, by default at a port that is still free after its end."""
    server = await ScriptedEsrdServer().start(free_port() if port is None else port)
    try:
        yield server
    finally:
        await server.stop()


async def registrar_error(work: Awaitable[object]) -> str | None:
    """Returns the text of the RegistrarError that the work raises; None without an error."""
    try:
        await work
    except RegistrarError as error:
        return str(error)
    return None


def registration(name: str = "c", *, hidden: bool = False) -> NodeRegistration:
    """Returns the registration of a node on localhost."""
    return NodeRegistration(Atom(f"{name}@localhost"), random_hex, hidden)


def esrd_client(port: int) -> EsrdRegistrar:
    """Returns a registrar that is always a client: it never becomes the server."""
    return EsrdRegistrar(port=port, serve=False)
