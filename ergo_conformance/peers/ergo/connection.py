"""A scripted peer after the handshake: it uses ENP over a pool of sockets, with any field overridden."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NoReturn

from ...errors import Rejected
from ...model import types as t
from ...model.ergo import agent_types, enp, error_values, records
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Introduce
from ...model.ergo.enp import Frame, Priority, Words
from ...model.registry import Registry
from ...model.show import show
from ...model.values import PID, Atom, Ref, Typed
from ...spec.ergo import enp as frames
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.stream import caches_of, updated
from ..scripted_peer import REPLY_TIMEOUT
from ..sockets import PeerSocket
from ..transcript import Direction
from ..violation import Checks, TimingViolationError, ViolationError
from .handshake import HandshakePeer
from .pool import FrameReader, Received

AGENT_NAMES: Final = ("echo", "echo_cached", "sink", "slow", "small_mailbox")
SLEEPS: Final = (300, 1_500, 4_000)
"""Milliseconds that an agent is kept busy, shortest first: the first is enough on an idle machine."""
BEGIN: Final = 0.05
"""Seconds in which an agent starts to handle a message."""
ANNOUNCED: Final = Caches(
    atoms={300 + i: Atom(name) for i, name in enumerate((*AGENT_NAMES, "nobody"))},
    types={5000 + i: row.name for i, row in enumerate(agent_types.ROWS)},
    errors={33000 + i: error.text for i, error in enumerate((*error_values.REGISTERED, agent_types.CUSTOM_ERROR))},
)
"""Caches that a peer may announce and write with: the agents' names, types and errors."""

Address = int | str | Words
"""Receiver of a frame: the number of a PID, a name, or the words of an alias."""
PROCESS: Final = 1007
"""Number of the peer's sending process, unless a case names another one."""
ORDER: Final = PROCESS % enp.ORDER_MODULUS
"""Order byte of frames from that process to a name: frames with the same one are handled in order (ENP-ORD-3)."""
QUIET: Final = 0.2
"""Seconds without a frame, after a later call was answered, that show that none will be sent."""


def registry() -> Registry:
    """The types that both sides of a case know: the framework's and those of the agents."""
    return agent_types.register(records.framework())


REGISTRY: Final = registry()
NO_CONTEXT: Final = EdfContext(REGISTRY, NO_CACHES)


