"""A peer that speaks ENP as the schemas say, over one link or a whole pool, or lies wherever its script wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NoReturn

from ...errors import Rejected
from ...model import types as t
from ...model.ergo import enp, error_values, records, subject
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.enp import Frame, Priority, Words
from ...model.registry import Registry
from ...model.values import PID, Atom, Ref, Typed
from ...spec.ergo import enp as frames
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.stream import caches_of
from ..transcript import describe_frame
from ..violation import ViolationError
from .handshake import REPLY, Dialer
from .lines import Line, Received

AGENT_NAMES: Final = ("echo", "echo_cached", "sink", "slow", "small_mailbox")
SLEEPS: Final = (300, 1_500, 4_000)
"""Milliseconds that an agent is kept busy: the first is enough on an idle machine."""
BEGIN: Final = 0.05
"""Seconds in which an agent that has got a message begins with it."""
ANNOUNCED: Final = Caches(
    atoms={300 + i: Atom(name) for i, name in enumerate((*AGENT_NAMES, "nobody"))},
    types={5000 + i: row.name for i, row in enumerate(subject.ROWS)},
    errors={33000 + i: error.text for i, error in enumerate((*error_values.REGISTERED, subject.CUSTOM_ERROR))},
)
"""Ids that a peer may announce and then write with: the agents' names, types and errors."""

Address = int | str | Words
"""Whom a frame is for: a PID's number, a name, the words of an alias."""
PROCESS: Final = 1007
"""Number of the tester's own process, unless a case wants another one."""
ORDER: Final = PROCESS % enp.ORDER_MODULUS
"""Order byte of what that process sends by name: frames that bear it are handled one after the other (ENP-ORD-3)."""
QUIET: Final = 0.2
"""Seconds in which nothing more may come, once a later call was answered."""


def registry() -> Registry:
    """The types that both sides of a case know: the framework's and those of the agents."""
    return subject.register(records.framework())


REGISTRY: Final = registry()


