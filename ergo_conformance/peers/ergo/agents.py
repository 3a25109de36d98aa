"""Helpers for the agents of a target: pub, crasher, the process `agent`, and our process that agent addresses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from ...model.ergo import enp, error_values
from ...model.ergo.enp import ORDER_MODULUS, Frame, Priority, Verb
from ...model.show import show
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..corruption.frames import relation_request
from ..scripted_peer import REPLY_TIMEOUT
from ..violation import SetUpError, set_up
from .connection import ORDER, Peer
from .pool import Received

POLL: Final = 0.02
"""Seconds between two checks of a condition that has to become true."""
ADDING_VERBS: Final = (Verb.LINK, Verb.MONITOR)
REMOVING_VERBS: Final = {Verb.LINK: Verb.UNLINK, Verb.MONITOR: Verb.DEMONITOR}
OP_TIMEOUT: Final = REPLY_TIMEOUT + enp.REQUEST_TIMEOUT
"""Seconds for an operation of agent: it may still be busy with a request of the previous case."""
CALL_TIMEOUT: Final = 3.0
"""Seconds that agent waits for the answer to a plain call."""
RelationTarget = PID | ProcessID | Alias | Event
_WORDS: Final = {cls: word for word, (cls, _) in enp.TARGETS.items()}


def word_of(target: RelationTarget) -> str:
    """The word for this kind of target in the names of messages: PID, ProcessID, Alias, Event."""
    return _WORDS[type(target)]


# --- relations --------------------------------------------------------------------------------------------------------


async def request_relation(peer: Peer, verb: Verb, target: RelationTarget, source: int | None = None) -> enp.Result:
    """Requests a relation for one of our processes. Returns the Result."""
    message = relation_request(peer, verb, word_of(target), target)
    if source is not None:
        message = message._replace(Source=peer.pid(source))
    peer.send_frame(enp.Control(ORDER, message))
    with set_up("ENP-ANY-1"):
        return await peer.result(message.Ref)


async def add_relation(peer: Peer, verb: Verb, target: RelationTarget, source: int | None = None) -> Any:
    """Requests a relation; the Result has to be without an error. Returns the value in it."""
    result = await request_relation(peer, verb, target, source)
    with set_up("ENP-LINK-1" if verb in ADDING_VERBS else "ENP-LINK-2"):
        peer.check(result.Error is None, result, f"a Result of {verb.value} without an error")
    return result.Result


def is_end_of(frame: Any, target: RelationTarget) -> bool:
    """Tells whether a frame reports the end of this target."""
    match target:
        case PID():
            return isinstance(frame, enp.TerminatePID) and frame.id == target.id
        case Alias():
            return isinstance(frame, enp.TerminateAlias) and frame.alias == target.id
        case Event():
            return type(frame) in (enp.TerminateEvent, enp.TerminateEventCache) and frame.name == target.name
    return type(frame) in (enp.TerminateName, enp.TerminateNameCache) and frame.name == target.name


async def expect_end(
    peer: Peer, target: RelationTarget, reason: Error | None = None, within: float = REPLY_TIMEOUT
) -> Any:
    """The frame that reports the end of a target, with this reason if one is given."""
    expected = f"a report of the end of {show(target)}"
    received = await peer.wait_for(lambda frame: is_end_of(frame, target), expected, within)
    if reason is not None:
        expected += f", reason {show(reason.text)}"
        peer.check(received.value.reason.text == reason.text, received.value, expected)
    return received.value


async def expect_no_end(peer: Peer, target: RelationTarget, what: str) -> None:
    """The target node does not report the end of a target; `what` names the report in a violation."""
    await peer.expect_none(lambda frame: is_end_of(frame, target), what)


async def expect_one_end(peer: Peer, target: RelationTarget, reason: Error | None = None) -> Any:
    """The only report of the end of a target."""
    frame = await expect_end(peer, target, reason)
    await expect_no_end(peer, target, f"second report of the end of {show(target)}")
    return frame


async def poll_until(peer: Peer, ask: Callable[[], Any], good: Callable[[Any], bool], expected: str) -> Any:
    """Repeats a call until its answer is the expected one. ViolationError if none is within REPLY_TIMEOUT."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REPLY_TIMEOUT
    while True:
        answer = await ask()
        if good(answer):
            return answer
        if loop.time() > deadline:
            since = deadline - REPLY_TIMEOUT
            peer.fail_timing(show(answer), f"{expected} within {REPLY_TIMEOUT:g} s", since=since)
        await asyncio.sleep(POLL)


# --- pub and crasher --------------------------------------------------------------------------------------------------


