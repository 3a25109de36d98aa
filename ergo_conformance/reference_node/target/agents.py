"""Agents of level 1: echo, sink, slow, small_mailbox (protocol notes: agents, section 2), and their supervisor."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from ...model import types as t
from ...model.ergo import agent_types, error_values
from ...model.types import Slice
from ...model.values import PID, Atom, Error, Typed
from ..api.errors import ErgoError, Stop
from ..api.messages import Call, ProcessOptions
from ..core.actor import NO_REPLY, Actor
from ..core.core import NodeCore
from ..core.process import Process

log = logging.getLogger("ergo_conformance.node")

NO_SENDER: Final = PID(Atom(""), 0, 0)
"""Reply of `sink` to "from" before its first message."""
REASONS: Final[dict[str, Error]] = {
    "normal": error_values.NORMAL,
    "shutdown": error_values.SHUTDOWN,
    "kill": error_values.KILL,
    "panic": error_values.PANIC,
    "unknown": error_values.PROCESS_UNKNOWN,
    "mailbox": error_values.MAILBOX_FULL,
    "terminated": error_values.PROCESS_TERMINATED,
    "timeout": error_values.TIMEOUT,
    "custom": agent_types.CUSTOM_ERROR,
}
"""Error values by their short names; any other text is a custom error."""


def reason_of(text: str) -> Error:
    """Returns the error value of a text."""
    return REASONS.get(text, Error(text))


def is_text(value: Any) -> TypeGuard[str]:
    """Returns whether a value is a string; an Atom is not."""
    return type(value) is str


def text_of(call: Call) -> str:
    """Returns the string payload of a request; empty if it is not a string."""
    return call.payload if is_text(call.payload) else ""


class Echo(Actor):
    """Sends messages and requests back; a string that begins with `!` requests another action."""

    async def handle_message(self, sender: PID, message: Any) -> None:
        if message is None:  # nil can't be sent (ENP-REQ-5)
            return
        try:
            await self.process.send(sender, message)
        except ErgoError as error:
            log.info("echo can't reply: %s", error)

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
                raise ErgoError(agent_types.CUSTOM_ERROR)
            case "!terminate":
                self.process.reply(call, "bye")
                raise Stop(error_values.NORMAL)
            case text if text.startswith("!error:"):
                raise ErgoError(reason_of(text.removeprefix("!error:")))
        return NO_REPLY if call.payload is None else call.payload


class Sink(Actor):
    """Counts messages."""

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
                return self.sender or NO_SENDER
            case "reset":
                self.count, self.last = 0, None
                return True
        return error_values.UNSUPPORTED


class Slow(Actor):
    """Sleeps for the milliseconds of an int64 message or request."""

    async def handle_message(self, sender: PID, message: Any) -> None:  # noqa: ARG002  any sender
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
    """`Slow` with a mailbox of one message."""

    options = ProcessOptions(mailbox_size=1)


ActorFactory = Callable[[], Actor]
LEVEL_1: Final[Mapping[str, ActorFactory]] = {
    "echo": Echo,
    "echo_cached": Echo,
    "sink": Sink,
    "slow": Slow,
    "small_mailbox": SmallMailbox,
}
"""Factories of the agents of level 1, by name."""


class Supervisor:
    """Starts agents under their names, and starts each again when it has ended, until the node stops."""

    def __init__(
        self,
        core: NodeCore,
        factories: Mapping[str, ActorFactory] = LEVEL_1,
        numbers: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`numbers`: of the PIDs of the first processes; by default the next free ones."""
        self._core = core
        self._factories = factories
        for name in factories:
            self._start(name, numbers.get(name))

    def _start(self, name: str, number: int | None = None) -> None:
        spawner = self._core.spawner
        if not spawner.stopped and name not in self._core.tables.names:
            process = spawner.spawn(self._factories[name](), name=name, number=number)
            self._core.run(self._restart(name, process))

    async def _restart(self, name: str, process: Process) -> None:
        await process.join()
        self._start(name)

    @property
    def pids(self) -> dict[str, int]:
        """The numbers of the agents' PIDs by name."""
        return {name: process.pid.id for name, process in self._core.tables.names.items() if name in self._factories}
