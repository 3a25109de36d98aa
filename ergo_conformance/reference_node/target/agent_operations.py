"""Agents of level 2: pub, crasher, and the agent that executes operations (protocol notes: agents, sections 3 to 6)."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from ...errors import CannotEncode
from ...model import types as t
from ...model.ergo import agent_types, error_values, gen
from ...model.ergo.enp import CompressionLevel, Priority
from ...model.types import Slice
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Typed
from ..api.applications import ApplicationMode
from ..api.errors import ErgoError, Stop
from ..api.messages import Call, ProcessOptions, Recipient
from ..api.relations import RelationKind, RelationTarget
from ..core.actor import Actor
from ..core.applications import ApplicationMember, ApplicationSpec
from ..core.core import NodeCore
from ..core.remote_spawn import ALGORITHMS, compression_from
from .agents import ActorFactory, Echo, is_text, reason_of, text_of
from .go_format import go_format, type_word

PAIR: Final = "pair_app"
"""Name of the application with two processes."""
_MAX_SPLIT: Final = 2  # colons of a request to pub


class Pub(Actor):
    """Owns events and publishes messages on them."""

    async def init(self, *_: Any) -> None:
        self.published = self.starts = self.stops = 0
        self.alias: Alias | None = None
        for name, buffer, notify in (
            ("ev", 3, False),
            ("ev_nobuf", 0, False),
            ("ev_notify", 2, True),
            ("ev_cached", 1, False),
        ):
            self.process.register_event(name, buffer=buffer, notify=notify)

    async def handle_message(self, sender: PID, message: Any) -> None:  # noqa: ARG002  any sender
        match message:
            case gen.MessageEventStart():
                self.starts += 1
            case gen.MessageEventStop():
                self.stops += 1
            case _ if is_text(message):
                self.act(message)

    async def handle_call(self, call: Call) -> Any:
        return self.act(call.payload) if is_text(call.payload) else error_values.UNSUPPORTED

    def act(self, request: str) -> Any:
        """Executes a request; a failure is an error value."""
        word, *rest = request.split(":", _MAX_SPLIT)
        try:
            return self._act(word, rest)
        except ErgoError as error:
            return error.error

    def _act(self, word: str, rest: list[str]) -> Any:
        match word:
            case "publish":
                return self._publish(*rest)
            case "alias":
                self.alias = self.alias or self.process.create_alias()
                return self.alias
            case "create_alias":
                return self.process.create_alias()
            case "delete_alias":
                return self._delete_alias()
            case "event":
                return Event(self.process.pid.node, Atom("ev"))
            case "register_event":
                return self.process.register_event(rest[0], buffer=3)
            case "unregister_event":
                self.process.unregister_event(rest[0])
                return True
            case "starts":
                return self.starts
            case "stops":
                return self.stops
        return error_values.UNSUPPORTED

    def _publish(self, event: str = "", text: str | None = None) -> int:
        self.published += 1
        self.process.publish(event or "ev", self.published if text is None else text)
        return self.published

    def _delete_alias(self) -> Alias:
        if self.alias is None:
            raise ErgoError(error_values.ALIAS_UNKNOWN)
        alias, self.alias = self.alias, None
        self.process.delete_alias(alias)
        return alias


class Crasher(Actor):
    """Ends with the reason it receives."""

    async def init(self, *_: Any) -> None:
        self.alias: Alias | None = None
        self.has_event = False

    async def handle_message(self, sender: PID, message: Any) -> None:  # noqa: ARG002  any sender
        raise Stop(error_values.PANIC if is_text(message) and message == "gopanic" else _reason(message))

    async def handle_call(self, call: Call) -> Any:
        process = self.process
        match text_of(call):
            case "pid":
                return process.pid
            case "alias":
                self.alias = self.alias or process.create_alias()
                return self.alias
            case "create_alias":
                return process.create_alias()
            case "event":
                if not self.has_event:
                    process.register_event("crasher_ev")
                    self.has_event = True
                return Event(process.pid.node, Atom("crasher_ev"))
        raise Stop(_reason(call.payload))


def _reason(value: Any) -> Error:
    match value:
        case Error():
            return value
        case str() if is_text(value):
            return reason_of(value)
    return Error(go_format(value))


Op = Callable[..., Awaitable[Any]]


class Agent(Actor):
    """Executes operations: `[op, argument, …]`. Traps exits and records what it receives."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self, core: NodeCore) -> None:
        self._core = core

    async def init(self, *_: Any) -> None:
        self.entries: list[str] = []
        self.threshold = self.level = 0

    async def handle_message(self, sender: PID, message: Any) -> None:  # noqa: ARG002  any sender
        if isinstance(message, list) and is_text(message[0]):  # an empty list ends the agent (agents, section 4)
            await self.do(message)
        else:
            self.entries.append(f"{_go_type(message)} {go_format(message)}")

    async def handle_call(self, call: Call) -> Any:
        request = [call.payload] if is_text(call.payload) else call.payload
        if isinstance(request, list) and request and is_text(request[0]):
            return await self.do(request)
        return error_values.INCORRECT

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        self._ended("Exit", source, reason)

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        self._ended("Down", source, reason)

    def _ended(self, what: str, source: RelationTarget, reason: Error) -> None:
        tail = "" if isinstance(source, Atom) else f" {reason.text}"
        self.entries.append(f"gen.Message{what}{type_word(source)} {{{go_format(source)}{tail}}}")

    async def handle_event(self, event: Event, timestamp: int, message: Any) -> None:
        self.entries.append(f"gen.MessageEvent {{{go_format(event)} {timestamp} {go_format(message)}}}")

    async def do(self, request: list[Any]) -> Any:
        """Executes an operation: returns its value, true if it has none, an error value if it fails."""
        name, *arguments = request
        op: Op | None = getattr(self, f"op_{name}", None)
        if op is None:
            return Error(f'unknown op "{name}"')
        try:
            answer = await op(*arguments[: _most(op)])
        except ErgoError as error:
            return error.error
        except CannotEncode as error:
            return Error(str(error))
        return True if answer is None else answer

    # --- operations ---------------------------------------------------------------------------------------------------

    async def op_pid(self) -> PID:
        return self.process.pid

    async def op_received(self) -> Typed:
        entries, self.entries = self.entries, []
        return Typed(Slice(t.STRING), entries)

    async def op_send(self, to: Any = None, value: Any = None) -> None:
        await self.process.send(_address(to), value)

    async def op_send_high(self, to: Any = None, value: Any = None) -> None:
        await self.process.send(_address(to), value, priority=Priority.HIGH)

    async def op_send_max(self, to: Any = None, value: Any = None) -> None:
        await self.process.send(_address(to), value, priority=Priority.MAX)

    async def op_send_important(self, to: Any = None, value: Any = None) -> None:
        await self.process.send(_address(to), value, important=True)

    async def op_call(self, to: Any = None, value: Any = None) -> Any:
        return await self.process.call(_address(to), value, timeout=3.0)

    async def op_call_high(self, to: Any = None, value: Any = None) -> Any:
        return await self.process.call(_address(to), value, priority=Priority.HIGH)

    async def op_call_max(self, to: Any = None, value: Any = None) -> Any:
        return await self.process.call(_address(to), value, priority=Priority.MAX)

    async def op_call_important(self, to: Any = None, value: Any = None) -> Any:
        return await self.process.call(_address(to), value, important=True)

    async def op_exit(self, pid: Any = None, reason: Any = None) -> None:
        if not isinstance(pid, PID):
            raise TypeError(f"{pid!r} is not a PID")
        await self.process.exit(
            pid, _reason(reason) if isinstance(reason, Error) or is_text(reason) else error_values.SHUTDOWN
        )

    async def op_link(self, target: Any = None) -> Any:
        return await self._relate(RelationKind.LINK, target)

    async def op_monitor(self, target: Any = None) -> Any:
        return await self._relate(RelationKind.MONITOR, target)

    async def _relate(self, kind: RelationKind, target: Any) -> Any:
        last = await self._core.monitoring.request(kind, self.process, self._target(target))
        if isinstance(target, Event):
            return f"[{' '.join(f'{{{go_format(event)} {at} {go_format(value)}}}' for event, at, value in last)}]"
        return None

    async def op_unlink(self, target: Any = None) -> None:
        await self.process.unlink(self._target(target))

    async def op_demonitor(self, target: Any = None) -> None:
        await self.process.demonitor(self._target(target))

    def _target(self, target: Any) -> RelationTarget:
        if isinstance(target, Event):
            return target
        address = _address(target)
        return ProcessID(self.process.pid.node, Atom(address)) if isinstance(address, str) else address

    async def op_link_node(self, node: Any = None) -> None:
        await self.process.link(_name(node))

    async def op_monitor_node(self, node: Any = None) -> None:
        await self.process.monitor(_name(node))

    async def op_spawn(self, node: Any, factory: Any, *args: Any) -> PID:
        return await self._core.remote.spawn(self.process, _name(node), _name(factory), args)

    async def op_spawn_register(self, node: Any, factory: Any, register: Any, *args: Any) -> PID:
        remote = self._core.remote
        return await remote.spawn(self.process, _name(node), _name(factory), args, register=_name(register))

    async def op_app_start(self, node: Any = None, name: Any = None, mode: Any = 0) -> None:
        number = _number(mode)
        mode = number if number in frozenset(ApplicationMode) else ApplicationMode.OWN
        await self._core.remote.start_application(_name(node), _name(name), mode)

    async def op_app_stop(self, name: Any = None) -> None:
        await self._core.applications.stop(_name(name), force=True)

    async def op_app_info(self, name: Any = None) -> str:
        application = self._core.applications.get(_name(name))
        return f"{application.state.name.lower()} {application.mode.name.lower()}"

    async def op_compression(self, type_: Any = None, threshold: Any = 0, level: Any = None) -> None:
        """Keeps the settings that are not given, also while compression is off."""
        word = _name(type_)
        if not word:
            self.process.options = replace(self.process.options, compression=None)
            return
        if word not in ALGORITHMS or (level is not None and _number(level) not in frozenset(CompressionLevel)):
            raise ErgoError(error_values.INCORRECT)
        self.threshold = max(_number(threshold), 0) or self.threshold
        self.level = self.level if level is None else _number(level)
        how = compression_from(word, self.level, self.threshold)
        self.process.options = replace(self.process.options, compression=how)

    async def op_priority(self, value: Any = None) -> None:
        if (number := _number(value)) not in frozenset(Priority):
            raise ErgoError(error_values.INCORRECT)
        self.process.options = replace(self.process.options, priority=Priority(number))

    async def op_keep_order(self, on: Any = None) -> None:
        self.process.options = replace(self.process.options, keep_order=on is True)

    async def op_trap_exit(self, on: Any = None) -> None:
        self.process.options = replace(self.process.options, trap_exit=on is True)

    async def op_connect(self, node: Any = None) -> None:
        await self._core.peers.connection(_name(node))

    async def op_disconnect(self, node: Any = None) -> None:
        self._core.disconnect(_name(node))

    async def op_nodes(self) -> Typed:
        return Typed(Slice(t.STRING), list(self._core.peers.connections))

    async def op_sample(self) -> Any:
        return agent_types.sample(self.process.pid)


