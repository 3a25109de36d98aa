"""A node: its name and start time, its processes, its network.

Clock and entropy come in here, at the start, and are handed down.  Without a socket: `Node(name)` inside a running loop, then
`network.acceptor_protocol()` for each link that is to reach it.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Self

from ..model.ergo.caches import Caches
from ..model.registry import Registry
from ..model.values import Atom
from .api.handshake import Token
from .api.validation import check_name
from .connection import link as transport
from .connection.link import Dial
from .core.core import Core, Reach
from .core.process import Actor, Body, Process, ProcessOptions
from .network.application_announcements import ApplicationNews
from .network.initial_caches import announce, registry_of
from .network.network import Network
from .options import DEFAULT_NODE, NetworkOptions, NodeOptions


def random_hex(length: int) -> str:
    """So many lower-case hexadecimal characters that nobody can guess."""
    return secrets.token_hex((length + 1) // 2)[:length]


class Node:
    """An Ergo node."""

    def __init__(
        self,
        name: str,
        network: NetworkOptions | None = None,
        options: NodeOptions = DEFAULT_NODE,
        *,
        clock: Callable[[], float] = time.time,
        token: Token = random_hex,
        dial: Dial = transport.dial,
        caches: Caches | None = None,
        registry: Registry | None = None,
    ) -> None:
        """A node without sockets. `clock`: Unix seconds; `token`: as handshaking.Token; `dial`: opens links.

        `caches` and `registry` stand in for the ids that it would announce and the types that it would know.  UsageError for a
        name that no node can have.
        """
        check_name(name)
        self.name: Final = Atom(name)
        self.creation: Final = int(clock())
        self.options: Final = options
        self.network: Final = Network(
            self.name, self.creation, network or NetworkOptions(), options,
            caches=caches or announce(name, options), token=token, dial=dial,
        )  # fmt: skip
        self.core: Final = Core(
            self.name,
            self.creation,
            int(clock() * 1e9),
            Reach(self.network.connections, self.network.connection, self.network.drop),
            lambda: int(clock() * 1e9),
            registry or registry_of(options),
            env=options.env,
            expose_env=options.expose_env,
        )
        self.network.core = self.core
        news = ApplicationNews(self.name, self.network.options)
        self.core.applications.changed, self.core.applications.unloaded = news.changed, news.unloaded

    @classmethod
    async def start(
        cls,
        name: str,
        network: NetworkOptions | None = None,
        options: NodeOptions = DEFAULT_NODE,
        *,
        clock: Callable[[], float] = time.time,
        token: Token = random_hex,
        dial: Dial = transport.dial,
    ) -> Self:
        """A node with its network. UsageError, one sentence, if it can't be."""
        node = cls(name, network, options, clock=clock, token=token, dial=dial)
        try:
            await node.network.start()
        except BaseException:
            await node.stop()
            raise
        return node

    def spawn(
        self, body: Actor | Body, *args: Any, name: str | None = None, options: ProcessOptions | None = None
    ) -> Process:
        """Starts a process. ErgoError "resource is taken" if the name is in use."""
        return self.core.spawn(body, *args, name=name, options=options)

    async def stop(self) -> None:
        """Ends the processes, then closes acceptors and links; within a moment all are gone."""
        await self.network.shut()
        await self.core.stop()
        await self.network.stop()
