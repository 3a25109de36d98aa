"""A process on one node starts a worker on another and links itself to it: when the worker ends, it hears why."""

import asyncio
from typing import Any

from ergo_conformance.model.ergo.gen import ProcessOptions
from ergo_conformance.model.values import Error
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.messages import Call, ExitSignal
from ergo_conformance.reference_node.api.messages import ProcessOptions as LocalOptions
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions


class Worker(Actor):
    """Squares numbers, and gives up at a text."""

    async def init(self, *args: Any) -> None:
        print(f"worker: started by {self.process.parent.node} with {args}")

    async def handle_call(self, call: Call) -> Any:
        if isinstance(call.payload, str):
            raise Stop(Error(f"{call.payload!r} is no number"))
        return call.payload**2


async def boss(process: Process, node: str) -> None:
    """Spawns a worker, uses it, loses it."""
    worker = await process.remote_spawn(node, "worker", "some", "arguments", options=ProcessOptions(LinkChild=True))
    print("boss: 7 squared is", await process.call(worker, 7))
    try:
        await process.call(worker, "seven", timeout=1)
    except ErgoError as error:
        print("boss: no answer:", error)
    signal = await process.receive()
    assert isinstance(signal, ExitSignal)
    print("boss: the worker has ended:", signal.reason.text)


async def main() -> None:
    local = (AcceptorOptions(host="127.0.0.1", port=0),)
    b = await Node("b@localhost", NetworkOptions(cookie="secret", acceptors=local, registrar=None)).start()
    a = await Node("a@localhost", NetworkOptions(cookie="secret", acceptors=local, registrar=None)).start()
    a.network.add_route("^b@localhost$", NetworkRoute(host="127.0.0.1", port=b.network.acceptors[0].port))
    b.core.remote.enable_spawn("worker", Worker, a.name)  # nobody but a may

    running = a.spawn(boss, b.name, options=LocalOptions(trap_exit=True))

    await running.join()
    await a.stop()
    await b.stop()


asyncio.run(main())
