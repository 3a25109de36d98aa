"""gen.Connection with the framework's methods: one for each kind of address.

The node uses the few methods of api.Connection.  A custom protocol that follows the framework's interface subclasses
`FrameworkConnection` and overrides those of the 33 names that it supports; the rest raises "not supported".
"""
# ruff: noqa: ARG002  an unsupported operation needs no arguments

from typing import Any, assert_never

from ...model.ergo import error_values
from ...model.ergo.gen import MessageEvent
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..api.errors import ErgoError
from ..api.messages import MessageOptions, ProcessAddress
from ..api.relations import RelationTarget
from .unsupported import UnsupportedConnection


class FrameworkConnection(UnsupportedConnection):
    """A custom protocol with the framework's method names.

    These are `node`, `join`, `terminate`, `send_event`, `send_exit`, `send_response`, `remote_spawn` of its base classes, and
    the methods below.
    """

    # --- the node's path: one method for all addresses ------------------------------------------------------------------

    def send(self, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a message by the method for the kind of address."""
        match to:
            case PID():
                return self.send_pid(sender, to, options, message)
            case ProcessID():
                return self.send_process_id(sender, to, options, message)
            case Alias():
                return self.send_alias(sender, to, options, message)

    def call(self, ref: Ref, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a request by the method for the kind of address."""
        match to:
            case PID():
                return self.call_pid(ref, sender, to, options, message)
            case ProcessID():
                return self.call_process_id(ref, sender, to, options, message)
            case Alias():
                return self.call_alias(ref, sender, to, options, message)

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        """Reports the end of a target to the peer by the method for the kind of target."""
        match target:
            case PID():
                self.send_terminate_pid(target, reason, owner)
            case ProcessID():
                self.send_terminate_process_id(target, reason, owner)
            case Alias():
                self.send_terminate_alias(target, reason, owner)
            case Event():
                self.send_terminate_event(target, reason, owner)
            case Atom():  # the node itself: nothing is sent, the end of the connection is the notice
                raise ErgoError(error_values.UNSUPPORTED)
            case _:
                assert_never(target)

    async def link(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Links a target by the method for its kind."""
        match target:
            case PID():
                return await self.link_pid(consumer, target)
            case ProcessID():
                return await self.link_process_id(consumer, target)
            case Alias():
                return await self.link_alias(consumer, target)
            case Event():
                return await self.link_event(consumer, target)
            case Atom():  # the node itself: nothing is sent, the end of the connection is the notice
                raise ErgoError(error_values.UNSUPPORTED)
            case _:
                assert_never(target)

    async def unlink(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a link by the method for the kind of target."""
        match target:
            case PID():
                await self.unlink_pid(consumer, target)
            case ProcessID():
                await self.unlink_process_id(consumer, target)
            case Alias():
                await self.unlink_alias(consumer, target)
            case Event():
                await self.unlink_event(consumer, target)
            case Atom():  # the node itself: nothing is sent, the end of the connection is the notice
                raise ErgoError(error_values.UNSUPPORTED)
            case _:
                assert_never(target)

    async def monitor(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Monitors a target by the method for its kind."""
        match target:
            case PID():
                return await self.monitor_pid(consumer, target)
            case ProcessID():
                return await self.monitor_process_id(consumer, target)
            case Alias():
                return await self.monitor_alias(consumer, target)
            case Event():
                return await self.monitor_event(consumer, target)
            case Atom():  # the node itself: nothing is sent, the end of the connection is the notice
                raise ErgoError(error_values.UNSUPPORTED)
            case _:
                assert_never(target)

    async def demonitor(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a monitor by the method for the kind of target."""
        match target:
            case PID():
                await self.demonitor_pid(consumer, target)
            case ProcessID():
                await self.demonitor_process_id(consumer, target)
            case Alias():
                await self.demonitor_alias(consumer, target)
            case Event():
                await self.demonitor_event(consumer, target)
            case Atom():  # the node itself: nothing is sent, the end of the connection is the notice
                raise ErgoError(error_values.UNSUPPORTED)
            case _:
                assert_never(target)

    # --- the framework's methods ------------------------------------------------------------------------------------------

    def send_pid(self, sender: PID, to: PID, options: MessageOptions, message: Any) -> bool:
        """Sends a message to a process."""
        raise ErgoError(error_values.UNSUPPORTED)

    def send_process_id(self, sender: PID, to: ProcessID, options: MessageOptions, message: Any) -> bool:
        """Sends a message to a registered name."""
        raise ErgoError(error_values.UNSUPPORTED)

    def send_alias(self, sender: PID, to: Alias, options: MessageOptions, message: Any) -> bool:
        """Sends a message to an alias."""
        raise ErgoError(error_values.UNSUPPORTED)

    def call_pid(self, ref: Ref, sender: PID, to: PID, options: MessageOptions, message: Any) -> bool:
        """Sends a request to a process."""
        raise ErgoError(error_values.UNSUPPORTED)

    def call_process_id(self, ref: Ref, sender: PID, to: ProcessID, options: MessageOptions, message: Any) -> bool:
        """Sends a request to a registered name."""
        raise ErgoError(error_values.UNSUPPORTED)

    def call_alias(self, ref: Ref, sender: PID, to: Alias, options: MessageOptions, message: Any) -> bool:
        """Sends a request to an alias."""
        raise ErgoError(error_values.UNSUPPORTED)

    def send_terminate_pid(self, target: PID, reason: Error, owner: PID) -> None:
        """Reports the end of a process to the peer."""

    def send_terminate_process_id(self, target: ProcessID, reason: Error, owner: PID) -> None:
        """Reports the end of a registered name to the peer."""

    def send_terminate_alias(self, target: Alias, reason: Error, owner: PID) -> None:
        """Reports the end of an alias to the peer."""

    def send_terminate_event(self, target: Event, reason: Error, owner: PID) -> None:
        """Reports the end of an event to the peer."""

    async def link_pid(self, consumer: PID, target: PID) -> list[MessageEvent]:
        """Links a process."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def link_process_id(self, consumer: PID, target: ProcessID) -> list[MessageEvent]:
        """Links a registered name."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def link_alias(self, consumer: PID, target: Alias) -> list[MessageEvent]:
        """Links an alias."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def link_event(self, consumer: PID, target: Event) -> list[MessageEvent]:
        """Links an event."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def unlink_pid(self, consumer: PID, target: PID) -> None:
        """Removes the link to a process."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def unlink_process_id(self, consumer: PID, target: ProcessID) -> None:
        """Removes the link to a registered name."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def unlink_alias(self, consumer: PID, target: Alias) -> None:
        """Removes the link to an alias."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def unlink_event(self, consumer: PID, target: Event) -> None:
        """Removes the link to an event."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def monitor_pid(self, consumer: PID, target: PID) -> list[MessageEvent]:
        """Monitors a process."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def monitor_process_id(self, consumer: PID, target: ProcessID) -> list[MessageEvent]:
        """Monitors a registered name."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def monitor_alias(self, consumer: PID, target: Alias) -> list[MessageEvent]:
        """Monitors an alias."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def monitor_event(self, consumer: PID, target: Event) -> list[MessageEvent]:
        """Monitors an event."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def demonitor_pid(self, consumer: PID, target: PID) -> None:
        """Removes the monitor of a process."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def demonitor_process_id(self, consumer: PID, target: ProcessID) -> None:
        """Removes the monitor of a registered name."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def demonitor_alias(self, consumer: PID, target: Alias) -> None:
        """Removes the monitor of an alias."""
        raise ErgoError(error_values.UNSUPPORTED)

    async def demonitor_event(self, consumer: PID, target: Event) -> None:
        """Removes the monitor of an event."""
        raise ErgoError(error_values.UNSUPPORTED)
