"""The agents of level 2 of a target, as a peer uses them: it watches what they own, makes them end, tells them what to do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from ...model.ergo import enp, error_values
from ...model.ergo.enp import Frame, Verb
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..corruption.frames import relation
from .connection import ORDER, Peer
from .handshake import REPLY

POLL: Final = 0.02
"""Seconds between two questions about what has to become true."""
TAKING: Final = (Verb.LINK, Verb.MONITOR)
TAKEN_BACK: Final = {Verb.LINK: Verb.UNLINK, Verb.MONITOR: Verb.DEMONITOR}
PATIENCE: Final = REPLY + enp.REQUEST_TIMEOUT
"""Seconds for an op of the agent: it may still be waiting for what a case before has left it with."""
CALL_TIMEOUT: Final = 3.0
"""Seconds that the agent waits for the answer to a plain call."""
Watched = PID | ProcessID | Alias | Event
_WORDS: Final = {cls: word for word, (cls, _) in enp.TARGETS.items()}


def word_of(target: Watched) -> str:
    """The word for this kind of target in the names of messages about it."""
    return _WORDS[type(target)]


# --- watching ---------------------------------------------------------------------------------------------------------


async def ask_relation(peer: Peer, verb: Verb, target: Watched, source: int | None = None) -> enp.Result:
    """The Result of a relation request of a process of ours."""
    message = relation(peer, verb, word_of(target), target)
    if source is not None:
        message = message._replace(Source=peer.pid(source))
    peer.send_frame(enp.Control(ORDER, message))
    return await peer.result(message.Ref)


async def watch(peer: Peer, verb: Verb, target: Watched, source: int | None = None) -> Any:
    """The same; the Result has to be without an error. Its value."""
    result = await ask_relation(peer, verb, target, source)
    peer.check(result.Error is None, result, f"a Result of {verb.value} without an error")
    return result.Result


def tells_of(frame: Any, target: Watched) -> bool:
    """Whether a frame says that this target of the peer is gone."""
    match target:
        case PID():
            return isinstance(frame, enp.TerminatePID) and frame.id == target.id
        case Alias():
            return isinstance(frame, enp.TerminateAlias) and frame.alias == target.id
        case Event():
            return type(frame) in (enp.TerminateEvent, enp.TerminateEventCache) and frame.name == target.name
    return type(frame) in (enp.TerminateName, enp.TerminateNameCache) and frame.name == target.name


async def notice(peer: Peer, target: Watched, reason: Error | None = None, within: float = REPLY) -> Any:
    """The frame that tells of a target's end, with this reason if one is given."""
    what = f"a notice of the end of {target!r}"
    received = await peer.wait_for(lambda frame: tells_of(frame, target), what, within)
    if reason is not None:
        peer.check(received.value.reason.text == reason.text, received.value, f"{what}, reason {reason.text!r}")
    return received.value


async def no_notice(peer: Peer, target: Watched, what: str) -> None:
    """Nothing is told of a target, neither before the target node answers a later call nor for a moment after."""
    await peer.none_of(lambda frame: tells_of(frame, target), what)


async def told_once(peer: Peer, target: Watched, reason: Error | None = None) -> Any:
    """The one notice of a target's end."""
    frame = await notice(peer, target, reason)
    await no_notice(peer, target, f"second notice of the end of {target!r}")
    return frame


