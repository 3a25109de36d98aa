"""Saturn captures, the client's role: our node's registration in the place of recorded ones.

Each client of a file is played by a SaturnRegistrar of its own: name, cluster, routes, token and salts come from the file, what
the server said is said to it, chunk by chunk, and what it writes has to be what the real one wrote.  A registration that was
there before the recording began is made up first.  The clock is virtual and follows the recording.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ...model.compare import same
from ...model.ergo import saturn
from ...model.ergo.saturn import AnnouncedRoutes, Message
from ...model.values import Atom
from ...reference_node.api import NodeFacts, RegistrarError
from ...reference_node.registrars.saturn import SaturnOptions, SaturnRegistrar
from ...spec.ergo import saturn as spec
from ..captures import Capture
from ..captures.saturn import CLIENT, SERVER
from ..vectors.edf import Difference
from .saturn_script import Event, Recorded, connections, events, messages

SETTLE: Final = 1e-6
"""Seconds of the virtual clock: all that can happen at once has happened then."""
AFTERWARDS: Final = 0.5
"""Seconds that our node has for what it still has to do when the recording ends."""
NOBODY: Final = Atom("")
NO_ROUTES: Final = AnnouncedRoutes()


class Finding(NamedTuple):
    """What differs: a message that the real node wrote, one that ours wrote, or both."""

    conn: str
    recorded: Message | None
    ours: Message | None
    client: "Client"


class Excuse(NamedTuple):
    """A statement by its id, what it says, and which findings it explains."""

    id: str
    text: str
    covers: Callable[[Finding], bool]


# --- our node's side --------------------------------------------------------------------------------------------------


class Wire:
    """Our end's writer; its messages are read as they are written."""

    def __init__(self, wrote: Callable[[Message], None], closed: Callable[[], None]) -> None:
        self.wrote, self.closed = wrote, closed
        self.reader = asyncio.StreamReader()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        for message in messages(data):
            self.wrote(message)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.closed()

    def is_closing(self) -> bool:
        return self.is_closed

    async def wait_closed(self) -> None:
        """Nothing is left to be done."""

    def get_extra_info(self, name: str) -> None:  # noqa: ARG002  there is no socket
        return None


@dataclass
class Client:
    """A node of the file, and ours in its place."""

    links: deque[Recorded]
    hidden: bool = False
    name: Atom = NOBODY
    routes: AnnouncedRoutes = NO_ROUTES
    registrar: SaturnRegistrar | None = None
    wire: Wire | None = None
    link: Recorded | None = None
    expected: deque[Message] = field(default_factory=deque)
    ids: dict[int, int] = field(default_factory=dict)
    """Numbers of our requests to those of the recorded ones."""
    own: set[Atom] = field(default_factory=set)
    """Applications that it has announced."""
    registrations: int = 0
    waiting: bool = False
    """Its connection was ended by the server: it will dial."""

    def learn(self, register: saturn.Register) -> None:
        """Takes from a registration what the node is."""
        routes = register.RegisterRoutes
        self.name, self.routes = register.Node, routes
        self.hidden = register.Hidden or routes.Routes is None


def cast_of(found: dict[str, Recorded], capture: Capture) -> list[Client]:
    """Which connections are those of one node: a registration again, after the server has ended the one before."""
    clients: list[Client] = []
    lost: list[Client] = []
    for line in events(capture, found):
        link = found[line.conn]
        if not any(link in client.links for client in clients) and not link.refused:
            clients += _joined(link, lost)
        for client in clients:
            ended = link in client.links and line.event == "close" and line.direction == SERVER
            if ended and client not in lost and (link.begins_before or link.registration):
                lost.append(client)
    for number, client in enumerate(clients):
        client.name = client.name or Atom(f"recorded-{number}@localhost")
    return clients


def _joined(link: Recorded, lost: list[Client]) -> list[Client]:
    """The client that a new connection belongs to, if it is a new one."""
    register = link.registration
    for client in lost:
        if register is not None and client.name in ("", register.Node):
            lost.remove(client)
            client.learn(register)
            client.links.append(link)
            return []
    client = Client(deque([link]))
    if register is not None:
        client.learn(register)
    client.own = {m.Route.Name for m in link.said if isinstance(m, saturn.RegisterApplicationRoute)}
    return [client]


