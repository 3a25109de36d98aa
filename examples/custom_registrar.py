"""A custom registrar: a JSON file that all nodes of a machine share."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ergo_conformance import (
    AcceptorOptions,
    ApplicationRoute,
    Atom,
    NetworkOptions,
    Node,
    NodeRegistration,
    ProxyRoute,
    RegistrarError,
    RegistrarInfo,
    Route,
    Version,
)  # fmt: skip


class FileRegistrar:
    """Implements the interfaces Registrar and Resolver. One object serves one node."""

    version = Version("FILE", "1")

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.resolver = path, Atom(""), self
        self.info = RegistrarInfo(server=str(path), embedded=True, version=self.version)

    def read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        if node.name in self.read():
            raise RegistrarError("resource is taken")
        self.path.write_text(json.dumps({**self.read(), node.name: routes}))
        self.name = node.name

    async def terminate(self) -> None:
        self.path.write_text(json.dumps({name: routes for name, routes in self.read().items() if name != self.name}))

    async def resolve(self, name: Atom) -> list[Route]:
        rows = self.read().get(name, [])
        return [Route(host, port, tls, Version(*hs), Version(*proto)) for host, port, tls, hs, proto in rows]

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        raise RegistrarError(f"not supported: proxy routes of {name}")

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        raise RegistrarError(f"not supported: routes of application {name}")


def options(path: Path) -> NetworkOptions:
    return NetworkOptions(cookie="secret", acceptors=(AcceptorOptions(port=0),), registrar=FileRegistrar(path))


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "nodes.json")
        async with Node("a@127.0.0.1", options(path)) as a, Node("b@127.0.0.1", options(path)):
            print("registered:", sorted(json.loads(path.read_text())))
            print("connected with", (await a.network.get_node("b@127.0.0.1")).name)
        print("afterwards:", path.read_text())


asyncio.run(main())