async def eventually(peer: Peer, ask: Callable[[], Any], good: Callable[[Any], bool], legal: str) -> Any:
    """Asks again and again until the answer is good; ViolationError if it never is in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REPLY
    while True:
        answer = await ask()
        if good(answer):
            return answer
        if loop.time() > deadline:
            peer.fail(f"{answer!r}", f"{legal} within {REPLY:g} s")
        await asyncio.sleep(POLL)


# --- pub and crasher --------------------------------------------------------------------------------------------------


async def crasher(peer: Peer) -> PID:
    """The PID of `crasher` as it is now; waits until it is back."""

    async def pid() -> Any:
        ref = peer.ask("crasher", "pid")
        frame = await peer.look(lambda f: isinstance(f, enp.Response) and f.ref == ref, within=0.1)
        return frame and frame.value.payload

    found: PID = await eventually(peer, pid, lambda value: isinstance(value, PID), "crasher back, its PID as an answer")
    return found


async def target_of(peer: Peer, word: str, pid: PID) -> Watched:
    """The crasher with this PID: by PID, name or alias, or the event that it owns."""
    match word:
        case "PID":
            return pid
        case "ProcessID":
            return ProcessID(peer.target, Atom("crasher"))
    found: Watched = await peer.call(pid.id, word.lower())
    kind = enp.TARGETS[word][0]
    peer.check(isinstance(found, kind), repr(found), f"{kind.__name__} of crasher")
    return found


async def own_event(peer: Peer) -> Event:
    """An event of `pub` that no other case knows, with room for three messages."""
    name = Atom(f"ev_{peer.name.partition('@')[0]}_{peer.new_ref()[0]}")
    token = await peer.call("pub", f"register_event:{name}")
    peer.check(isinstance(token, Ref), repr(token), "a reference, the token of a registered event")
    return Event(peer.target, name)


async def publish(peer: Peer, event: Event, text: str) -> None:
    """Has pub publish a text."""
    counter = await peer.call("pub", f"publish:{event.name}:{text}")
    peer.check(isinstance(counter, int), repr(counter), "an int, the counter of pub")


def is_published(event: Event) -> Callable[[Frame], bool]:
    """Whether a frame is a message of this event."""
    return lambda frame: isinstance(frame, enp.EventFrame) and frame.name == event.name


# --- agent ------------------------------------------------------------------------------------------------------------


class Acting:
    """The process `agent` of a target, told what to do."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.heard: list[str] = []
        """What it has told of what it got."""

    def tell(self, op: str, *arguments: Any) -> enp.Words:
        """Begins an op; the reference of its answer."""
        return self.peer.ask("agent", [op, *arguments])

    async def done(self, ref: enp.Words, within: float = PATIENCE) -> Any:
        """The answer of an op that was begun: its value, true, or an error value."""
        answer = (await self.peer.answer(ref, within)).value
        self.peer.check(isinstance(answer, enp.Response), answer, "a Response of agent")
        return answer.payload

    async def do(self, op: str, *arguments: Any, within: float = PATIENCE) -> Any:
        """An op and its answer."""
        return await self.done(self.tell(op, *arguments), within)

    async def good(self, ref: enp.Words) -> None:
        """An op that was begun has worked."""
        value = await self.done(ref)
        self.peer.check(value is True, repr(value), "true as the answer of agent")

    async def set(self, op: str, *arguments: Any) -> None:
        """An op that has to work at once."""
        await self.good(self.tell(op, *arguments))

    async def refused(self, ref: enp.Words, error: Error, within: float = PATIENCE) -> None:
        """The answer of an op is this error value."""
        value = await self.done(ref, within)
        good = isinstance(value, Error) and value.text == error.text
        self.peer.check(good, repr(value), f"the error value {error.text!r}")

    async def timed_out(self, ref: enp.Words, after: float) -> None:
        """The op gives up after so many seconds, not sooner."""
        await self.gives_up(ref, error_values.TIMEOUT, after)

    async def gives_up(self, ref: enp.Words, error: Error, after: float) -> None:
        """It ends with this error, and not sooner."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        await self.refused(ref, error, after + REPLY)
        waited = loop.time() - started
        self.peer.check(waited > after * 0.8, f"{error.text} after {waited:.2f} s", f"{error.text} after {after:g} s")

    async def pid(self) -> PID:
        """Its PID."""
        pid = await self.do("pid")
        good = isinstance(pid, PID) and pid[::2] == (self.peer.target, self.peer.introduce.Creation)
        self.peer.check(good, repr(pid), f"a PID of {self.peer.target}")
        found: PID = pid
        return found

    async def received(self) -> list[str]:
        """What it has got since this conversation began, one text each; it empties its own list."""
        value = await self.do("received")
        texts = getattr(value, "value", value)
        good = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        self.peer.check(good, repr(value), "a list of strings")
        self.heard += texts
        return self.heard

    async def entries(self, kind: str, *parts: str) -> list[str]:
        """Of these the entries of a kind (the first word) that mention all these texts."""
        return [t for t in await self.received() if t.partition(" ")[0] == kind and all(part in t for part in parts)]

    async def told(self, kind: str, *parts: str) -> None:
        """Waits until it has got something of this kind that mentions these texts; it has to be one such entry."""
        legal = f"one {kind} with {' and '.join(map(repr, parts)) or 'anything'} in what agent received"
        await eventually(self.peer, lambda: self.entries(kind, *parts), bool, legal)
        await self.peer.alive()
        found = await self.entries(kind, *parts)
        self.peer.check(len(found) == 1, found, legal)

    async def heard_nothing(self, kind: str, *parts: str) -> None:
        """It has got nothing of this kind; what was sent to it before was handled."""
        await self.peer.alive()
        found = await self.entries(kind, *parts)
        self.peer.check(not found, found, f"no {kind} in what agent received")

    @contextlib.asynccontextmanager
    async def setting(self, op: str, *arguments: Any, back: tuple[Any, ...]) -> AsyncIterator[None]:
        """Runs the body with a setting of the agent changed; `back`: the arguments that undo it."""
        await self.set(op, *arguments)
        try:
            yield
        finally:
            await self.set(op, *back)
