"""Remote spawn and remote application start, in both directions."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from ...model.ergo import enp, error_values, gen
from ...model.ergo.enp import Algorithm, CompressionLevel
from ...model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra, ProcessOptionsExtra
from ...model.values import PID, Atom, Error
from ..api.errors import ErgoError
from ..api.info import EnabledInfo
from ..api.messages import Compression, ProcessOptions
from .actor import Actor
from .applications import Applications
from .peer_connections import Peers
from .permissions import Permission
from .process import Process
from .process_table import ProcessTable
from .spawner import Spawner

Factory = Callable[[], Actor]
LOG_INFO: Final = 1
"""gen.LogLevel of a node without a configured level."""
ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "gzip": Algorithm.GZIP,
    "zlib": Algorithm.ZLIB,
    "lzw": Algorithm.LZW,
}
"""gen.CompressionType; any other name means gzip."""


class EnabledFactory(NamedTuple):
    """A factory, and the nodes that may spawn with it."""

    factory: Factory
    permission: Permission


class RemoteSpawn:
    """Remote spawn and application start of one node. `expose_env`: requests carry the environment of their process."""

    def __init__(
        self,
        tables: ProcessTable,
        spawner: Spawner,
        applications: Applications,
        peers: Peers,
        env: Mapping[str, Any],
        *,
        expose_env: bool = False,
    ) -> None:
        self._tables, self._spawner, self._applications, self._peers = tables, spawner, applications, peers
        self._env = env
        self.expose_env = expose_env
        self.log_level = LOG_INFO
        """gen.LogLevel in the requests to other nodes."""
        self.factories: dict[Atom, EnabledFactory] = {}
        self.startable: dict[Atom, Permission] = {}

    # --- permissions --------------------------------------------------------------------------------------------------

    def enable_spawn(self, name: str, factory: Factory, *nodes: str) -> None:
        """Allows these nodes, or without nodes every node, to spawn with a factory.

        ErgoError if the name belongs to another factory already (NAPI-PL-8).
        """
        found = self.factories.setdefault(Atom(name), EnabledFactory(factory, Permission(map(Atom, nodes))))
        if found.factory != factory:  # not `is not`: a bound method is a new object each time
            raise ErgoError(Error(f"{name} associated with another process factory"))
        found.permission.enable(map(Atom, nodes))

    def disable_spawn(self, name: str, *nodes: str) -> None:
        """Forbids these nodes to spawn with a factory; without nodes removes the factory. ErgoError "unknown"."""
        _disable(self.factories, Atom(name), nodes, lambda found: found.permission)

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Allows these nodes, or without nodes every node, to start an application."""
        found = self.startable.setdefault(Atom(name), Permission(map(Atom, nodes)))
        found.enable(map(Atom, nodes))

    def disable_application_start(self, name: str, *nodes: str) -> None:
        """Forbids these nodes to start an application; without nodes removes the permission. ErgoError "unknown"."""
        _disable(self.startable, Atom(name), nodes, lambda found: found)

    def enabled_factories(self) -> tuple[EnabledInfo, ...]:
        """Returns the factories that other nodes may use."""
        return tuple(
            _enabled_info(name, found.permission, found.factory.__qualname__) for name, found in self.factories.items()
        )

    def enabled_applications(self) -> tuple[EnabledInfo, ...]:
        """Returns the applications that other nodes may start."""
        return tuple(_enabled_info(name, permission) for name, permission in self.startable.items())

    # --- requests of other nodes --------------------------------------------------------------------------------------

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        """Spawns a process requested by `node`; returns it once it has initialised. Raises ErgoError."""
        found = self.factories.get(name)
        if found is None:
            raise ErgoError(error_values.NAME_UNKNOWN)
        if not found.permission.allows(node):
            raise ErgoError(error_values.NOT_ALLOWED)
        if gen.NO_PID in (options.ParentPID, options.ParentLeader):
            raise ErgoError(error_values.PARENT_UNKNOWN)
        process = self._spawner.spawn(
            found.factory(),
            *(options.Args or ()),
            name=options.Register or None,
            options=options_from(options),
            parent=options.ParentPID,
        )
        leader = options.ProcessOptions.Leader
        process.leader = leader if leader != gen.NO_PID else options.ParentLeader
        await process.started
        return process

    async def start_requested(self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """Starts an application requested by `node`. Raises ErgoError."""
        permission = self.startable.get(name)
        if permission is None:
            raise ErgoError(error_values.NAME_UNKNOWN)
        if not permission.allows(node):
            raise ErgoError(error_values.NOT_ALLOWED)
        await self._applications.start(name, mode, options)

    # --- requests to other nodes --------------------------------------------------------------------------------------

    async def spawn(
        self,
        process: Process | None,
        node: Atom,
        name: Atom,
        args: Iterable[Any] | None = None,
        options: gen.RemoteProcessOptions | None = None,
        register: str = "",
    ) -> PID:
        """Spawns a process on another node. `process`: its parent; None is the node itself.

        Raises ErgoError and CannotEncode.  On the wire no `args` and an empty list of them differ.
        """
        if node == self._tables.name:
            raise ErgoError(error_values.NOT_ALLOWED)
        own = self._tables.pid
        env = dict(process.options.env if process else self._env) if self.expose_env else {}
        extra = ProcessOptionsExtra(
            options or gen.RemoteProcessOptions(),
            process.pid if process else own,
            process.leader if process else own,
            env or None,
            self.log_level,
            Atom(register),
            (process.application if process else None) or Atom(""),
            None if args is None else list(args),
        )
        connection = await self._peers.connection(node)
        return await connection.remote_spawn(name, extra)

    async def start_application(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptions | None = None
    ) -> None:
        """Starts an application on another node. Raises ErgoError and CannotEncode."""
        env = dict(self._env) if self.expose_env else {}
        extra = ApplicationOptionsExtra(options or ApplicationOptions(), self._tables.pid, env or None, self.log_level)
        connection = await self._peers.connection(node)
        await connection.remote_application_start(name, int(mode), extra)


def options_from(extra: ProcessOptionsExtra) -> ProcessOptions:
    """Returns the options of a process requested by another node; its own environment overrides the parent's (ENP-SPAWN-4)."""
    requested = extra.ProcessOptions
    compression = requested.Compression
    return ProcessOptions(
        mailbox_size=max(requested.MailboxSize, 0),
        priority=enp.PRIORITIES[requested.SendPriority & enp.PRIORITY_MASK],
        important=requested.ImportantDelivery,
        compression=compression_from(compression.Type, compression.Level, compression.Threshold)
        if compression.Enable
        else None,
        link_parent=requested.LinkParent,
        env={**(extra.ParentEnv or {}), **(requested.Env or {})},
    )


def compression_from(name: str, level: int = 0, threshold: int = 0) -> Compression:
    """Returns a compression by the framework's names and numbers; the threshold is at least the minimum."""
    return Compression(
        ALGORITHMS.get(name, Algorithm.GZIP),
        CompressionLevel(level) if level in frozenset(CompressionLevel) else CompressionLevel.DEFAULT,
        max(threshold, enp.MIN_THRESHOLD),
    )


def _enabled_info(name: Atom, permission: Permission, behavior: str = "") -> EnabledInfo:
    return EnabledInfo(name=name, nodes=tuple(permission.nodes), closed=permission.closed, behavior=behavior)


def _disable(table: dict[Atom, Any], name: Atom, nodes: tuple[str, ...], of: Callable[[Any], Permission]) -> None:
    found = table.get(name)
    if found is None:
        raise ErgoError(error_values.UNKNOWN)
    if nodes:
        of(found).disable(map(Atom, nodes))
    else:
        del table[name]
