"""Two nodes play ping-pong. They find each other by the embedded registrar that the first one serves."""

import asyncio
from typing import Any

from ergo_conformance import AcceptorOptions, Actor, Atom, Call, EsrdRegistrar, NetworkOptions, Node, Process, ProcessID

LOCAL = (AcceptorOptions(host="127.0.0.1", port=0),)


class Pong(Actor):
    """Replies to each ping."""

    async def handle_call(self, call: Call) -> Any:
        return f"pong {call.payload.removeprefix('ping ')}"


async def ping(process: Process, pong: ProcessID) -> None:
    for n in range(1, 4):
        print(await process.call(pong, f"ping {n}"))  # the first call connects the nodes


async def main() -> None:
    registrar = EsrdRegistrar(port=0)  # any free port; by default 4499, which all nodes of a machine share
    async with Node("b@localhost", NetworkOptions(cookie="secret", acceptors=LOCAL, registrar=registrar)) as b:
        b.spawn(Pong(), name="pong")
        client = EsrdRegistrar(port=registrar.port)
        async with Node("a@localhost", NetworkOptions(cookie="secret", acceptors=LOCAL, registrar=client)) as a:
            await a.spawn(ping, ProcessID(b.name, Atom("pong"))).join()


asyncio.run(main())
