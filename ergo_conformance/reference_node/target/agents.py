"""The processes that a node under test hosts: echo, sink, slow, small_mailbox (protocol notes: agents, section 2)."""

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from ...model import types as t
from ...model.ergo import error_values, subject
from ...model.types import Slice
from ...model.values import PID, Atom, Error, Typed
from ..api.errors import ErgoError, Stop
from ..core.core import Core
from ..core.process import NO_REPLY, Actor, Call, ProcessOptions

log = logging.getLogger("ergo_conformance.node")

NOBODY: Final = PID(Atom(""), 0, 0)
REASONS: Final[dict[str, Error]] = {
    "normal": error_values.NORMAL,
    "shutdown": error_values.SHUTDOWN,
    "kill": error_values.KILL,
    "panic": error_values.PANIC,
    "unknown": error_values.PROCESS_UNKNOWN,
    "mailbox": error_values.MAILBOX_FULL,
    "terminated": error_values.PROCESS_TERMINATED,
    "timeout": error_values.TIMEOUT,
    "custom": subject.CUSTOM_ERROR,
}
"""Texts that stand for errors; any other text is an error of its own."""


def reason_of(text: str) -> Error:
    """The error that a text stands for."""
    return REASONS.get(text, Error(text))


def is_text(value: Any) -> TypeGuard[str]:
    """An atom is no text, whatever it looks like."""
    return type(value) is str


def text_of(call: Call) -> str:
    """The text that was asked with; empty if it is none."""
    return call.payload if is_text(call.payload) else ""


class Echo(Actor):
    """What it is sent or asked comes back; texts that begin with `!` ask it for something else."""

    async def handle_message(self, sender: PID, message: Any) -> None:
        if message is None:  # nil can't be sent (ENP-REQ-5)
            return
        try:
            await self.process.send(sender, message)
        except ErgoError as error:
            log.info("echo can't send back: %s", error)

    async def handle_call(self, call: Call) -> Any:
        match text_of(call):
            case "!noreply":
                return NO_REPLY
            case "!self":
                return self.process.pid
            case "!env":
                texts = [f"{key}={value}" for key, value in self.process.options.env.items()]
                return Typed(Slice(t.STRING), texts)
            case "!error":
                raise ErgoError(subject.CUSTOM_ERROR)
            case "!terminate":
                self.process.reply(call, "bye")
                raise Stop(error_values.NORMAL)
            case text if text.startswith("!error:"):
                raise ErgoError(reason_of(text.removeprefix("!error:")))
        return NO_REPLY if call.payload is None else call.payload


class Sink(Actor):
    """Counts what it is sent."""

    async def init(self) -> None:
        self.count = 0
        self.last: Any = None
        self.sender: PID | None = None

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.count += 1
        self.last, self.sender = message, sender

    async def handle_call(self, call: Call) -> Any:
        match text_of(call):
            case "count":
                return self.count
            case "last":
                return NO_REPLY if self.last is None else self.last
            case "from":
                return self.sender or NOBODY
            case "reset":
                self.count, self.last = 0, None
                return True
        return error_values.UNSUPPORTED


class Slow(Actor):
    """Sleeps as many milliseconds as it is told, an int64."""

    async def handle_message(self, sender: PID, message: Any) -> None:  # noqa: ARG002  whoever it is
        match message:
            case Typed(t.INT64, int(n)):
                await asyncio.sleep(n / 1000)

    async def handle_call(self, call: Call) -> Any:
        match call.payload:
            case Typed(t.INT64, int(n)):
                await asyncio.sleep(n / 1000)
                return call.payload
        return error_values.INCORRECT


class SmallMailbox(Slow):
    """The same with a mailbox of one message."""

    options = ProcessOptions(mailbox_size=1)


LEVEL_1: Final[dict[str, type[Actor]]] = {
    "echo": Echo,
    "echo_cached": Echo,
    "sink": Sink,
    "slow": Slow,
    "small_mailbox": SmallMailbox,
}
"""Names and what stands behind them."""


class Supervisor:
    """Starts processes under names and starts each again when it has ended, as long as the node lives."""

    def __init__(
        self, core: Core, actors: dict[str, type[Actor]] = LEVEL_1, numbers: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """`numbers`: of the PIDs that they have in their first lives; the next free ones for the rest."""
        self.core = core
        self.actors = actors
        for name in actors:
            self._start(name, numbers.get(name))

    def _start(self, name: str, number: int | None = None) -> None:
        if self.core.stopped or name in self.core.names:
            return
        process = self.core.spawn(self.actors[name](), name=name, number=number)
        assert process.task is not None
        process.task.add_done_callback(lambda _: self._start(name))

    @property
    def pids(self) -> dict[str, int]:
        """The numbers of the processes by their names."""
        return {name: process.pid.id for name, process in self.core.names.items() if name in self.actors}
