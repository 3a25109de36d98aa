"""In-memory nodes on the virtual loop: connected with each other, or with a scripted peer that checks frames by the schemas."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.peers.corruption.frames import header
from ergo_conformance.peers.ergo.handshake import TargetInfo
from ergo_conformance.peers.listener import HOST
from ergo_conformance.peers.memory import join_protocols
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.tcp import SocketAddress
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.targets.self_node import OFFERS, MemoryRunningTarget, make_node
from ergo_conformance.verdict.run.context import Context
from tests.support.settings import settings_of

T = TypeVar("T")
FRAME = header(FrameType.MESSAGE_PID)
"""The shortest frame. A node counts its bytes and drops it."""


async def settle(turns: int = 50) -> None:
    """Runs the event loop for some turns: callbacks and tasks without timers finish."""
    for _ in range(turns):
        await asyncio.sleep(0)


def node(name: str = "b@localhost", **options: Any) -> Node:
    """Returns a node without sockets, with the types of the agents."""
    settings = {"cookie": "secret", "types": agent_types.ROWS, "errors": (agent_types.CUSTOM_ERROR,), **options}
    return make_node(settings_of(name, **settings), name)


def context(of: Node, seed: int = 1) -> Context:
    """Returns a context that makes peers of a node as in a case: `context(node).peer(sockets=3)`."""
    running = MemoryRunningTarget(TargetInfo(of.name, of.network.cookie), tls=False, offers=OFFERS, node=of)
    return Context(running, random.Random(seed))


async def run_as_process(of: Node, work: Callable[[Process], Awaitable[T]], **options: Any) -> T:
    """Runs a coroutine function in a new process of a node; returns its result or raises its exception."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def body(process: Process) -> None:
        try:
            future.set_result(await work(process))
        except Exception as error:  # noqa: BLE001  raised again in the test
            future.set_exception(error)

    of.spawn(body, options=ProcessOptions(**options))
    return await future


class MemoryNetwork:
    """In-memory network. A node's port is its number; `dialed` lists the dialed ports."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.dialed: list[int] = []

    def node(self, name: str, **options: Any) -> Node:
        """Returns a node with routes to the nodes made before."""
        routes = {str(other.name): NetworkRoute(host="127.0.0.1", port=port) for port, other in self.nodes.items()}
        made = node(name, **{"routes": routes, **options})
        made.network._dialer._dial = self.dial
        self.nodes[len(self.nodes) + 1] = made
        return made

    async def dial(self, protocol: Callable[[], asyncio.Protocol], address: SocketAddress) -> None:
        """Opens a socket, like tcp.dial."""
        self.dialed.append(address.port)
        await asyncio.sleep(0)
        if address.port not in self.nodes:
            raise ConnectionRefusedError(f"no node listens at port {address.port}")
        join_protocols(
            protocol(), self.nodes[address.port].network.acceptor_protocol(), acceptor_address=(HOST, address.port)
        )

    async def pair(self, **options: Any) -> tuple[Node, Node, Any]:
        """Returns nodes a and b, and the connection that a dialed."""
        b, a = self.node("b@localhost", **options), self.node("a@localhost", **options)
        connection = await a.network.connection(b.name)
        await settle()
        return a, b, connection

    async def stop(self) -> None:
        """Stops all nodes."""
        for made in self.nodes.values():
            await made.stop()


def transport_of(socket: Any) -> Any:
    """Returns the transport of a node's socket, which a test may abort."""
    return socket._transport
