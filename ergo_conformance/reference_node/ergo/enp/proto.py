"""ENP as a node's proto: makes connections and keeps their pools full."""

import asyncio
import logging
from typing import Final

from ....model.ergo import enp
from ....model.ergo.ehs import Version
from ...api import Connection, Core, FlowLimits, OpenSocket
from ...api.handshake import PeerInfo
from ...connection.backoff import next_delay
from .connection import EnpConnection

ENP: Final = Version(enp.PROTOCOL, enp.RELEASE, "", "MIT")
SETTLED: Final = 1.0
"""Seconds that a new socket has to live to reset the delay before the next one."""


class EnpProto:
    """ENP R1 (api.NetworkProto)."""

    version = ENP

    @property
    def flow_limits(self) -> FlowLimits:
        """The protocol's limits for peers that do not read."""
        return FlowLimits(enp.MAX_QUEUED, enp.STALL_TIMEOUT)

    def new_connection(self, core: Core, peer: PeerInfo, log: logging.Logger) -> EnpConnection:  # noqa: ARG002
        """Makes a connection."""
        return EnpConnection(peer, core)

    async def serve(self, connection: Connection, open_socket: OpenSocket | None) -> None:
        """Opens the other sockets of the pool and replaces lost ones: done by the dialer only (ENP-RED-1)."""
        assert isinstance(connection, EnpConnection)
        if open_socket is None:
            return
        size = connection.peer.pool_size
        await asyncio.gather(*(open_socket(self._address(connection, number)) for number in range(1, size)))
        await self._keep_full(connection, open_socket, size)

    async def _keep_full(self, connection: EnpConnection, open_socket: OpenSocket, size: int) -> None:
        """Replaces lost sockets with growing delays; upstream redials endlessly without a delay (ENP-RED-3, -4).

        The first try is immediate if the sockets before it lasted.  A pool that was never full stays so until a socket is lost.
        """
        loop = asyncio.get_running_loop()
        delay, tried = 0.0, loop.time()
        while True:
            await connection.changed.wait()
            connection.changed.clear()
            while 0 < len(connection.sockets) < size:
                if loop.time() - tried >= SETTLED:
                    delay = 0.0
                await asyncio.sleep(delay)
                await open_socket(self._address(connection, len(connection.sockets)))
                tried = loop.time()
                delay = next_delay(delay)

    @staticmethod
    def _address(connection: EnpConnection, number: int) -> str:
        """Returns the address of socket `number` of the pool (0: the first): the announced addresses in turn."""
        dsns = connection.peer.pool_dsns
        return dsns[number % len(dsns)] if dsns else ""
