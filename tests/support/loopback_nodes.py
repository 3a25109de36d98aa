"""Nodes with their own settings on the loopback: start, dial, disconnect, and the texts of errors."""

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
from tests.support.settings import start_node
from tests.support.sockets import ACCEPTORS, HOST, eventually, port

Start = Callable[..., Awaitable[Node]]


@asynccontextmanager
async def node_starter() -> AsyncIterator[Start]:
    """Yields a function that starts nodes: `await start("b", cookie="other")` is b@localhost. Stops them at the end."""
    async with AsyncExitStack() as stack:

        async def start(name: str, **more: Any) -> Node:
            defaults: dict[str, Any] = {"cookie": "secret", "acceptors": ACCEPTORS}
            node = await start_node(name if "@" in name else f"{name}@localhost", **(defaults | more))
            stack.push_async_callback(node.stop)
            return node

        yield start


def route_to(node: Node, **more: Any) -> NetworkRoute:
    """Returns the route to a node's first acceptor, with TLS if it has a certificate."""
    tls = node.network.acceptors[0].certificates is not None
    return NetworkRoute(**{"host": HOST, "port": port(node), "tls": tls, **more})


async def dial(a: Node, b: Node, **more: Any) -> RemoteNode:
    """Connects a to b; `more` are fields of NetworkRoute."""
    return await a.network.get_node_with_route(b.name, route_to(b, **more))


async def disconnect(a: Node, b: Node) -> None:
    """Ends the connection of a and b; waits until both have removed it."""
    a.network.node(b.name).disconnect()
    await eventually(lambda: not a.network.connections and not b.network.connections)


def loopback_acceptor(**more: Any) -> AcceptorOptions:
    """Returns options of an acceptor on the loopback, on any free port."""
    return AcceptorOptions(**{"host": HOST, "port": 0, **more})


def raised_error_text(work: Callable[[], object]) -> str:
    """Returns the text of the ErgoError that the call raises."""
    with pytest.raises(ErgoError) as caught:
        work()
    return caught.value.error.text


class Echo(Actor):
    """Answers a call with its payload, and records messages."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def handle_message(self, sender: PID, message: Any) -> None:
        del sender
        self.received.append(message)

    async def handle_call(self, call: Call) -> Any:
        return call.payload


def spawn_echo(node: Node, name: str = "echo") -> tuple[Process, Echo]:
    """Spawns an Echo; returns process and actor."""
    actor = Echo()
    return node.spawn(actor, name=name), actor


def process_id(node: Node, name: str = "echo") -> ProcessID:
    """Returns the address of a process by name."""
    return ProcessID(node.name, Atom(name))