class SaturnPlayer:
    """All clients of a file at once."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.found = connections(capture)
        self.clients = cast_of(self.found, capture)
        self.refusals = deque(link for link in self.found.values() if link.refused)
        self.token = str((capture.meta.get("secrets") or {}).get("client", {}).get("token", ""))
        self.agreed = 0
        self.findings: list[Finding] = []
        self.differences: list[Difference] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Plays everything; then the nodes end."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            for client in self.clients:
                if client.links[0].begins_before:
                    await self._make_up(client)
            for line in events(self.capture, self.found):
                await asyncio.sleep(max(0.0, start + line.time - loop.time()))
                await self._happen(line)
                await asyncio.sleep(SETTLE)
            await asyncio.sleep(AFTERWARDS)
            self._end()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for client in self.clients:
                if client.registrar is not None:
                    await client.registrar.terminate()

    def _client(self, conn: str) -> Client | None:
        return next((c for c in self.clients if c.link is not None and c.link.name == conn), None)

    async def _happen(self, line: Event) -> None:
        client = self._client(line.conn)
        if client is None:
            link = self.found[line.conn]
            fresh = next((c for c in self.clients if c.registrar is None and link in c.links), None)
            if fresh is not None:
                self._start(fresh)
                await asyncio.sleep(SETTLE)
                client = self._client(line.conn)
        if client is None:
            return  # nobody of ours has come yet, or will come: the end tells
        if line.data and line.direction == SERVER:
            self._hear(client, line.data)
        elif line.data:
            self._act(client, line.data)
        elif line.event == "close":
            await self._close(client, by_server=line.direction == SERVER)

    # --- starting and ending ------------------------------------------------------------------------------------------

    def _start(self, client: Client) -> None:
        options = SaturnOptions(token=self.token, cluster=self._cluster(client), skip_verify=True)
        client.registrar = SaturnRegistrar(options, connect=lambda: self._connect(client))
        facts = NodeFacts(client.name, lambda _: client.link.salt if client.link else "", client.hidden)
        self._do(client.registrar.register(facts, list(client.routes.Routes or ())))

    def _cluster(self, client: Client) -> str:
        registers = (link.registration for link in client.links)
        return next((register.Cluster for register in registers if register is not None), "")

    async def _make_up(self, client: Client) -> None:
        """The registration of a client that had one before the recording began; nothing of it is compared."""
        self._start(client)
        await asyncio.sleep(SETTLE)
        link, wire = client.link, client.wire
        assert link is not None
        assert wire is not None
        proof = spec.proof(spec.proof(link.salt, self.token), self.token)
        wire.reader.feed_data(spec.write_packet(saturn.HandshakeResult(proof)))
        await asyncio.sleep(SETTLE)
        wire.reader.feed_data(spec.write_packet(saturn.RegisterResult()))
        await asyncio.sleep(SETTLE)
        client.expected.extend(link.said)

    async def _connect(self, client: Client) -> tuple[asyncio.StreamReader, Any]:
        """Our node dials: the server refuses as often as it was recorded to, then it gets the next connection of its node."""
        following = client.links[0] if client.links else None
        if client.waiting and self.refusals and self._comes_first(self.refusals[0], following):
            self.refusals.popleft()
            raise ConnectionRefusedError(111, "recorded")
        if following is None:
            raise ConnectionRefusedError(111, "the recording has no more connections")
        client.link = client.links.popleft()
        client.waiting = False
        client.registrations += 1
        client.wire = Wire(lambda message: self._wrote(client, message), lambda: self._left(client))
        if not client.link.begins_before:
            client.expected = deque(client.link.said)
        return client.wire.reader, client.wire

    def _comes_first(self, refusal: Recorded, link: Recorded | None) -> bool:
        order = list(self.found.values())
        return link is None or order.index(refusal) < order.index(link)

    async def _close(self, client: Client, *, by_server: bool) -> None:
        if client.wire is None or client.registrar is None:
            return
        if by_server:
            client.waiting = True
            client.wire.reader.feed_eof()
        elif client.link is not None and client.link.ended_by == CLIENT:
            await client.registrar.terminate()
            self._leftovers(client)
            client.link = None

    def _left(self, client: Client) -> None:
        """Our node has closed its end."""
        link = client.link
        if link is not None and link.ended_by != CLIENT and not client.waiting:
            self._differ(link.name, "was closed by our node and not by the real one")

    def _end(self) -> None:
        for client in self.clients:
            self._leftovers(client)
            client.link = None
            for link in client.links:
                self._differ(link.name, "was opened by the real node and not by ours")

    def _leftovers(self, client: Client) -> None:
        conn = client.link.name if client.link else ""
        while client.expected:
            self.findings.append(Finding(conn, client.expected.popleft(), None, client))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _hear(self, client: Client, data: bytes) -> None:
        """The server's chunk, with the numbers of our requests in its answers."""
        assert client.wire is not None
        numbers = {theirs: ours for ours, theirs in client.ids.items()}
        said = list(messages(data))
        if any(getattr(message, "ID", None) in numbers for message in said):
            renamed = (
                message._replace(ID=numbers.get(message.ID, message.ID))
                if isinstance(message, saturn.ResolveResult | saturn.ResolveProxyResult)
                else message
                for message in said
            )
            data = b"".join(map(spec.write_packet, renamed))
        client.wire.reader.feed_data(data)

    def _act(self, client: Client, data: bytes) -> None:
        """What the real node wrote now: if ours has not done so by itself, a program has asked for it."""
        registrar = client.registrar
        assert registrar is not None
        for message in messages(data):
            if not client.expected or (client.expected[0] is not message and client.expected[0] != message):
                continue
            match message:
                case saturn.RegisterApplicationRoute(route):
                    client.own.add(route.Name)
                    registrar.own.setdefault(route.Name, route)
                    registrar.register_application_route(route)
                case saturn.UnregisterApplicationRoute(name, _):
                    registrar.own.setdefault(name, saturn.ApplicationRoute(client.name, name, 0, 1, 1))
                    registrar.unregister_application_route(name)
                case saturn.Resolve(_, name):
                    self._do(registrar.resolve(name))
                case saturn.ResolveProxy(_, name):
                    self._do(registrar.resolve_proxy(name))

    def _wrote(self, client: Client, ours: Message) -> None:
        """A message of our node, held against the next one of the real node."""
        link = client.link
        if link is None or (link.begins_before and isinstance(ours, saturn.Handshake | saturn.Register)):
            return
        if self._announces_again(client, ours):
            self.findings.append(Finding(link.name, None, ours, client))
            return
        recorded = client.expected.popleft() if client.expected else None
        if isinstance(recorded, saturn.Resolve | saturn.ResolveProxy) and type(ours) is type(recorded):
            client.ids[ours.ID] = recorded.ID
            ours = ours._replace(ID=recorded.ID)
        if recorded is not None and same(recorded, ours, spec.CONTEXT.registry):
            self.agreed += 1
        else:
            self.findings.append(Finding(link.name, recorded, ours, client))

    @staticmethod
    def _announces_again(client: Client, ours: Message) -> bool:
        """What is told behind a further registration without being asked: it takes nobody's place."""
        expected = client.expected[0] if client.expected else None
        return isinstance(ours, saturn.RegisterApplicationRoute) and client.registrations > 1 and ours != expected

    def _do(self, work: Any) -> None:
        async def quietly() -> None:
            with suppress(RegistrarError):
                await work

        task = asyncio.get_running_loop().create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _differ(self, conn: str, text: str) -> None:
        self.differences.append(Difference(f"link {conn} {CLIENT}", text))

    def judge(self) -> Counter[str]:
        """Adds what really differs to `differences`; how often which row excuses one."""
        excused: Counter[str] = Counter()
        for finding in self.findings:
            row = next((row for row in SATURN_EXCUSES if row.covers(finding)), None)
            if row is None:
                self._differ(
                    finding.conn, f"wrote {finding.ours or 'nothing'}; recorded: {finding.recorded or 'nothing'}"
                )
            else:
                excused[row.id] += 1
        return excused


