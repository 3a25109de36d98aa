"""ENP as a node's proto: makes connections, and keeps their pools full."""

import asyncio
import logging
from typing import Final

from ....model.ergo import enp
from ....model.ergo.ehs import Version
from ...api import Connection, Core, NetworkDial
from ...api.handshake import Handshaken
from ...connection.backoff import longer
from .connection import EnpConnection

ENP: Final = Version(enp.PROTOCOL, enp.RELEASE, "", "MIT")
SETTLED: Final = 1.0
"""Seconds that a new link has to live: the pause before the next one is short again then."""


class EnpProto:
    """ENP R1 (interfaces.NetworkProto)."""

    def new_connection(self, core: Core, result: Handshaken, log: logging.Logger) -> EnpConnection:  # noqa: ARG002
        """A connection of the peer."""
        return EnpConnection(result, core)

    def version(self) -> Version:
        """ENP R1."""
        return ENP

    async def serve(self, connection: Connection, dial: NetworkDial | None) -> None:
        """Opens the other links of the pool, and new ones in place of lost ones: who dialed does that (ENP-RED-1)."""
        assert isinstance(connection, EnpConnection)
        if dial is None:
            return
        size = connection.peer.pool_size
        await asyncio.gather(*(dial(self._address(connection, number)) for number in range(1, size)))
        await self._keep_full(connection, dial, size)

    async def _keep_full(self, connection: EnpConnection, dial: NetworkDial, size: int) -> None:
        """Upstream redials without a pause and without an end (ENP-RED-3, -4). Where links last, the first try is at once.

        A pool that was never full is left so until a link is lost.
        """
        loop = asyncio.get_running_loop()
        pause, tried = 0.0, loop.time()
        while True:
            await connection.changed.wait()
            connection.changed.clear()
            while 0 < len(connection.links) < size:
                if loop.time() - tried >= SETTLED:
                    pause = 0.0
                await asyncio.sleep(pause)
                await dial(self._address(connection, len(connection.links)))
                tried = loop.time()
                pause = longer(pause)

    @staticmethod
    def _address(connection: EnpConnection, number: int) -> str:
        """Where link `number` of the pool (0: the first) goes: the peer announces addresses, in turn."""
        dsns = connection.peer.pool_dsns
        return dsns[number % len(dsns)] if dsns else ""