def _most(op: Op) -> int | None:
    """Returns the maximum number of arguments of an operation; None if it takes any number."""
    code = op.__code__
    return None if code.co_flags & inspect.CO_VARARGS else code.co_argcount - 1


# --- arguments: a value of another type counts as empty ---------------------------------------------------------------


def _name(value: Any) -> Atom:
    """Parses an argument NAME, NODE or APP."""
    return Atom(value) if isinstance(value, str) else Atom("")


def _number(value: Any) -> int:
    """Parses an argument INT: int, int64, uint8."""
    match value:
        case Typed(t.INT64 | t.UINT8, int(n)):
            return n
        case int(n) if not isinstance(n, bool):
            return n
    return 0


def _address(value: Any) -> Recipient:
    """Checks an argument TARGET; the framework has no other kinds."""
    if isinstance(value, str | PID | ProcessID | Alias):
        return value
    raise ErgoError(error_values.UNSUPPORTED)


def _go_type(value: Any) -> str:
    if isinstance(value, Typed):
        return t.describe(value.type)
    names: dict[type, str] = {
        str: "string", int: "int", bool: "bool", float: "float64", bytes: "[]uint8", list: "[]interface {}",
        dict: "map[string]interface {}",
    }  # fmt: skip
    return names.get(type(value), f"gen.{type(value).__name__}")


