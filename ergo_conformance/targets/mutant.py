"""`mutant:NAME`: the embedded reference node with one seeded fault, in memory or over loopback."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ..mutants.crash import crash_handler
from ..mutants.mutant import Mutant
from ..mutants.registry import mutant_named
from ..reference_node.target.config import NodeConfig
from .base import Codec, RunningTarget, Target
from .options import TargetOptions
from .self_node import NodeCodec, SelfTarget

PREFIX = "mutant:"


class MutantTarget(SelfTarget):
    """A mutant: one at a time in a process.

    Its fault is installed for the whole process, from the first start or the first use of the codec until `close`.
    """

    kind = "mutant"

    def __init__(self, mutant: Mutant, *, over: str = "", cookie: str | None = None, node: str | None = None) -> None:
        """`over`: memory or tcp; empty means tcp only if the mutant needs it."""
        over = over or ("tcp" if mutant.needs_tcp else "memory")
        super().__init__(PREFIX + mutant.id, over=over, cookie=cookie, node=node)
        self.mutant = mutant
        self._installed = ExitStack()
        self._is_installed = False
        self._running: list[RunningTarget] = []
        self._crashing: set[asyncio.Future[None]] = set()

    @property
    def codec(self) -> Codec:  # type: ignore[override]  # of this target, not of the class
        """EDF codec of the mutant."""
        self._install()
        return NodeCodec()

    def _install(self) -> None:
        if not self._is_installed:
            self._installed.enter_context(self.mutant.installed())
            self._installed.enter_context(crash_handler(self._crash))
            self._is_installed = True

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        self._install()
        running = await super().start(config)
        self._running.append(running)
        return running

    def node_config(self, wanted: Mapping[str, Any]) -> NodeConfig:
        return self.mutant.node_config(super().node_config(wanted))

    def _crash(self) -> None:
        """Stops all nodes of this target: they close their sockets and accept no others."""
        for running in self._running:
            task = asyncio.ensure_future(running.stop())
            self._crashing.add(task)
            task.add_done_callback(self._crashing.discard)
        self._running.clear()

    async def close(self) -> None:
        self._installed.close()
        self._is_installed = False

    def describe(self) -> str:
        return f"{self.text}, a reference node with a fault, {'over TCP' if self.live else 'in memory'}"


def create(options: TargetOptions) -> Target:
    """The mutant that the options name. UsageError if it is unknown."""
    mutant = mutant_named(options.target.removeprefix(PREFIX))
    return MutantTarget(mutant, over=options.over or "", cookie=options.cookie, node=options.node)
