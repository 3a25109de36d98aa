"""Base class for custom protocols: every operation is "not supported" until a subclass overrides it."""
# ruff: noqa: ARG002  an unsupported operation needs no arguments

from typing import Any, Final

from ...model.ergo import error_values
from ...model.ergo.gen import ApplicationOptionsExtra, MessageEvent, ProcessOptionsExtra
from ...model.values import PID, Atom, Error, Ref
from ..api import Core, RemoteNode
from ..api.errors import ErgoError
from ..api.handshake import PeerInfo
from ..api.messages import MessageOptions, ProcessAddress
from ..api.relations import RelationTarget
from .base import BaseConnection
from .remote_node import ConnectedNode

_UNSUPPORTED: Final = error_values.UNSUPPORTED


class UnsupportedConnection(BaseConnection):
    """A connection that supports nothing (api.Connection).

    Requests raise ErgoError "not supported"; notifications, which have no answer, are dropped.  A subclass overrides the
    operations of its protocol, and `receive`.
    """

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer)
        self.core = core
        self._node = ConnectedNode(core, self)

    @property
    def node(self) -> RemoteNode:
        """The peer, as programs see it."""
        return self._node

    def send(self, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a message."""
        raise ErgoError(_UNSUPPORTED)

    def call(self, ref: Ref, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a request."""
        raise ErgoError(_UNSUPPORTED)

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        """Replies to a request."""

    def send_response_error(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, error: Error) -> None:
        """Replies that a request failed."""

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        """Sends a message of an event."""

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        """Sends an exit signal."""
        raise ErgoError(_UNSUPPORTED)

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        """Reports the end of a target to the peer."""

    async def link(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Links a target; api.Connection lists the calls that follow when the peer agrees."""
        raise ErgoError(_UNSUPPORTED)

    async def unlink(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a link."""
        raise ErgoError(_UNSUPPORTED)

    async def monitor(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Monitors a target."""
        raise ErgoError(_UNSUPPORTED)

    async def demonitor(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a monitor."""
        raise ErgoError(_UNSUPPORTED)

    async def remote_spawn(self, name: Atom, options: ProcessOptionsExtra) -> PID:
        """Spawns a process at the peer."""
        raise ErgoError(_UNSUPPORTED)

    async def remote_application_start(self, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """Starts an application at the peer."""
        raise ErgoError(_UNSUPPORTED)

    async def drain(self, sender: PID) -> None:
        """Waits until no socket is congested."""
        for socket in self.sockets:
            await socket.drain()
