"""What other nodes may start here, and what we start on others: processes by factory, applications by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...model.ergo import enp, error_values, gen
from ...model.ergo.enp import Algorithm, CompressionLevel
from ...model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra, ProcessOptionsExtra
from ...model.values import PID, Atom, Error
from ..api.errors import ErgoError
from ..ergo.enp.compression import Compression
from .permissions import Permission
from .process import Actor, Process, ProcessOptions

if TYPE_CHECKING:
    from .applications import Mode
    from .core import Core

Factory = Callable[[], Actor]
LOG_INFO: Final = 1
"""gen.LogLevel of a node that was not told another one."""
ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "gzip": Algorithm.GZIP,
    "zlib": Algorithm.ZLIB,
    "lzw": Algorithm.LZW,
}
"""gen.CompressionType; anything else is gzip."""


class Spawnable(NamedTuple):
    """A factory and who may use it."""

    factory: Factory
    permission: Permission


class Remote:
    """Both directions of one node. `expose_env`: our processes' environment goes along."""

    def __init__(self, core: Core, *, expose_env: bool = False) -> None:
        self.core = core
        self.expose_env = expose_env
        self.log_level = LOG_INFO
        """gen.LogLevel that what we start elsewhere is told to have."""
        self.factories: dict[Atom, Spawnable] = {}
        self.startable: dict[Atom, Permission] = {}

    # --- what others may do -------------------------------------------------------------------------------------------

    def enable_spawn(self, name: str, factory: Factory, *nodes: str) -> None:
        """Lets these nodes, or without nodes all, spawn with a factory.

        Raises ErgoError if the name stands for another factory already (NAPI-PL-8).
        """
        found = self.factories.setdefault(Atom(name), Spawnable(factory, Permission(map(Atom, nodes))))
        if found.factory != factory:  # a bound method is a new object each time
            raise ErgoError(Error(f"{name} associated with another process factory"))
        found.permission.enable(map(Atom, nodes))

    def disable_spawn(self, name: str, *nodes: str) -> None:
        """Takes these nodes off; without nodes the factory. ErgoError "unknown" if there is none."""
        _disable(self.factories, Atom(name), nodes, lambda found: found.permission)

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Lets these nodes, or without nodes all, start an application."""
        found = self.startable.setdefault(Atom(name), Permission(map(Atom, nodes)))
        found.enable(map(Atom, nodes))

    def disable_application_start(self, name: str, *nodes: str) -> None:
        """Takes these nodes off; without nodes the application. ErgoError "unknown" if there is none."""
        _disable(self.startable, Atom(name), nodes, lambda found: found)

    async def spawn_asked(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        """A node asks for a process: the process once it is ready. Raises ErgoError."""
        found = self.factories.get(name)
        if found is None:
            raise ErgoError(error_values.NAME_UNKNOWN)
        if not found.permission.allows(node):
            raise ErgoError(error_values.NOT_ALLOWED)
        if gen.NO_PID in (options.ParentPID, options.ParentLeader):
            raise ErgoError(error_values.PARENT_UNKNOWN)
        process = self.core.spawn(
            found.factory(),
            *(options.Args or ()),
            name=options.Register or None,
            options=options_of(options),
            parent=options.ParentPID,
        )
        process.leader = (
            options.ProcessOptions.Leader if options.ProcessOptions.Leader != gen.NO_PID else options.ParentLeader
        )
        await process.started
        return process

    async def start_asked(self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """A node asks for an application. Raises ErgoError."""
        permission = self.startable.get(name)
        if permission is None:
            raise ErgoError(error_values.NAME_UNKNOWN)
        if not permission.allows(node):
            raise ErgoError(error_values.NOT_ALLOWED)
        await self.core.applications.start(name, mode, options)

    # --- what we ask of others ----------------------------------------------------------------------------------------

    async def spawn(
        self,
        process: Process | None,
        node: Atom,
        name: Atom,
        args: Iterable[Any] | None = None,
        options: gen.ProcessOptions | None = None,
        register: str = "",
    ) -> PID:
        """A process on another node; `process` is its parent, None the node itself. Raises ErgoError and CannotEncode.

        No `args` and an empty list of them are two things on the wire.
        """
        if node == self.core.name:
            raise ErgoError(error_values.NOT_ALLOWED)
        asked = options or gen.ProcessOptions()
        parent = self.core.pid if process is None else process.pid
        leader = self.core.pid if process is None else process.leader
        env = dict(process.options.env if process else self.core.env) if self.expose_env else {}
        extra = ProcessOptionsExtra(
            asked, parent, leader, env or None, self.log_level, Atom(register),
            (process.application if process else None) or Atom(""), None if args is None else list(args),
        )  # fmt: skip
        connection = await self.core.connection(node)
        return await connection.remote_spawn(name, extra)

    async def start_application(
        self, node: Atom, name: Atom, mode: Mode | int, options: ApplicationOptions | None = None
    ) -> None:
        """An application on another node. Raises ErgoError and CannotEncode."""
        env = dict(self.core.env) if self.expose_env else {}
        extra = ApplicationOptionsExtra(options or ApplicationOptions(), self.core.pid, env or None, self.log_level)
        connection = await self.core.connection(node)
        await connection.remote_application_start(name, int(mode), extra)


def options_of(extra: ProcessOptionsExtra) -> ProcessOptions:
    """A process's settings as a parent on another node asked for them; the parent's environment first (ENP-SPAWN-4)."""
    asked = extra.ProcessOptions
    compression = asked.Compression
    return ProcessOptions(
        mailbox_size=max(asked.MailboxSize, 0),
        priority=enp.PRIORITIES[asked.SendPriority & enp.PRIORITY_MASK],
        important=asked.ImportantDelivery,
        compression=compression_of(compression.Type, compression.Level, compression.Threshold)
        if compression.Enable
        else None,
        link_parent=asked.LinkParent,
        env={**(extra.ParentEnv or {}), **(asked.Env or {})},
    )


def compression_of(name: str, level: int = 0, threshold: int = 0) -> Compression:
    """A compression by the framework's words; threshold 0 is the default, less than the least is the least."""
    return Compression(
        ALGORITHMS.get(name, Algorithm.GZIP),
        CompressionLevel(level) if level in frozenset(CompressionLevel) else CompressionLevel.DEFAULT,
        max(threshold, enp.MIN_THRESHOLD),
    )


def _disable(table: dict[Atom, Any], name: Atom, nodes: tuple[str, ...], of: Callable[[Any], Permission]) -> None:
    found = table.get(name)
    if found is None:
        raise ErgoError(error_values.UNKNOWN)
    if nodes:
        of(found).disable(map(Atom, nodes))
    else:
        del table[name]