# --- the rows ---------------------------------------------------------------------------------------------------------


def _says_that_it_is_hidden(finding: Finding) -> bool:
    match finding.recorded, finding.ours:
        case saturn.Register() as recorded, saturn.Register() as ours:
            return ours.Hidden and not recorded.Hidden and ours._replace(Hidden=False) == recorded
    return False


def _names_itself(finding: Finding) -> bool:
    match finding.recorded, finding.ours:
        case saturn.UnregisterApplicationRoute(name, ""), saturn.UnregisterApplicationRoute(ours, node):
            return (name, node) == (ours, finding.client.name)
    return False


def _announces_again(finding: Finding) -> bool:
    """Behind a registration that is not its first, without being asked: applications that it has announced before."""
    match finding.recorded, finding.ours:
        case None, saturn.RegisterApplicationRoute(route):
            return finding.client.registrations > 1 and route.Name in finding.client.own
    return False


SATURN_EXCUSES: Final = (
    Excuse("SAT-RG-6", "a hidden node says that it is hidden; upstream never does", _says_that_it_is_hidden),
    Excuse("SAT-EV-3", "who unloads an application names itself; upstream leaves the node empty", _names_itself),
    Excuse("SAT-RC-2", "all applications are announced when it registers again; upstream forgets", _announces_again),
)
