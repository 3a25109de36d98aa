"""Actors: processes written as classes with a handler for each kind of message."""

import logging
from typing import Any, Final

from ...model.values import PID, Error, Event
from ..api.errors import ErgoError
from ..api.messages import Call, Down, Envelope, ExitSignal, Message, ProcessOptions, Published
from ..api.relations import RelationTarget
from .process import Process

log = logging.getLogger("ergo_conformance.node")

NO_REPLY: Final = object()
"""Returned by `handle_call` if there is no reply, or if it was or will be sent by `Process.reply`."""


class Actor:
    """A process as a class. Handlers run one after the other."""

    options = ProcessOptions()
    """Options of a process that is spawned without options."""
    process: Process

    async def init(self, *args: Any) -> None:
        """Runs before the first message, with the arguments of the spawn. An ErgoError fails the spawn."""

    async def handle_message(self, sender: PID, message: Any) -> None:
        """Handles a message."""

    async def handle_call(self, call: Call) -> Any:  # noqa: ARG002  for overriding methods
        """Handles a request: returns the reply, or NO_REPLY. An ErgoError is sent as the error of the request."""
        return NO_REPLY

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        """Handles an exit signal; only called if the process traps exits."""

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        """Handles the end of a monitored target."""

    async def handle_event(self, event: Event, timestamp: int, message: Any) -> None:
        """Handles a message of a linked or monitored event."""

    async def run(self, process: Process, *args: Any) -> None:
        """Handles the envelopes of the mailbox until Stop."""
        self.process = process
        await self.init(*args)
        process.set_ready()
        mailbox, share = process.mailbox, process.share
        while True:
            if share.is_over():
                await share.wait(len(mailbox))
            envelope = mailbox.take() or await mailbox.get()
            if type(envelope) is Message:
                await self.handle_message(*envelope)
            elif type(envelope) is Call:
                await self._answer(envelope)
            else:
                await self._signal(envelope)
            del envelope  # frees a large message before the wait for the next one

    async def _signal(self, envelope: Envelope) -> None:
        match envelope:
            case ExitSignal():
                self.process.check_exit(envelope)
                await self.handle_exit(*envelope)
            case Down():
                await self.handle_down(*envelope)
            case Published():
                await self.handle_event(*envelope)

    async def _answer(self, call: Call) -> None:
        try:
            answer = await self.handle_call(call)
        except ErgoError as error:
            self.process.reply_error(call, error.error)
            return
        if answer is NO_REPLY:
            return
        try:
            self.process.reply(call, answer)
        except ErgoError as error:  # the caller's request times out (ENP-SIZE-2); the process continues
            log.info("a reply of %s is dropped: %s", self.process.name or self.process.pid.id, error)
