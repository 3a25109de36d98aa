"""Processes that watch others and keep what they are told."""

from typing import Any, NamedTuple

from ergo_conformance.model.values import PID, Error, Event
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.api.relations import RelationTarget
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node


class Told(NamedTuple):
    """The end of something: `how` is exit for a link and down for a monitor, `reason` a text."""

    how: str
    source: RelationTarget
    reason: str


class Heard(NamedTuple):
    """A message of an event."""

    event: Event
    message: Any


class Watcher(Actor):
    """Traps exits. `told`: all that came, in order."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.told.append(message)

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        self.told.append(Told("exit", source, reason.text))

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        self.told.append(Told("down", source, reason.text))

    async def handle_event(self, event: Event, timestamp: int, message: Any) -> None:
        self.told.append(Heard(event, message))

    async def link(self, target: RelationTarget) -> Any:
        return await self.process.link(target)

    async def monitor(self, target: RelationTarget) -> Any:
        return await self.process.monitor(target)

    def take(self) -> list[Any]:
        """What came since the last time."""
        told, self.told = self.told, []
        return told


def watcher(node: Node, **options: Any) -> Watcher:
    """A new one."""
    made = Watcher()
    made.process = node.spawn(made, options=ProcessOptions(**options) if options else None)
    return made


async def idle(process: Process) -> None:
    """Waits for messages and takes no notice of them."""
    while True:
        await process.receive()


async def refused(work: Any) -> str:
    """The text of the error that something raises."""
    try:
        await work
    except ErgoError as error:
        return error.error.text
    raise AssertionError("nothing was raised")


async def ended(process: Process) -> str:
    """Waits for the end of a process: the text of its reason."""
    await process.join()
    assert process.reason is not None
    return process.reason.text
