"""A node: its name and start time, its processes, its network.

Clock and entropy enter here and are handed down.  For tests without sockets: `Node(name)` inside a running loop, then
`network.acceptor_protocol()` for each socket that reaches the node.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Self

from ..model.ergo.caches import Caches
from ..model.registry import Registry
from ..model.values import Atom
from .api.handshake import RandomHex
from .api.messages import ProcessOptions
from .api.validation import check_name
from .connection import tcp
from .connection.tcp import Dial
from .core.actor import Actor
from .core.core import NodeCore
from .core.peer_connections import Peers
from .core.process import Body, Process
from .core.process_table import ProcessTable
from .incarnation import OF_THIS_PROCESS, Incarnation
from .network.application_announcements import ApplicationAnnouncements
from .network.initial_caches import initial_caches, make_registry
from .network.network import NodeNetwork
from .options import DEFAULT_NODE, NetworkOptions, NodeOptions
from .turns import Turns


def random_hex(length: int) -> str:
    """Returns this number of lower-case hexadecimal characters from the system's secure random source."""
    return secrets.token_hex((length + 1) // 2)[:length]


class Node:
    """An Ergo node. `async with Node(name, network) as node:` starts it and stops it."""

    def __init__(
        self,
        name: str,
        network: NetworkOptions | None = None,
        options: NodeOptions = DEFAULT_NODE,
        *,
        clock: Callable[[], float] | None = None,
        random_hex: RandomHex = random_hex,
        dial: Dial = tcp.dial,
        caches: Caches | None = None,
        registry: Registry | None = None,
    ) -> None:
        """Makes a node that is not started. Needs a running loop. `clock`: Unix seconds, by default the system's, with which
        each incarnation of a name has another creation; a given one sets it.  `dial`: opens sockets.

        `caches` and `registry` replace the ids that it would announce and the types that it would know.  UsageError for an
        invalid name.
        """
        check_name(name)
        self.name: Final = Atom(name)
        now = clock or time.time
        incarnation = OF_THIS_PROCESS.begin(self.name, now()) if clock is None else Incarnation(int(now()))
        self.creation: Final = incarnation.creation
        self.options: Final = options
        network = network or NetworkOptions()

        def make_core(peers: Peers, turns: Turns) -> NodeCore:
            return NodeCore(
                ProcessTable(self.name, self.creation, int(now() * 1e9), incarnation.first_id),
                peers,
                lambda: int(now() * 1e9),
                registry or make_registry(options),
                turns,
                env=options.env,
                expose_env=options.expose_env,
                application_listener=ApplicationAnnouncements(self.name, network),
            )

        self.network: Final = NodeNetwork(
            self.name, self.creation, network, options,
            caches=caches or initial_caches(name, options), random_hex=random_hex, dial=dial, make_core=make_core,
        )  # fmt: skip
        self.core: Final = self.network.core

    async def start(self) -> Self:
        """Starts the network and returns the node. UsageError, one sentence, and nothing stays open."""
        try:
            await self.network.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def spawn(
        self, body: Actor | Body, *args: Any, name: str | None = None, options: ProcessOptions | None = None
    ) -> Process:
        """Starts a process. ErgoError "resource is taken" if the name is registered."""
        return self.core.spawner.spawn(body, *args, name=name, options=options)

    async def stop(self) -> None:
        """Stops accepting, dialing and the registration, ends the processes, then closes the connections."""
        await self.network.stop_accepting()
        await self.core.stop()
        await self.network.stop()