def level_2(core: NodeCore) -> Mapping[str, ActorFactory]:
    """Returns the factories of the agents of level 2, by name."""
    return {"pub": Pub, "crasher": Crasher, "agent": lambda: Agent(core)}


def permit_remote_starts(core: NodeCore, allowed: str) -> None:
    """Enables the agents' factories and applications for all nodes, and the restricted ones for node `allowed`."""
    remote = core.remote
    remote.enable_spawn("echo_factory", Echo)
    remote.enable_spawn("crasher_factory", Crasher)
    remote.enable_spawn("restricted_factory", Echo, allowed)
    temporary = ApplicationMode.TEMPORARY
    for name, mode in (("test_app", ApplicationMode.TRANSIENT), *((f"test_app{i}", temporary) for i in (1, 2, 3))):
        core.applications.load(ApplicationSpec(name, (ApplicationMember(Echo, f"{name}_worker"),), mode))
        remote.enable_application_start(name)
    pair = tuple(ApplicationMember(Echo, f"{PAIR}_{which}") for which in ("worker", "second"))
    core.applications.load(ApplicationSpec(PAIR, pair))
    remote.enable_application_start(PAIR)
    core.applications.load(ApplicationSpec("restricted_app", (ApplicationMember(Echo, "restricted_app_worker"),)))
    remote.enable_application_start("restricted_app", allowed)