async def crasher_pid(peer: Peer) -> PID:
    """The current PID of `crasher`; waits until its supervisor has restarted it. SetUpError if it is not restarted."""

    async def pid() -> Any:
        ref = peer.ask("crasher", "pid")
        frame = await peer.find(lambda f: isinstance(f, enp.Response) and f.ref == ref, within=0.1)
        return frame and frame.value.payload

    deadline = asyncio.get_running_loop().time() + REPLY_TIMEOUT
    while not isinstance(found := await pid(), PID):
        peer.check(not peer.is_closed, "the target closed the connection", "an open connection")
        if asyncio.get_running_loop().time() > deadline:
            raise SetUpError(
                f"`crasher` did not answer `pid` within {REPLY_TIMEOUT:g} s: the target must restart it under its name "
                "within a second (docs/agents.md)",
                "crasher",
            )
        await asyncio.sleep(POLL)
    return found


async def crasher_target(peer: Peer, word: str, pid: PID) -> RelationTarget:
    """The crasher with this PID as PID, ProcessID, Alias or Event."""
    match word:
        case "PID":
            return pid
        case "ProcessID":
            return ProcessID(peer.target, Atom("crasher"))
    with set_up("ENP-REQ-1"):
        found: RelationTarget = await peer.call(pid.id, word.lower())
    kind = enp.TARGETS[word][0]
    with set_up():
        peer.check(isinstance(found, kind), show(found), f"{kind.__name__} as the answer of crasher to {word.lower()}")
    return found


async def register_event(peer: Peer) -> Event:
    """Has pub register an event for this case alone, with a buffer of three messages."""
    name = Atom(f"ev_{peer.name.partition('@')[0]}_{peer.new_ref()[0]}")
    with set_up("ENP-REQ-1"):
        token = await peer.call("pub", f"register_event:{name}")
    with set_up():
        peer.check(isinstance(token, Ref), show(token), f"a reference as the answer of pub to register_event:{name}")
    return Event(peer.target, name)


async def publish(peer: Peer, event: Event, text: str) -> None:
    """Has pub publish a text."""
    with set_up("ENP-REQ-1"):
        counter = await peer.call("pub", f"publish:{event.name}:{text}")
    with set_up():
        peer.check(isinstance(counter, int), show(counter), "an int as the answer of pub to publish")


def is_message_of(event: Event) -> Callable[[Frame], bool]:
    """Tells whether a frame is a message of this event."""
    return lambda frame: isinstance(frame, enp.EventFrame) and frame.name == event.name


# --- agent ------------------------------------------------------------------------------------------------------------


class AgentDriver:
    """Sends operations to the process `agent` of a target and checks their answers."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.log: list[str] = []
        """Entries that agent has reported as received."""

    def start(self, op: str, *arguments: Any) -> enp.Words:
        """Starts an operation. Returns the reference of its answer."""
        return self.peer.ask("agent", [op, *arguments])

    async def result(self, ref: enp.Words, within: float = OP_TIMEOUT) -> Any:
        """The answer of an operation: its value, true, or an error value."""
        answer = (await self.peer.answer(ref, within)).value
        self.peer.check(isinstance(answer, enp.Response), answer, "a Response of agent")
        return answer.payload

    async def run(self, op: str, *arguments: Any, within: float = OP_TIMEOUT) -> Any:
        """Runs an operation. Returns its answer."""
        return await self.result(self.start(op, *arguments), within)

    async def expect_true(self, ref: enp.Words) -> None:
        """The answer of an operation is true."""
        value = await self.result(ref)
        self.peer.check(value is True, show(value), "true as the answer of agent")

    async def run_true(self, op: str, *arguments: Any) -> None:
        """Runs an operation; its answer has to be true."""
        await self.expect_true(self.start(op, *arguments))

    async def expect_error(self, ref: enp.Words, error: Error, within: float = OP_TIMEOUT) -> None:
        """The answer of an operation is this error value."""
        value = await self.result(ref, within)
        good = isinstance(value, Error) and value.text == error.text
        self.peer.check(good, show(value), f"the error value {show(error.text)}")

    async def expect_timeout(self, ref: enp.Words, after: float) -> None:
        """The operation times out after so many seconds."""
        await self.expect_error_after(ref, error_values.TIMEOUT, after)

    async def expect_error_after(self, ref: enp.Words, error: Error, after: float) -> None:
        """The operation ends with this error after so many seconds, not before."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        await self.expect_error(ref, error, after + REPLY_TIMEOUT)
        waited = loop.time() - started
        self.peer.check(waited > after * 0.8, f"{error.text} after {waited:.2f} s", f"{error.text} after {after:g} s")

    async def pid(self) -> PID:
        """The PID of agent."""
        pid = await self.run("pid")
        good = isinstance(pid, PID) and pid[::2] == (self.peer.target, self.peer.introduce.Creation)
        self.peer.check(good, show(pid), f"a PID of {self.peer.target}")
        found: PID = pid
        return found

    async def received(self) -> list[str]:
        """Returns the entries that agent has received since this driver was created, one text each; agent empties its list."""
        value = await self.run("received")
        texts = getattr(value, "value", value)
        good = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        self.peer.check(good, show(value), "a list of strings")
        self.log += texts
        return self.log

    async def entries(self, kind: str, *parts: str) -> list[str]:
        """The received entries of this kind (their first word) that contain all these texts."""
        return [t for t in await self.received() if t.partition(" ")[0] == kind and all(part in t for part in parts)]

    async def expect_received(self, kind: str, *parts: str) -> None:
        """Waits until agent has received exactly one entry of this kind with these texts."""
        expected = f"one {kind} with {' and '.join(map(repr, parts)) or 'anything'} in the entries of agent"
        await poll_until(self.peer, lambda: self.entries(kind, *parts), bool, expected)
        await self.peer.check_alive()
        found = await self.entries(kind, *parts)
        self.peer.check(len(found) == 1, found, expected)

    async def expect_not_received(self, kind: str, *parts: str) -> None:
        """Agent has received no such entry, and has handled everything that was sent to it before."""
        await self.peer.check_alive()
        found = await self.entries(kind, *parts)
        self.peer.check(not found, found, f"no {kind} in the entries of agent")

    @contextlib.asynccontextmanager
    async def changed_setting(self, op: str, *arguments: Any, back: tuple[Any, ...]) -> AsyncIterator[None]:
        """Runs the body with a changed setting of agent; `back`: the arguments that restore it."""
        await self.run_true(op, *arguments)
        try:
            yield
        finally:
            await self.run_true(op, *back)


