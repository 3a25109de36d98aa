"""Processes that link and monitor targets and record what they receive."""

from typing import Any, NamedTuple

from ergo_conformance.model.values import PID, Error, Event
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.api.relations import RelationTarget
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node


class Termination(NamedTuple):
    """Notification of the end of a target: `signal` is exit for a link and down for a monitor, `reason` a text."""

    signal: str
    source: RelationTarget
    reason: str


class EventMessage(NamedTuple):
    """A message of an event."""

    event: Event
    message: Any


class Consumer(Actor):
    """Actor that traps exits; `received` has messages and notifications in order."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.received.append(message)

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        self.received.append(Termination("exit", source, reason.text))

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        self.received.append(Termination("down", source, reason.text))

    async def handle_event(self, event: Event, timestamp: int, message: Any) -> None:
        self.received.append(EventMessage(event, message))

    async def link(self, target: RelationTarget) -> Any:
        return await self.process.link(target)

    async def monitor(self, target: RelationTarget) -> Any:
        return await self.process.monitor(target)

    def take_received(self) -> list[Any]:
        """Returns `received` and clears it."""
        received, self.received = self.received, []
        return received


def spawn_consumer(node: Node, **options: Any) -> Consumer:
    """Spawns a Consumer."""
    consumer = Consumer()
    consumer.process = node.spawn(consumer, options=ProcessOptions(**options) if options else None)
    return consumer


async def idle(process: Process) -> None:
    """Receives messages and ignores them."""
    while True:
        await process.receive()


async def error_text(work: Any) -> str:
    """Returns the text of the ErgoError that the work raises."""
    try:
        await work
    except ErgoError as error:
        return error.error.text
    raise AssertionError("nothing was raised")


async def end_reason(process: Process) -> str:
    """Waits for the end of a process; returns the text of its reason."""
    await process.join()
    assert process.reason is not None
    return process.reason.text
