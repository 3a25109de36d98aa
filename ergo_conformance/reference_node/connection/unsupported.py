"""A connection that can nothing yet: where a protocol of one's own begins (interfaces.Connection)."""
# ruff: noqa: ARG002  what is not done needs no arguments

from typing import Any

from ...model.ergo import error_values
from ...model.ergo.gen import ApplicationOptionsExtra, MessageEvent, ProcessOptionsExtra
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..api import Core, RemoteNode
from ..api.errors import ErgoError
from ..api.handshake import Handshaken
from ..core.process import MessageOptions
from ..core.relations import Watched
from .remote_node import ConnectedNode
from .table import LinkedConnection

_UNSUPPORTED = error_values.UNSUPPORTED


class PartialConnection(LinkedConnection):
    """All that is asked of it is "not supported"; what tells the peer something, and waits for nothing, is dropped.

    A subclass overrides what its protocol has, and `receive`.
    """

    def __init__(self, peer: Handshaken, core: Core) -> None:
        super().__init__(peer)
        self.core = core
        self._node = ConnectedNode(core, self)

    def node(self) -> RemoteNode:
        """The peer, as programs see it."""
        return self._node

    def send(self, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any) -> bool:
        """A message."""
        raise ErgoError(_UNSUPPORTED)

    def call(self, ref: Ref, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any) -> bool:
        """A request."""
        raise ErgoError(_UNSUPPORTED)

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        """The answer to one."""

    def send_response_error(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, error: Error) -> None:
        """It failed."""

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        """A message of an event."""

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        """An exit signal."""
        raise ErgoError(_UNSUPPORTED)

    def send_terminate(self, target: Watched, reason: Error, owner: PID) -> None:
        """Something of ours is no more."""

    async def remote_spawn(self, name: Atom, options: ProcessOptionsExtra) -> PID:
        """A process of the peer's."""
        raise ErgoError(_UNSUPPORTED)

    async def remote_application_start(self, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """An application of the peer's."""
        raise ErgoError(_UNSUPPORTED)

    async def relieved(self, sender: PID) -> None:
        """Waits until the peer has caught up."""
        for link in self.links:
            await link.relieved()

    def send_pid(self, sender: PID, to: PID, options: MessageOptions, message: Any) -> bool:
        """A message."""
        return self.send(sender, to, options, message)

    def send_process_id(self, sender: PID, to: ProcessID, options: MessageOptions, message: Any) -> bool:
        """A message."""
        return self.send(sender, to, options, message)

    def send_alias(self, sender: PID, to: Alias, options: MessageOptions, message: Any) -> bool:
        """A message."""
        return self.send(sender, to, options, message)

    def call_pid(self, ref: Ref, sender: PID, to: PID, options: MessageOptions, message: Any) -> bool:
        """A request."""
        return self.call(ref, sender, to, options, message)

    def call_process_id(self, ref: Ref, sender: PID, to: ProcessID, options: MessageOptions, message: Any) -> bool:
        """A request."""
        return self.call(ref, sender, to, options, message)

    def call_alias(self, ref: Ref, sender: PID, to: Alias, options: MessageOptions, message: Any) -> bool:
        """A request."""
        return self.call(ref, sender, to, options, message)

    def send_terminate_pid(self, target: PID, reason: Error, owner: PID) -> None:
        """A process has ended."""
        self.send_terminate(target, reason, owner)

    def send_terminate_process_id(self, target: ProcessID, reason: Error, owner: PID) -> None:
        """A name is free again."""
        self.send_terminate(target, reason, owner)

    def send_terminate_alias(self, target: Alias, reason: Error, owner: PID) -> None:
        """An alias is no more."""
        self.send_terminate(target, reason, owner)

    def send_terminate_event(self, target: Event, reason: Error, owner: PID) -> None:
        """An event is no more."""
        self.send_terminate(target, reason, owner)

    async def link(self, pid: PID, target: Watched) -> list[MessageEvent]:
        """A link; see interfaces.Connection for what has to happen when the peer agrees."""
        raise ErgoError(_UNSUPPORTED)

    async def unlink(self, pid: PID, target: Watched) -> None:
        """The reverse."""
        raise ErgoError(_UNSUPPORTED)

    async def monitor(self, pid: PID, target: Watched) -> list[MessageEvent]:
        """A monitor."""
        raise ErgoError(_UNSUPPORTED)

    async def demonitor(self, pid: PID, target: Watched) -> None:
        """The reverse."""
        raise ErgoError(_UNSUPPORTED)

    async def link_pid(self, pid: PID, target: PID) -> list[MessageEvent]:
        """As `link`."""
        return await self.link(pid, target)

    async def link_process_id(self, pid: PID, target: ProcessID) -> list[MessageEvent]:
        """As `link`."""
        return await self.link(pid, target)

    async def link_alias(self, pid: PID, target: Alias) -> list[MessageEvent]:
        """As `link`."""
        return await self.link(pid, target)

    async def link_event(self, pid: PID, target: Event) -> list[MessageEvent]:
        """As `link`."""
        return await self.link(pid, target)

    async def unlink_pid(self, pid: PID, target: PID) -> None:
        """As `unlink`."""
        await self.unlink(pid, target)

    async def unlink_process_id(self, pid: PID, target: ProcessID) -> None:
        """As `unlink`."""
        await self.unlink(pid, target)

    async def unlink_alias(self, pid: PID, target: Alias) -> None:
        """As `unlink`."""
        await self.unlink(pid, target)

    async def unlink_event(self, pid: PID, target: Event) -> None:
        """As `unlink`."""
        await self.unlink(pid, target)

    async def monitor_pid(self, pid: PID, target: PID) -> list[MessageEvent]:
        """As `monitor`."""
        return await self.monitor(pid, target)

    async def monitor_process_id(self, pid: PID, target: ProcessID) -> list[MessageEvent]:
        """As `monitor`."""
        return await self.monitor(pid, target)

    async def monitor_alias(self, pid: PID, target: Alias) -> list[MessageEvent]:
        """As `monitor`."""
        return await self.monitor(pid, target)

    async def monitor_event(self, pid: PID, target: Event) -> list[MessageEvent]:
        """As `monitor`."""
        return await self.monitor(pid, target)

    async def demonitor_pid(self, pid: PID, target: PID) -> None:
        """As `demonitor`."""
        await self.demonitor(pid, target)

    async def demonitor_process_id(self, pid: PID, target: ProcessID) -> None:
        """As `demonitor`."""
        await self.demonitor(pid, target)

    async def demonitor_alias(self, pid: PID, target: Alias) -> None:
        """As `demonitor`."""
        await self.demonitor(pid, target)

    async def demonitor_event(self, pid: PID, target: Event) -> None:
        """As `demonitor`."""
        await self.demonitor(pid, target)
