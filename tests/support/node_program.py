"""Runs a node as a process: `python node_program.py SETTINGS`; requests and answers are lines of JSON."""

import asyncio
import hashlib
import json
import logging
import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.peers.sockets import LINGER_NOT
from ergo_conformance.reference_node.api import Deadlines
from ergo_conformance.reference_node.api.errors import ErgoError, RegistrarError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions, NodeOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor

LONG_DEADLINES = (60.0, 60.0, 60.0)
"""Deadlines for tests that do not test deadlines: under load a handshake may take seconds."""


class DigestRecorder(Actor):
    """Actor that records length and SHA-256 digest of each message."""

    def __init__(self) -> None:
        self.seen: list[list[Any]] = []

    async def handle_message(self, sender: PID, message: bytes) -> None:
        self.seen.append([len(message), hashlib.sha256(message).hexdigest()])


class NodeMethods:
    """Methods that a test can call. An error is answered as {"error": text}."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.recorder = DigestRecorder()
        Supervisor(node.core, LEVEL_1)
        node.spawn(self.recorder, name="recorder")

    async def port(self) -> int:
        return self.node.network.acceptors[0].port

    async def memory(self) -> list[int]:
        """Returns the resident bytes: current and peak."""
        return memory()

    async def route(self, name: str, host: str, port: int) -> None:
        self.node.network.add_route(f"^{name}$", NetworkRoute(host=host, port=port))

    async def get_node(self, name: str) -> int:
        return (await self.node.network.get_node(name)).creation

    async def disconnect(self, name: str) -> None:
        self.node.network.node(name).disconnect()

    async def reset(self) -> None:
        """Closes all sockets with RST."""
        for connection in list(self.node.network.connections.values()):
            for each in list(connection.sockets):
                found = each._transport.get_extra_info("socket")  # type: ignore[attr-defined]
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                each.abort()  # type: ignore[attr-defined]

    async def connections(self) -> dict[str, list[Any]]:
        found = self.node.network.connections
        return {str(name): [each.peer.connection_id, len(each.sockets)] for name, each in found.items()}

    async def targets(self, number: int) -> list[list[Any]]:
        """Spawns t0, t1, … with an event of the same name each; returns the id of each PID and of its alias."""

        async def target(process: Process) -> None:
            process.register_event(process.name or "")
            process.create_alias()
            while True:
                await process.receive()

        made = [self.node.spawn(target, name=f"t{i}") for i in range(number)]
        while not all(process.aliases for process in made):
            await asyncio.sleep(0)
        return [[process.pid.id, next(iter(process.aliases)).id] for process in made]

    async def relations(self) -> int:
        return len(self.node.core.monitoring.relations)

    async def call(self, node: str, value: Any, process: str = "echo") -> Any:
        return await self._as_process(lambda it: it.call(ProcessID(Atom(node), Atom(process)), value, timeout=250))

    async def send_bytes(self, node: str, size: int) -> list[Any]:
        """Sends `size` bytes to the recorder of a node; returns their length and digest, and the seconds of the send."""
        data = bytes(range(256)) * (size >> 8) + bytes(size & 255)
        began = time.monotonic()
        await self._as_process(lambda it: it.send(ProcessID(Atom(node), Atom("recorder")), data))
        return [[len(data), hashlib.sha256(data).hexdigest()], time.monotonic() - began]

    async def received_digests(self) -> list[Any]:
        return self.recorder.seen

    async def registrar(self) -> list[bool]:
        """Returns whether the registrar serves, and whether it is registered."""
        found = self.node.network.options.registrar
        assert isinstance(found, EsrdRegistrar)
        return [found.serving, found.registered]

    async def resolve(self, name: str) -> list[Any]:
        found = self.node.network.options.registrar
        assert found is not None
        return [[route.Host, route.Port] for route in await found.resolver.resolve(Atom(name))]

    async def _as_process(self, work: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def body(process: Process) -> None:
            try:
                future.set_result(await work(process))
            except ErgoError as error:
                future.set_exception(error)

        self.node.spawn(body)
        return await future

    async def answer(self, request: list[Any]) -> Any:
        method, *args = request
        try:
            return await getattr(self, method)(*args)
        except (ErgoError, RegistrarError) as error:
            return {"error": str(error)}


def memory() -> list[int]:
    status = Path("/proc/self/status").read_text()
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", status, re.MULTILINE))
    return [int(found[name]) * 1024 for name in ("VmRSS", "VmHWM")]


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main(settings: dict[str, Any]) -> None:
    host, registrar = settings.get("host", "127.0.0.1"), settings.get("registrar")
    acceptor = AcceptorOptions(host=host, port=settings.get("port", 0), last_port=settings.get("port"))
    network = NetworkOptions(
        handshake=EhsHandshake(deadlines=Deadlines(*settings.get("deadlines", LONG_DEADLINES))),
        cookie="secret", acceptors=(acceptor,), max_message_size=settings.get("max_message_size", 0),
        registrar=None if registrar is None else EsrdRegistrar(port=registrar, serve=settings.get("serve", True)),
    )  # fmt: skip
    node = await Node(settings["name"], network, NodeOptions(types=agent_types.ROWS)).start()
    methods = NodeMethods(node)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print_line("ready")
    tasks = set()

    async def respond(line: bytes) -> None:
        number, request = json.loads(line)
        print_line(json.dumps([number, await methods.answer(request)]))

    while line := await reader.readline():
        task = asyncio.ensure_future(respond(line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await node.stop()


if __name__ == "__main__":
    if "LOG" in os.environ:
        logging.basicConfig(level=logging.DEBUG)
    asyncio.run(main(json.loads(sys.argv[1])))
