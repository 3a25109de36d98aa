"""Nodes with settings of their own on the loopback, how one dials another, and what goes wrong."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.api import RemoteNode
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from tests.support.settings import LONG_DEADLINES, start_node
from tests.support.sockets import ACCEPTORS, HOST, eventually, port

Start = Callable[..., Awaitable[Node]]


@asynccontextmanager
async def lan() -> AsyncIterator[Start]:
    """Starts nodes, `await start("b", cookie="other")` is b@localhost, and stops them all in the end."""
    async with AsyncExitStack() as stack:

        async def start(name: str, **more: Any) -> Node:
            defaults: dict[str, Any] = {"cookie": "secret", "acceptors": ACCEPTORS, "handshake": LONG_DEADLINES}
            node = await start_node(name if "@" in name else f"{name}@localhost", **(defaults | more))
            stack.push_async_callback(node.stop)
            return node

        yield start


def to(node: Node, **more: Any) -> NetworkRoute:
    """The route to a node's first acceptor; TLS if it speaks that."""
    tls = node.network.acceptors[0].certificates is not None
    return NetworkRoute(**{"host": HOST, "port": port(node), "tls": tls, **more})


async def dial(a: Node, b: Node, **more: Any) -> RemoteNode:
    """a connects to b; `more` as for NetworkRoute."""
    return await a.network.get_node_with_route(b.name, to(b, **more))


async def forget(a: Node, b: Node) -> None:
    """a ends its connection with b, and both know."""
    a.network.node(b.name).disconnect()
    await eventually(lambda: not a.network.connections and not b.network.connections)


def acceptor(**more: Any) -> AcceptorOptions:
    """One on the loopback, on any free port."""
    return AcceptorOptions(**{"host": HOST, "port": 0, **more})


async def failure(work: Awaitable[object]) -> str:
    """The text of the ErgoError that this ends with."""
    with pytest.raises(ErgoError) as caught:
        await work
    return caught.value.error.text


def refusal(work: Callable[[], object]) -> str:
    """As `failure`, of what is no coroutine."""
    with pytest.raises(ErgoError) as caught:
        work()
    return caught.value.error.text


class Echo(Actor):
    """Answers with what it is asked, and notes what it is sent."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_message(self, sender: PID, message: Any) -> None:
        del sender
        self.got.append(message)

    async def handle_call(self, call: Call) -> Any:
        return call.payload


def echo(node: Node, name: str = "echo") -> tuple[Process, Echo]:
    """An Echo on a node."""
    actor = Echo()
    return node.spawn(actor, name=name), actor


def at(node: Node, name: str = "echo") -> ProcessID:
    """A process by name."""
    return ProcessID(node.name, Atom(name))


def ports_in_a_row(count: int) -> int:
    """The first of so many ports that are all free now, and that nobody is given who asks for any.

    Each process looks in a place of its own: tests run side by side.
    """
    begin = 20_000 + os.getpid() * 16 % 11_000
    for first in range(begin, 32_000, count):
        try:
            for number in range(first, first + count):
                socket.create_server((HOST, number)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")
