"""Registrars of nodes over real sockets of the loopback, and scripted ones."""

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

ROUTES = [route(11_144)]
GRANTED = write_packet(RegisterReply(None))


class Users:
    """The registrars of nodes, ended together."""

    def __init__(self) -> None:
        self.all: list[EsrdRegistrar] = []

    async def start(self, name: str, port: int, **options: Any) -> EsrdRegistrar:
        hidden = options.pop("hidden", False)
        user = EsrdRegistrar(port=port, **options)
        self.all.append(user)
        await user.register(facts(name, hidden=hidden), [] if hidden else ROUTES)
        return user


@contextlib.asynccontextmanager
async def users() -> AsyncIterator[Users]:
    made = Users()
    try:
        yield made
    finally:
        for user in made.all:
            await user.terminate()


@contextlib.asynccontextmanager
async def scripted(port: int = 0) -> AsyncIterator[ScriptedEsrdServer]:
    registrar_ = await ScriptedEsrdServer().start(port)
    try:
        yield registrar_
    finally:
        await registrar_.stop()


async def text_of(work: Awaitable[object]) -> str | None:
    """What goes wrong; None if nothing does."""
    try:
        await work
    except RegistrarError as error:
        return str(error)
    return None


def facts(name: str = "c", *, hidden: bool = False) -> NodeRegistration:
    """A node on this host."""
    return NodeRegistration(Atom(f"{name}@localhost"), random_hex, hidden)


def client(port: int) -> EsrdRegistrar:
    """Of a node that never serves."""
    return EsrdRegistrar(port=port, serve=False)