class Peer(Checks):
    """A node of the tester, connected with the target.

    `endpoints`: its sockets after their handshakes; `introduce`: the target's; `context`: the EdfContext of our frames.
    """

    def __init__(
        self, endpoints: Sequence[HandshakePeer], introduce: Introduce, context: EdfContext = NO_CONTEXT
    ) -> None:
        super().__init__()
        first = endpoints[0]
        self.introduce, self.context = introduce, context
        self.name, self.creation = first.name, first.creation
        self.target_caches = caches_of(introduce)
        self._target_context = EdfContext(REGISTRY, self.target_caches)
        self._contexts: dict[Direction, EdfContext] = {"sent": context, "received": self._target_context}
        """Contexts of the frames of both sides, for the transcripts."""
        self._wake = asyncio.Event()
        self._refs = 1_000_000 * first.rng.randrange(1, 1_000)
        self._readers: list[FrameReader] = []
        self._while_busy = False
        self.endpoints: list[HandshakePeer] = []
        self.skipped: list[Received] = []
        """Frames that arrived while another one was expected."""
        for endpoint in endpoints:
            self.add(endpoint)

    def add(self, endpoint: HandshakePeer) -> None:
        """Adds a socket to the pool after its handshake."""
        endpoint.socket.transcript.contexts = self._contexts
        endpoint.socket.subscribe(self._wake.set)
        self.endpoints.append(endpoint)
        self._readers.append(FrameReader(endpoint, len(self._readers), self._target_context))
        self._wake.set()

    @property
    def sockets(self) -> list[PeerSocket]:
        """The sockets of the pool in the order in which they were added."""
        return [endpoint.socket for endpoint in self.endpoints]

    @property
    def caches(self) -> Caches:
        """The ids that our frames are written with."""
        return self.context.caches

    @property
    def is_closed(self) -> bool:
        """True if the target has ended every socket."""
        return all(socket.eof for socket in self.sockets)

    @property
    def target(self) -> Atom:
        """The target's name."""
        return self.introduce.Node

    def pid(self, id_: int = PROCESS) -> PID:
        """The PID of one of our processes."""
        return PID(self.name, id_, self.creation)

    def target_pid(self, id_: int) -> PID:
        """A PID of the target."""
        return PID(self.target, id_, self.introduce.Creation)

    def new_ref(self) -> Words:
        """The words of an unused reference."""
        self._refs += 1
        return self._refs, 0, 0

    def control_ref(self) -> Ref:
        """A reference for a control message."""
        return Ref(self.name, self.creation, self.new_ref())

    # --- sending ------------------------------------------------------------------------------------------------------

    def socket_of(self, sender: int) -> int:
        """The number of the socket that carries the frames of this sender (ENP-ORD-1)."""
        return sender % enp.ORDER_MODULUS % len(self.endpoints)

    def data_of(self, frame: Frame, caches: Caches | None = None) -> bytes:
        """The bytes of a frame, written with our caches or with others."""
        return frames.write_frame(frame, self.context if caches is None else EdfContext(REGISTRY, caches))

    def send_frame(self, frame: Frame, socket: int = 0, **compression: Any) -> None:
        """Sends a frame on one socket of the pool; with `compression`, arguments of `compress`, compressed."""
        data = self.data_of(frame)
        self.send_bytes(self.compress(data, **compression) if compression else data, frame, socket)
        if isinstance(frame, enp.Control) and isinstance(frame.message, enp.UpdateCache):
            known = self._contexts["sent"].caches
            self._contexts["sent"] = EdfContext(REGISTRY, updated(known, frame.message))

    def send_bytes(self, data: bytes, description: str | Frame, socket: int = 0) -> None:
        """Sends any bytes; `description`, a sentence or the frame itself, names them in a report."""
        self.note_sent(description)
        self.sockets[socket].write(data, description)

    def compress(self, data: bytes, algorithm: enp.Algorithm = enp.Algorithm.GZIP, **overrides: Any) -> bytes:
        """The Compressed frame around the bytes of a frame; `overrides` replace fields of enp.Compressed."""
        order = data[enp.HEADER_LENGTH - 2] if len(data) >= enp.HEADER_LENGTH else ORDER
        return self.data_of(frames.pack(data, algorithm, order)._replace(**overrides))

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
        """A correct message; with a `mid` an important one."""
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
        """A correct call."""
        match to:
            case int():
                return enp.RequestPID(_order(to, order), sender, priority, ref, to, payload)
            case str():
                cls = enp.RequestNameCache if to in self.caches.atoms.values() else enp.RequestName
                return cls(_order(sender, order), sender, priority, ref, Atom(to), payload)
        return enp.RequestAlias(_order(to[1], order), sender, priority, ref, to, payload)

    def send(self, to: Address, payload: Any, **how: Any) -> None:
        """Sends a correct message on the socket of its sender."""
        self.send_frame(self.message(to, payload, **how), self.socket_of(how.get("sender", PROCESS)))

    def send_important(self, to: Address, payload: Any, **how: Any) -> int:
        """Sends an important message. Returns its id."""
        mid = self.new_ref()[0]
        self.send(to, payload, mid=mid, **how)
        return mid

    def ask(self, to: Address, payload: Any, **how: Any) -> Words:
        """Sends a correct call on the socket of its sender. Returns its reference."""
        ref = self.new_ref()
        self.send_frame(self.request(to, payload, ref, **how), self.socket_of(how.get("sender", PROCESS)))
        return ref

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def receive(self, within: float) -> Received | None:
        """The next frame on any socket; None if none arrives in time or all sockets are closed.

        ViolationError for bytes that are not a frame.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            self._wake.clear()
            for reader in self._readers:
                read = reader.read_now()
                if isinstance(read, Rejected):
                    self.fail(f"bytes that are not a frame: {reader.refusal(read)}", "frames")
                if read is not None:
                    self.note_received(read.value)
                    return read
            if loop.time() >= deadline or self.is_closed:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()

    async def find(self, wanted: Callable[[Any], bool], within: float) -> Received | None:
        """The first frame of this kind; None if none arrives in time. Others are kept in `skipped`."""
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

    async def wait_for(self, wanted: Callable[[Any], bool], expected: str, within: float = REPLY_TIMEOUT) -> Received:
        """The first frame of this kind. ViolationError if none arrives in time."""
        since = asyncio.get_running_loop().time()
        received = await self.find(wanted, within)
        if received is None:
            self._fail_missing(expected, within, since)
        return received

    def fail(
        self, actual: object, *expected: object, kind: type[ViolationError] = ViolationError, **more: Any
    ) -> NoReturn:
        """As Checks.fail. TimingViolationError while an agent has to be busy, since it may have ended its sleep."""
        late = self._while_busy and kind is ViolationError
        super().fail(actual, *expected, kind=TimingViolationError if late else kind, **more)

    def _fail_missing(self, expected: str, within: float, since: float, found: str = "") -> NoReturn:
        """Raises TimingViolationError for a frame that did not arrive. The end of all sockets may have an earlier cause."""
        partial = next(filter(None, (reader.missing() for reader in self._readers)), "")
        if self.is_closed:
            self.fail_timing(f"{found}the target closed the connection{partial}", expected)
        others = f"; last frame: {show(self.skipped[-1].value)}" if self.skipped else ""
        self.fail_timing(f"{found}no such frame within {within:g} s{partial}{others}", expected, since=since)

    async def answer(self, ref: Words, within: float = REPLY_TIMEOUT, *, sender: int = PROCESS) -> Received:
        """The Response or ResponseError to our call."""

        def answers(frame: Any) -> bool:
            return isinstance(frame, enp.Response | enp.ResponseError) and (frame.ref, frame.to_id) == (ref, sender)

        return await self.wait_for(answers, f"an answer with ref {ref[0]}", within)

    async def expect_none(self, wanted: Callable[[Any], bool], what: str, within: float = QUIET) -> None:
        """No frame of this kind arrives before the target answers a later call, nor in `within` seconds after that."""
        await self.check_alive()
        received = await self.find(wanted, within)
        if received is not None:
            self.fail(received.value, f"no {what}")

    async def expect_no_answer(self, ref: Words, within: float = QUIET) -> None:
        """No Response and no ResponseError to our call arrives."""
        await self.expect_none(_answers(ref), f"answer with ref {ref[0]}", within)

    async def answers(self, count: int, within: float = REPLY_TIMEOUT) -> list[Any]:
        """The next `count` Responses and ResponseErrors, in order of arrival."""
        return await self.collect(count, lambda f: isinstance(f, enp.Response | enp.ResponseError), "answers", within)

    async def collect(
        self, count: int, wanted: Callable[[Any], bool], what: str, within: float = REPLY_TIMEOUT
    ) -> list[Any]:
        """The next `count` frames of one kind, in order of arrival. ViolationError if fewer arrive in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        found: list[Any] = []
        while len(found) < count:
            received = await self.find(wanted, deadline - loop.time())
            if received is None:
                expected = f"{count} {what} within {within:g} s"
                self._fail_missing(expected, within, deadline - within, f"{len(found)} {what}: ")
            found.append(received.value)
        return found

    async def call(self, to: Address, payload: Any, within: float = REPLY_TIMEOUT, **how: Any) -> Any:
        """Sends a call. Returns the value of its Response."""
        ref = self.ask(to, payload, **how)
        received = await self.answer(ref, within, sender=how.get("sender", PROCESS))
        if not isinstance(received.value, enp.Response):
            self.fail(received.value, "a Response")
        return received.value.payload

    async def acknowledgement(self, mid: int, within: float = REPLY_TIMEOUT) -> enp.ResponseError:
        """The acknowledgement of an important message with this id."""
        received = await self.wait_for(
            lambda f: isinstance(f, enp.ResponseError) and f.ref[0] == mid, f"an acknowledgement of {mid}", within
        )
        ack: enp.ResponseError = received.value
        return ack

    async def receive_message(self, within: float = REPLY_TIMEOUT, *, to: int = PROCESS) -> Received:
        """The next message to one of our processes."""
        return await self.wait_for(
            lambda f: isinstance(f, enp.MessagePID) and f.to_id == to, f"a message to {to}", within
        )

    async def result(self, ref: Ref, within: float = REPLY_TIMEOUT) -> enp.Result:
        """The Result of our control request."""

        def answers(frame: Any) -> bool:
            return isinstance(frame, enp.Control) and isinstance(frame.message, enp.Result) and frame.message.Ref == ref

        received = await self.wait_for(answers, f"a Result with ref {ref.id[0]}", within)
        result: enp.Result = received.value.message
        return result

    async def check_alive(self, echo: Address = "echo", socket: int = 0, within: float = REPLY_TIMEOUT) -> None:
        """The target answers a call that is sent on one socket behind all frames with ORDER, at most `within` seconds later."""
        ref = self.new_ref()
        token = f"alive {ref[0]}"
        self.send_frame(self.request(echo, token, ref), socket)
        try:
            value = (await self.answer(ref, within)).value
            if not isinstance(value, enp.Response) or value.payload != token:
                self.fail(value, f"a Response of {show(echo)} with {show(token)}")
        except ViolationError as violation:
            violation.general = ("ROB-ENP-3",)
            raise

    async def while_busy(self, agent: Address) -> AsyncIterator[None]:
        """Runs the loop's body while an agent sleeps; repeats it with a longer sleep if the body took too long."""
        for sleep in SLEEPS:
            ref = self.ask(agent, Typed(t.INT64, sleep))
            await self.check_alive()
            await asyncio.sleep(BEGIN)
            self._while_busy = True
            yield
            self._while_busy = False
            await self.check_alive()
            if await self.find(_answers(ref), 0) is None:
                await self.answer(ref, REPLY_TIMEOUT + sleep / 1000)
                return

    async def echo_id(self) -> int:
        """The number of the PID that echo gives as its own."""
        pid = await self.call("echo", "!self")
        if not isinstance(pid, PID) or pid[::2] != (self.target, self.introduce.Creation):
            self.fail(show(pid), f"a PID of {self.target} in its creation {self.introduce.Creation}")
        return pid.id

    async def expect_close(self, socket: int = 0, within: float = REPLY_TIMEOUT) -> None:
        """The target ends one socket; it may send anything before."""
        ended = self.sockets[socket]
        deadline = ended.now() + within
        while not ended.eof:
            left = deadline - ended.now()
            if left <= 0:
                name = f"socket {socket + 1}"
                expected = f"the target closes {name} within {within:g} s"
                self.fail_timing(f"{name} is still open after {within:g} s", expected, since=deadline - within)
            self._wake.clear()
            ended.read_now()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()


def _order(id_: int, given: int | None) -> int:
    return id_ % enp.ORDER_MODULUS if given is None else given


def _answers(ref: Words) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, enp.Response | enp.ResponseError) and frame.ref == ref
