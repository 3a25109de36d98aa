"""A connected node, as programs see it (api.RemoteNode)."""

from typing import Any, Final

from ...model.ergo import error_values
from ...model.ergo.ehs import Role, Version
from ...model.ergo.gen import ApplicationOptions, RemoteProcessOptions
from ...model.values import PID, Atom
from ..api import Core
from ..api.applications import ApplicationMode
from ..api.errors import ErgoError
from ..api.info import RemoteNodeInfo
from .base import BaseConnection

NANOSECONDS: Final = 1_000_000_000


class ConnectedNode:
    """The peer of one connection. After the end of the connection its facts remain readable, and requests fail."""

    def __init__(self, core: Core, connection: BaseConnection) -> None:
        self._core = core
        self._connection = connection
        self._since = core.now()

    @property
    def name(self) -> Atom:
        """The name of the node, from its introduction."""
        return self._connection.name

    @property
    def uptime(self) -> int:
        """Seconds since its start, by our clock."""
        return self._core.now() // NANOSECONDS - self.creation

    @property
    def connection_uptime(self) -> int:
        """Seconds since the connection was opened."""
        return (self._core.now() - self._since) // NANOSECONDS

    @property
    def version(self) -> Version:
        """Version of its application, from its introduction."""
        return self._connection.peer.version

    @property
    def creation(self) -> int:
        """The start time of the node, Unix seconds."""
        return self._connection.peer.creation

    @property
    def info(self) -> RemoteNodeInfo:
        """Snapshot of the peer and of the traffic of the connection."""
        connection, peer = self._connection, self._connection.peer
        return RemoteNodeInfo(
            node=connection.name,
            uptime=self.uptime,
            connection_uptime=self.connection_uptime,
            version=peer.version,
            handshake_version=peer.local.handshake_version,
            proto_version=peer.local.proto_version,
            flags=peer.flags,
            pool_size=peer.pool_size,
            pool_dsn=peer.pool_dsns if peer.role is Role.DIALER else (),
            max_message_size=peer.max_message_size,
            messages_in=connection.frames_in,
            messages_out=connection.frames_out,
            bytes_in=connection.bytes_in,
            bytes_out=connection.bytes_out,
        )

    async def spawn(self, name: str, options: RemoteProcessOptions | None = None, *args: Any) -> PID:
        """Spawns a process with one of its factories; its parent is our node itself. Raises ErgoError and CannotEncode."""
        return await self.spawn_register("", name, options, *args)

    async def spawn_register(
        self, register: str, name: str, options: RemoteProcessOptions | None = None, *args: Any
    ) -> PID:
        """Spawns a process and registers its name. Raises ErgoError and CannotEncode."""
        self._check_connected()
        return await self._core.remote_spawn(self.name, Atom(name), list(args) or None, options, register)

    async def application_start(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in the mode of its specification. Raises ErgoError and CannotEncode."""
        await self._start(name, ApplicationMode.OWN, options)

    async def application_start_temporary(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in temporary mode."""
        await self._start(name, ApplicationMode.TEMPORARY, options)

    async def application_start_transient(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in transient mode."""
        await self._start(name, ApplicationMode.TRANSIENT, options)

    async def application_start_permanent(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in permanent mode."""
        await self._start(name, ApplicationMode.PERMANENT, options)

    async def _start(self, name: str, mode: ApplicationMode, options: ApplicationOptions | None) -> None:
        self._check_connected()
        await self._core.remote_application_start(self.name, Atom(name), mode, options)

    def disconnect(self) -> None:
        """Ends the connection: closes all sockets and sends nothing (ENP-DOWN-1). ErgoError if it has ended already."""
        self._check_connected()
        self._core.disconnect(self.name)

    def _check_connected(self) -> None:
        found: object = self._core.open_connection(self.name)
        if found is not self._connection:
            raise ErgoError(error_values.NO_CONNECTION)
