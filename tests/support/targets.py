"""Targets in this process, without and with a fault."""

from collections.abc import Mapping
from typing import Any

from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.target import config as settings
from ergo_conformance.targets.base import RunningTarget
from ergo_conformance.targets.self_node import MemoryRunningTarget, SelfTarget, make_node
from tests.support.settings import with_session_class


class FaultyTarget(SelfTarget):
    """Embedded node in memory with another class of handshake sessions."""

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
    """Embedded node without sockets on the loop of live runs; records starts and counts stops."""

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

        async def stop_and_count() -> None:
            self.stopped += 1
            await stop()

        running.stop = stop_and_count  # type: ignore[method-assign]
        return running
