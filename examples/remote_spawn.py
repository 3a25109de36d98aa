"""A process spawns a worker on another node and links to it: when the worker ends, the process gets its reason."""

import asyncio
from typing import Any

from ergo_conformance import (
    AcceptorOptions,
    Actor,
    Call,
    Error,
    NetworkOptions,
    NetworkRoute,
    Node,
    Process,
    ProcessOptions,
    RemoteProcessOptions,
    Stop,
)  # fmt: skip

OPTIONS = NetworkOptions(cookie="secret", acceptors=(AcceptorOptions(host="127.0.0.1", port=0),), registrar=None)


class Worker(Actor):
    """Squares numbers; ends at a text."""

    async def handle_call(self, call: Call) -> Any:
        if isinstance(call.payload, str):
            raise Stop(Error(f"{call.payload!r} is not a number"))
        return call.payload**2


async def boss(process: Process, node: str) -> None:
    worker = await process.remote_spawn(node, "worker", options=RemoteProcessOptions(LinkChild=True))
    print("7 squared is", await process.call(worker, 7))
    await process.send(worker, "ignored")
    asking = asyncio.create_task(process.call(worker, "seven", timeout=1))
    print("the worker has ended:", await process.receive())
    await asyncio.wait([asking])
    print("no reply:", asking.exception())


async def main() -> None:
    async with Node("b@localhost", OPTIONS) as b, Node("a@localhost", OPTIONS) as a:
        a.network.add_route("^b@localhost$", NetworkRoute(host="127.0.0.1", port=b.network.acceptors[0].port))
        b.network.enable_spawn("worker", Worker, a.name)  # other nodes are refused
        await a.spawn(boss, b.name, options=ProcessOptions(trap_exit=True)).join()


asyncio.run(main())