# --- applications -----------------------------------------------------------------------------------------------------


async def is_running(agent: AgentDriver, application: Atom) -> bool:
    """Tells whether an application of the target runs."""
    found = await agent.run("app_info", application)
    agent.peer.check(isinstance(found, str), repr(found), f"the state and the mode of {application}, a string")
    return str(found).startswith("running ")


async def end_application(agent: AgentDriver, application: Atom, *workers: str) -> None:
    """Ends the processes of an application (by default `<application>_worker`), and with them the application, if it runs.

    Not by the op `app_stop`: an application that is stopped by force never stops in upstream 3.1.
    """
    if not await is_running(agent, application):
        return
    for worker in workers or (f"{application}_worker",):
        agent.peer.ask(worker, "!terminate")
    expected = f"{application} stopped with its processes"
    await poll_until(agent.peer, lambda: is_running(agent, application), lambda running: not running, expected)


# --- our process that agent addresses ---------------------------------------------------------------------------------

OWN_PROCESS: Final = 2001
"""Number of our process."""
OWN_NAME: Final = Atom("ours")
OWN_ALIAS: Final = (OWN_PROCESS, 7, 8)
"""Words of its alias."""
OWN_ADDRESSES: Final = {"PID": OWN_PROCESS, "ProcessID": OWN_NAME, "Alias": OWN_ALIAS}
"""Receiver in a message or a request for our process, by kind of address."""
MESSAGES: Final = (enp.MessagePID, enp.MessageName, enp.MessageAlias)
REQUESTS: Final = (enp.RequestPID, enp.RequestName, enp.RequestAlias)


def own_address(peer: Peer, word: str) -> RelationTarget:
    """Our process as PID, ProcessID or Alias, or an Event that it owns."""
    addresses: dict[str, RelationTarget] = {
        "PID": peer.pid(OWN_PROCESS),
        "ProcessID": ProcessID(peer.name, OWN_NAME),
        "Alias": Alias(peer.name, peer.creation, OWN_ALIAS),
        "Event": Event(peer.name, OWN_NAME),
    }
    return addresses[word]


def receiver_of(frame: Any) -> Any:
    """The receiver of a message or a request."""
    return next(getattr(frame, field) for field in ("to_id", "to_name", "to_alias") if hasattr(frame, field))


async def receive_from_agent(peer: Peer) -> Received:
    """The next message or request for our process."""
    return await peer.wait_for(
        lambda f: isinstance(f, (*MESSAGES, *REQUESTS)) and receiver_of(f) in OWN_ADDRESSES.values(),
        "a message or a request of agent",
    )


async def have_agent_send(driver: AgentDriver, op: str, word: str, value: Any) -> tuple[enp.Words, Any]:
    """Starts an operation that sends to our process or calls it. Returns its reference and the frame."""
    ref = driver.start(op, own_address(driver.peer, word), value)
    return ref, (await receive_from_agent(driver.peer)).value


def respond(peer: Peer, frame: Any, payload: Any, **overrides: Any) -> None:
    """Answers a request with a Response; `overrides` replace fields."""
    answer = enp.Response(
        frame.from_id % ORDER_MODULUS, OWN_PROCESS, Priority.NORMAL, frame.from_id, frame.ref, payload
    )
    peer.send_frame(answer._replace(**overrides))


def respond_error(
    peer: Peer, frame: Any, ref: enp.Words, code: int, error: Error | None = None, **overrides: Any
) -> None:
    """Answers a request, or acknowledges a message, with a ResponseError; `overrides` replace fields."""
    answer = enp.ResponseError(0, OWN_PROCESS, Priority.NORMAL, frame.from_id, ref, code, error)
    peer.send_frame(answer._replace(**overrides))
