"""Targets in this process, whole or with a fault."""

from collections.abc import Mapping
from typing import Any

from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.target import config as settings
from ergo_conformance.targets.base import RunningTarget
from ergo_conformance.targets.self_node import MemoryRunningTarget, SelfTarget, make_node
from tests.support.settings import with_session_class


class FaultyTarget(SelfTarget):
    """The embedded node in memory with another handshake."""

    def __init__(self, factory: type[EhsSession], **settings: Any) -> None:
        super().__init__(**settings)
        self.factory = factory

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        running = await super().start(config)
        assert isinstance(running, MemoryRunningTarget)
        wanted = settings.config_of({**self.base, **config, "tls": None})
        running.node = make_node(with_session_class(wanted, self.factory), "seed")
        return running


class LoopTarget(SelfTarget):
    """The embedded node without sockets, on the loop and the clock of live runs; notes what is started and stopped."""

    live = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.live = False  # no sockets in `start`
        self.started: list[Mapping[str, Any]] = []
        self.stopped = 0

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        self.started.append(dict(config))
        running = await super().start(config)
        assert isinstance(running, MemoryRunningTarget)
        stop = running.stop

        async def stop_and_note() -> None:
            self.stopped += 1
            await stop()

        running.stop = stop_and_note  # type: ignore[method-assign]
        return running