class Peer:
    """The tester's node. `caches`: the ids it announced and writes with; `dialer`: its first link, handshake done."""

    def __init__(self, dialer: Dialer, caches: Caches = NO_CACHES) -> None:
        assert dialer.target_introduce is not None
        self.introduce = dialer.target_introduce
        self.name = dialer.name
        self.creation = dialer.creation
        self.caches = caches
        self.context = EdfContext(REGISTRY, caches)
        self.target_caches = caches_of(self.introduce)
        self._theirs = EdfContext(REGISTRY, self.target_caches)
        self._wake = asyncio.Event()
        self._refs = 1_000_000 * dialer.rng.randrange(1, 1_000)
        self._last_sent: str | Frame = ""
        self.lines: list[Line] = []
        self.skipped: list[Received] = []
        """What came while something else was waited for."""
        self.add(dialer)

    def add(self, dialer: Dialer) -> None:
        """One more link, its handshake done."""
        dialer.link.transcript.contexts = {"sent": self.context, "received": self._theirs}
        dialer.link.listener = self._wake.set
        self.lines.append(Line(dialer, len(self.lines), self._theirs))
        self._wake.set()

    @property
    def target(self) -> Atom:
        """The target's name."""
        return self.introduce.Node

    def pid(self, id_: int = PROCESS) -> PID:
        """A PID of ours."""
        return PID(self.name, id_, self.creation)

    def target_pid(self, id_: int) -> PID:
        """A PID of the target."""
        return PID(self.target, id_, self.introduce.Creation)

    def new_ref(self) -> Words:
        """The words of a reference not used before."""
        self._refs += 1
        return self._refs, 0, 0

    def control_ref(self) -> Ref:
        """A reference for a control message."""
        return Ref(self.name, self.creation, self.new_ref())

    # --- sending ------------------------------------------------------------------------------------------------------

    def line_of(self, sender: int) -> int:
        """The link that a good peer uses for this sender."""
        return sender % enp.ORDER_MODULUS % len(self.lines)

    def data_of(self, frame: Frame, caches: Caches | None = None) -> bytes:
        """A frame as we write it, or as one would who announced other caches."""
        return frames.write_frame(frame, self.context if caches is None else EdfContext(REGISTRY, caches))

    def send_frame(self, frame: Frame, line: int = 0, **around: Any) -> None:
        """A frame on one link; `around` as for `compress`."""
        data = self.data_of(frame)
        self.send_bytes(self.compress(data, **around) if around else data, frame, line)

    def send_bytes(self, data: bytes, story: str | Frame, line: int = 0) -> None:
        """Any bytes; `story` says in a report what they are."""
        self._last_sent = story
        self.lines[line].dialer.link.write(data)

    def compress(self, data: bytes, algorithm: enp.Algorithm = enp.Algorithm.GZIP, **lies: Any) -> bytes:
        """The compressed frame around the bytes of one. `lies` replace fields of enp.Compressed."""
        order = data[enp.HEADER_LENGTH - 2] if len(data) >= enp.HEADER_LENGTH else ORDER
        return self.data_of(frames.pack(data, algorithm, order)._replace(**lies))

    def message(
        self,
        to: Address,
        payload: Any,
        *,
        sender: int = PROCESS,
        priority: int = Priority.NORMAL,
        mid: int = 0,
        order: int | None = None,
    ) -> Frame:
        """A message as a good peer sends it; important if it has a `mid`."""
        priority |= enp.IMPORTANT if mid else 0
        match to:
            case int():
                return enp.MessagePID(_order(to, order), sender, priority, mid, to, payload)
            case str():
                cls = enp.MessageNameCache if to in self.caches.atoms.values() else enp.MessageName
                return cls(_order(sender, order), sender, priority, mid, Atom(to), payload)
        return enp.MessageAlias(_order(to[1], order), sender, priority, mid, to, payload)

    def request(
        self,
        to: Address,
        payload: Any,
        ref: Words,
        *,
        sender: int = PROCESS,
        priority: int = Priority.NORMAL,
        order: int | None = None,
    ) -> Frame:
        """A call as a good peer sends it."""
        match to:
            case int():
                return enp.RequestPID(_order(to, order), sender, priority, ref, to, payload)
            case str():
                cls = enp.RequestNameCache if to in self.caches.atoms.values() else enp.RequestName
                return cls(_order(sender, order), sender, priority, ref, Atom(to), payload)
        return enp.RequestAlias(_order(to[1], order), sender, priority, ref, to, payload)

    def send(self, to: Address, payload: Any, **how: Any) -> None:
        """A good message on the link of its sender."""
        self.send_frame(self.message(to, payload, **how), self.line_of(how.get("sender", PROCESS)))

    def send_important(self, to: Address, payload: Any, **how: Any) -> int:
        """A message whose delivery is to be acknowledged; its id."""
        mid = self.new_ref()[0]
        self.send(to, payload, mid=mid, **how)
        return mid

    def ask(self, to: Address, payload: Any, **how: Any) -> Words:
        """A good call on the link of its sender; the reference of its answer."""
        ref = self.new_ref()
        self.send_frame(self.request(to, payload, ref, **how), self.line_of(how.get("sender", PROCESS)))
        return ref

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def receive(self, within: float) -> Received | None:
        """The next frame on any link; None if none comes in time, or all links are closed.

        ViolationError for bytes that are no frame.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            self._wake.clear()
            for line in self.lines:
                read = line.next()
                if isinstance(read, Rejected):
                    self.fail(f"bytes that are no frame: {read}", "frames")
                if read is not None:
                    return Received.of(line.number, read)
            if loop.time() >= deadline or not any(line.is_open for line in self.lines):
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()

    async def look(self, wanted: Callable[[Any], bool], within: float) -> Received | None:
        """The first frame of this kind, None if none comes; others are kept in `skipped`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        for i, early in enumerate(self.skipped):
            if wanted(early.value):
                return self.skipped.pop(i)
        while (left := deadline - loop.time()) > 0:
            received = await self.receive(left)
            if received is None or wanted(received.value):
                return received
            self.skipped.append(received)
        return None

    async def wait_for(self, wanted: Callable[[Any], bool], legal: str, within: float = REPLY) -> Received:
        """The first frame of this kind; ViolationError if none comes."""
        received = await self.look(wanted, within)
        if received is None:
            self.fail(self._what_came(within), legal)
        return received

    def _what_came(self, within: float) -> str:
        if not any(line.is_open for line in self.lines):
            return "the link was closed"
        others = f"; but {describe_frame(self.skipped[-1].value)}" if self.skipped else ""
        return f"nothing of that within {within:g} s{others}"

    async def answer(self, ref: Words, within: float = REPLY, *, sender: int = PROCESS) -> Received:
        """The Response or ResponseError to a call of ours."""

        def answers(frame: Any) -> bool:
            return isinstance(frame, enp.Response | enp.ResponseError) and (frame.ref, frame.to_id) == (ref, sender)

        return await self.wait_for(answers, f"an answer with ref {ref[0]}", within)

    async def none_of(self, wanted: Callable[[Any], bool], what: str, within: float = QUIET) -> None:
        """No frame of this kind, neither before the target answers a later call nor for `within` seconds after it."""
        await self.alive()
        received = await self.look(wanted, within)
        if received is not None:
            self.fail(describe_frame(received.value), f"no {what}")

    async def no_answer(self, ref: Words, within: float = QUIET) -> None:
        """No Response and no ResponseError to a call of ours."""
        await self.none_of(_answers(ref), f"answer with ref {ref[0]}", within)

    async def answers(self, count: int, within: float = REPLY) -> list[Any]:
        """So many Responses and ResponseErrors, in order of arrival."""
        return await self.collect(count, lambda f: isinstance(f, enp.Response | enp.ResponseError), "answers", within)

    async def collect(self, count: int, wanted: Callable[[Any], bool], what: str, within: float = REPLY) -> list[Any]:
        """So many frames of one kind, in order of arrival; ViolationError if fewer come in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        found: list[Any] = []
        while len(found) < count:
            received = await self.look(wanted, deadline - loop.time())
            if received is None:
                self.fail(f"{len(found)}: {self._what_came(within)}", f"{count} {what} within {within:g} s")
            found.append(received.value)
        return found

    async def call(self, to: Address, payload: Any, within: float = REPLY, **how: Any) -> Any:
        """A call and the value of its Response."""
        ref = self.ask(to, payload, **how)
        received = await self.answer(ref, within, sender=how.get("sender", PROCESS))
        if not isinstance(received.value, enp.Response):
            self.fail(describe_frame(received.value), "a Response")
        return received.value.payload

    async def acknowledged(self, mid: int, within: float = REPLY) -> enp.ResponseError:
        """What the target says about an important message."""
        received = await self.wait_for(
            lambda f: isinstance(f, enp.ResponseError) and f.ref[0] == mid, f"an acknowledgement of {mid}", within
        )
        ack: enp.ResponseError = received.value
        return ack

    async def mail(self, within: float = REPLY, *, to: int = PROCESS) -> Received:
        """The next message to a process of ours."""
        return await self.wait_for(
            lambda f: isinstance(f, enp.MessagePID) and f.to_id == to, f"a message to {to}", within
        )

    async def result(self, ref: Ref, within: float = REPLY) -> enp.Result:
        """The Result of a control request of ours."""

        def answers(frame: Any) -> bool:
            return isinstance(frame, enp.Control) and isinstance(frame.message, enp.Result) and frame.message.Ref == ref

        received = await self.wait_for(answers, f"a Result with ref {ref.id[0]}", within)
        result: enp.Result = received.value.message
        return result

    async def alive(self, echo: Address = "echo", line: int = 0) -> None:
        """The target still answers on this connection; the question goes over one link, behind all with ORDER on it."""
        ref = self.new_ref()
        token = f"alive {ref[0]}"
        self.send_frame(self.request(echo, token, ref), line)
        value = (await self.answer(ref)).value
        if not isinstance(value, enp.Response) or value.payload != token:
            self.fail(describe_frame(value), f"{token!r}, the call to {echo} answered")

    async def while_busy(self, agent: Address) -> AsyncIterator[None]:
        """Runs the body of the loop while an agent sleeps; again, with a longer sleep, if the body took too long."""
        for sleep in SLEEPS:
            ref = self.ask(agent, Typed(t.INT64, sleep))
            await self.alive()
            await asyncio.sleep(BEGIN)
            yield
            await self.alive()
            if await self.look(_answers(ref), 0) is None:
                await self.answer(ref, REPLY + sleep / 1000)
                return

    async def echo_id(self) -> int:
        """The number of echo's PID, as it says itself."""
        pid = await self.call("echo", "!self")
        if not isinstance(pid, PID) or pid[::2] != (self.target, self.introduce.Creation):
            self.fail(repr(pid), f"a PID of {self.target} in its creation {self.introduce.Creation}")
        return pid.id

    async def closed(self, line: int = 0, within: float = REPLY) -> None:
        """The target ends one link; what it says before is its own business."""
        link = self.lines[line].dialer.link
        deadline = link.now() + within
        while not link.eof:
            left = deadline - link.now()
            if left <= 0:
                self.fail(f"link {line + 1} still open after {within:g} s", f"the link closed within {within:g} s")
            self._wake.clear()
            link.read_now()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    def fail(self, came: str, *legal: str) -> NoReturn:
        last = self._last_sent
        raise ViolationError(came, legal, last if isinstance(last, str) else describe_frame(last))

    def check(self, ok: bool, came: object, legal: str) -> None:  # noqa: FBT001  reads like assert
        if not ok:
            self.fail(str(came), legal)


def _order(id_: int, given: int | None) -> int:
    return id_ % enp.ORDER_MODULUS if given is None else given


def _answers(ref: Words) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, enp.Response | enp.ResponseError) and frame.ref == ref
