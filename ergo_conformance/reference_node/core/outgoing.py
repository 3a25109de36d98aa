"""Outgoing traffic of processes: messages, requests, replies and exit signals, to this node and to others."""

from typing import Any

from ...model.ergo import enp
from ...model.ergo.enp import Priority
from ...model.values import PID, Atom, Error, ProcessID
from ..api import Connection
from ..api.errors import ErgoError
from ..api.messages import Call, ExitSignal, Message, MessageOptions, ProcessAddress, Recipient
from .peer_connections import Peers
from .pending import PendingRequests
from .process import Process
from .process_table import ProcessTable


class Outgoing:
    """Sends for the processes of one node."""

    def __init__(self, tables: ProcessTable, peers: Peers, pending: PendingRequests) -> None:
        self._tables, self._peers, self._pending = tables, peers, pending
        self._name = tables.name

    async def send(self, process: Process, to: Recipient, message: Any, options: MessageOptions) -> None:
        """See Process.send."""
        if process.share.is_over():  # a process that only sends must let other tasks run
            await process.share.wait()
        address = self._address(to)
        if address.node == self._name:
            self._deliver(address, Message(process.pid, message), options.priority)
            return
        connection = await self._peers.connection(address.node)
        if not options.important:
            if connection.send(process.pid, address, options, message):
                await connection.drain(process.pid)
            return
        mid = self._tables.next_unique()
        numbered = options._replace(mid=mid)
        await self._pending.wait(
            address.node, (mid, 0, 0), process.pid.id, enp.REQUEST_TIMEOUT,
            lambda: connection.send(process.pid, address, numbered, message),
        )  # fmt: skip

    async def call(self, process: Process, to: Recipient, request: Any, timeout: float, options: MessageOptions) -> Any:
        """See Process.call."""
        address = self._address(to)
        ref = self._tables.make_ref()
        if address.node == self._name:
            call = Call(process.pid, ref, request, options.important)
            return await self._pending.wait(
                self._name, ref.id, process.pid.id, timeout, lambda: self._deliver(address, call, options.priority)
            )
        connection = await self._peers.connection(address.node)
        return await self._pending.wait(
            address.node, ref.id, process.pid.id, timeout,
            lambda: connection.call(ref, process.pid, address, options, request),
        )  # fmt: skip

    def reply(self, process: Process, call: Call, value: Any) -> None:
        """See Process.reply. A reply to a caller that has ended is dropped."""
        if call.sender.node == self._name:
            self._pending.answer(self._name, call.sender.id, call.ref.id, value)
        elif (connection := self._connection_of(call)) is not None:
            connection.send_response(process.pid, call.sender, call.ref, process.reply_options, value)

    def reply_error(self, process: Process, call: Call, error: Error) -> None:
        """See Process.reply_error."""
        if call.sender.node == self._name:
            self._pending.fail(self._name, call.sender.id, call.ref.id, error)
        elif (connection := self._connection_of(call)) is not None:
            connection.send_response_error(process.pid, call.sender, call.ref, process.reply_options, error)

    async def exit(self, process: Process, to: PID, reason: Error) -> None:
        """See Process.exit."""
        if to.node != self._name:
            connection = await self._peers.connection(to.node)
            connection.send_exit(process.pid, to, reason)
        elif to.creation == self._tables.creation:
            self.signal_exit(process.pid, to.id, reason)

    def signal_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        """Delivers an exit signal to a process of this node; no effect if it does not exist."""
        process = self._tables.processes.get(to_id)
        if process is not None:
            process.mailbox.put_signal(ExitSignal(sender, reason), Priority.MAX)

    def _deliver(self, address: ProcessAddress, envelope: Message | Call, priority: Priority) -> None:
        error = self._tables.deliver_to(address, envelope, priority)
        if error is not None:
            raise ErgoError(error)

    def _connection_of(self, call: Call) -> Connection | None:
        """Returns the connection with the caller's node, if the node is still the same incarnation."""
        connection = self._peers.connections.get(call.sender.node)
        if connection is None or connection.peer.creation != call.sender.creation:
            return None
        return connection

    def _address(self, to: Recipient) -> ProcessAddress:
        return ProcessID(self._name, Atom(to)) if isinstance(to, str) else to
