"""A connected node, as programs see it (interfaces.RemoteNode)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...model.ergo import error_values
from ...model.ergo.ehs import Role, Version
from ...model.ergo.gen import ApplicationOptions, ProcessOptions
from ...model.values import PID, Atom
from ..api.errors import ErgoError
from ..api.info import RemoteNodeInfo
from ..core.applications import Mode

if TYPE_CHECKING:
    from ..api import Core
    from .table import LinkedConnection

NANOSECONDS = 1_000_000_000


class ConnectedNode:
    """The peer of one connection. When that is over, it is still known what it was; what is asked of it then fails."""

    def __init__(self, core: Core, connection: LinkedConnection) -> None:
        self._core = core
        self._connection = connection
        self._since = core.now()

    def name(self) -> Atom:
        """As it introduced itself."""
        return self._connection.name

    def uptime(self) -> int:
        """Seconds since it was started, by our clock."""
        return self._core.now() // NANOSECONDS - self.creation()

    def connection_uptime(self) -> int:
        """Seconds since it was connected."""
        return (self._core.now() - self._since) // NANOSECONDS

    def version(self) -> Version:
        """Of its application, as it introduced itself."""
        return self._connection.peer.version

    def creation(self) -> int:
        """When it was started, Unix seconds."""
        return self._connection.peer.creation

    def info(self) -> RemoteNodeInfo:
        """All that is known of it, and what went over the connection."""
        connection, peer = self._connection, self._connection.peer
        return RemoteNodeInfo(
            node=connection.name,
            uptime=self.uptime(),
            connection_uptime=self.connection_uptime(),
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

    async def spawn(self, name: str, options: ProcessOptions | None = None, *args: Any) -> PID:
        """A process of one of its factories; its parent is our node itself. Raises ErgoError and CannotEncode."""
        return await self.spawn_register("", name, options, *args)

    async def spawn_register(self, register: str, name: str, options: ProcessOptions | None = None, *args: Any) -> PID:
        """The same under a name."""
        self._check()
        return await self._core.remote_spawn(self.name(), Atom(name), list(args) or None, options, register)

    async def application_start(self, name: str, options: ApplicationOptions | None = None) -> None:
        """One of its applications, in the mode of its specification. Raises ErgoError and CannotEncode."""
        await self._start(name, Mode.OWN, options)

    async def application_start_temporary(self, name: str, options: ApplicationOptions | None = None) -> None:
        """The same in this mode."""
        await self._start(name, Mode.TEMPORARY, options)

    async def application_start_transient(self, name: str, options: ApplicationOptions | None = None) -> None:
        """The same in this mode."""
        await self._start(name, Mode.TRANSIENT, options)

    async def application_start_permanent(self, name: str, options: ApplicationOptions | None = None) -> None:
        """The same in this mode."""
        await self._start(name, Mode.PERMANENT, options)

    async def _start(self, name: str, mode: Mode, options: ApplicationOptions | None) -> None:
        self._check()
        await self._core.remote_application_start(self.name(), Atom(name), mode, options)

    def disconnect(self) -> None:
        """Ends the connection: all links are closed, there is no goodbye (ENP-DOWN-1). ErgoError if it is over already."""
        self._check()
        self._core.disconnect(self.name())

    def _check(self) -> None:
        found: object = self._core.open_connection(self.name())
        if found is not self._connection:
            raise ErgoError(error_values.NO_CONNECTION)
