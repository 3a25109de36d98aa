"""Two nodes play ping-pong. They find each other through the embedded registrar that the first one brings along."""

import asyncio
from typing import Any

from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar


class Pong(Actor):
    """Answers each ping."""

    async def handle_call(self, call: Call) -> Any:
        print(f"pong: {call.sender.node} says {call.payload!r}")
        return f"pong {call.payload.removeprefix('ping ')}"


async def ping(process: Process, table: ProcessID) -> None:
    """Asks three times. The first call connects the nodes."""
    for n in range(1, 4):
        answer = await process.call(table, f"ping {n}")
        print(f"ping: the answer is {answer!r}")


async def main() -> None:
    local = (AcceptorOptions(host="127.0.0.1", port=0),)
    registrar = EsrdRegistrar(port=0)  # any free port; without the argument it is 4499, where other nodes look, too
    b = await Node("b@localhost", NetworkOptions(cookie="secret", acceptors=local, registrar=registrar)).start()
    known = EsrdRegistrar(port=registrar.port)
    a = await Node("a@localhost", NetworkOptions(cookie="secret", acceptors=local, registrar=known)).start()

    b.spawn(Pong(), name="pong")
    player = a.spawn(ping, ProcessID(b.name, Atom("pong")))

    await player.join()

    info = a.network.node(b.name).info
    print(f"{info.node}: {info.messages_out} frames out, {info.messages_in} in, over {info.pool_size} links")
    await a.stop()
    await b.stop()


asyncio.run(main())
