"""A registrar of one's own: a JSON file that all nodes of a machine share.

It implements interfaces.Registrar and interfaces.Resolver; `NetworkOptions(registrar=…)` is all that a node needs.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.esrd import Route
from ergo_conformance.model.ergo.saturn import ApplicationRoute, ProxyRoute
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import NodeRegistration
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.api.registrar import RegistrarInfo
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions

FILE = Version("FILE", "1")


class FileRegistrar:
    """Node names and their routes in a file. One object serves one node."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name: Atom | None = None

    def read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    @property
    @property
    def resolver(self) -> "FileRegistrar":
        return self

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        known = self.read()
        if node.name in known:
            raise RegistrarError("resource is taken")
        self.path.write_text(json.dumps({**known, node.name: routes}))
        self.name = node.name

    async def terminate(self) -> None:
        if self.name is not None:
            self.path.write_text(json.dumps({name: r for name, r in self.read().items() if name != self.name}))
            self.name = None

    @property
    @property
    def info(self) -> RegistrarInfo:
        return RegistrarInfo(server=str(self.path), embedded=True, version=FILE)

    @property
    @property
    def version(self) -> Version:
        return FILE

    async def resolve(self, name: Atom) -> list[Route]:
        rows = self.read().get(name)
        if rows is None:
            raise RegistrarError("unknown")
        return [Route(host, port, tls, Version(*hs), Version(*proto)) for host, port, tls, hs, proto in rows]

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        raise RegistrarError(f"not supported: no proxies for {name}")

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        raise RegistrarError(f"not supported: no applications like {name}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "nodes.json")
        nodes = []
        for name in ("a@127.0.0.1", "b@127.0.0.1"):
            acceptors = (AcceptorOptions(port=0),)
            options = NetworkOptions(cookie="secret", acceptors=acceptors, registrar=FileRegistrar(path))
            nodes.append(await Node(name, options).start())
        a, _ = nodes
        print("the file has", sorted(json.loads(path.read_text())))
        remote = await a.network.get_node("b@127.0.0.1")
        print("connected with", remote.name, "by", a.network.info.registrar)
        for node in nodes:
            await node.stop()
        print("and in the end", path.read_text())


asyncio.run(main())
