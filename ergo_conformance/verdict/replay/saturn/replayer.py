"""Replays a capture of Saturn to the reference node in the role of the client.

Each client of the capture is replaced by a SaturnRegistrar with its name, cluster, routes, token and salts. The server's
bytes come from the capture, chunk by chunk; the output of the registrar is compared with it. A registration from
before the recording is made first. The clock is virtual and follows the recording.
"""

import asyncio
from collections import deque
from typing import Any, Final

from ....model.compare import same
from ....model.ergo import saturn
from ....model.ergo.saturn import Message
from ....reference_node.api import NodeRegistration
from ....reference_node.registrars.saturn_client import SaturnOptions, SaturnRegistrar
from ....spec.ergo import saturn as spec
from ...captures import Capture
from ...captures.saturn import CLIENT, SERVER
from ...vectors.difference import Difference
from ..tasks import SETTLE, BackgroundTasks
from .client import ClientStream, RecordedClient, clients_of
from .findings import SaturnFinding
from .timeline import RecordedSocket, SocketEvent, connections, events, messages

AFTERWARDS: Final = 0.5
"""Seconds that the node has for pending output when the recording ends."""
CONNECTION_REFUSED: Final = 111
"""The error number of ConnectionRefusedError."""


class SaturnReplayer:
    """The replay of all clients of a capture. Needs a running loop with a virtual clock."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.sockets = connections(capture)
        self.clients = clients_of(self.sockets, capture)
        self.refusals = deque(socket for socket in self.sockets.values() if socket.is_refused)
        self.token = str((capture.meta.get("secrets") or {}).get("client", {}).get("token", ""))
        self.matched = 0
        """Messages that were as recorded."""
        self.findings: list[SaturnFinding] = []
        self.differences: list[Difference] = []
        """Differences between the opened and closed sockets and the recorded ones."""
        self._tasks = BackgroundTasks()

    async def run(self) -> None:
        """Replays all events, then terminates the registrars."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            for client in self.clients:
                if client.sockets[0].begins_before:
                    await self._register_before(client)
            for event in events(self.capture, self.sockets):
                await asyncio.sleep(max(0.0, start + event.time - loop.time()))
                await self._replay(event)
                await asyncio.sleep(SETTLE)
            await asyncio.sleep(AFTERWARDS)
            self._end()
        finally:
            await self._tasks.cancel()
            for client in self.clients:
                if client.registrar is not None:
                    await client.registrar.terminate()

    async def _replay(self, event: SocketEvent) -> None:
        client = self._client(event.socket) or await self._start_client(event.socket)
        if client is None:
            return  # the registrar has not opened this socket yet, or never does: `_end` reports it
        if event.data and event.direction == SERVER:
            self._server_writes(client, event.data)
        elif event.data:
            self._client_writes(client, event.data)
        elif event.event == "close":
            await self._close(client, by_server=event.direction == SERVER)

    def _client(self, socket: str) -> RecordedClient | None:
        """Returns the client whose current socket this is."""
        return next((c for c in self.clients if c.socket is not None and c.socket.name == socket), None)

    # --- start and end -----------------------------------------------------------------------------------------------

    async def _start_client(self, socket: str) -> RecordedClient | None:
        """Starts the client that a socket belongs to, if it has no registrar yet."""
        recorded = self.sockets[socket]
        new = next((c for c in self.clients if c.registrar is None and recorded in c.sockets), None)
        if new is None:
            return None
        self._start(new)
        await asyncio.sleep(SETTLE)
        return self._client(socket)

    def _start(self, client: RecordedClient) -> None:
        options = SaturnOptions(token=self.token, cluster=client.cluster, skip_verify=True)
        client.registrar = SaturnRegistrar(options, connect=lambda: self._connect(client))
        facts = NodeRegistration(client.name, lambda _: client.socket.salt if client.socket else "", client.hidden)
        self._tasks.start(client.registrar.register(facts, list(client.routes.Routes or ())))

    async def _register_before(self, client: RecordedClient) -> None:
        """Makes the registration of a client from before the recording; its output is not compared."""
        self._start(client)
        await asyncio.sleep(SETTLE)
        socket, stream = client.socket, client.stream
        assert socket is not None
        assert stream is not None
        proof = spec.proof(spec.proof(socket.salt, self.token), self.token)
        stream.reader.feed_data(spec.write_packet(saturn.HandshakeResult(proof)))
        await asyncio.sleep(SETTLE)
        stream.reader.feed_data(spec.write_packet(saturn.RegisterResult()))
        await asyncio.sleep(SETTLE)
        client.expected.extend(socket.messages)

    async def _connect(self, client: RecordedClient) -> tuple[asyncio.StreamReader, Any]:
        """Opens the next socket of a client. ConnectionRefusedError as often as recorded, and if there is no further socket."""
        following = client.sockets[0] if client.sockets else None
        if client.reconnects and self.refusals and self._comes_first(self.refusals[0], following):
            self.refusals.popleft()
            raise ConnectionRefusedError(CONNECTION_REFUSED, "refused as recorded")
        if following is None:
            raise ConnectionRefusedError(CONNECTION_REFUSED, "the capture has no further sockets")
        client.socket = client.sockets.popleft()
        client.reconnects = False
        client.registrations += 1
        client.stream = ClientStream(lambda message: self._written(client, message), lambda: self._closed(client))
        if not client.socket.begins_before:
            client.expected = deque(client.socket.messages)
        return client.stream.reader, client.stream

    def _comes_first(self, refusal: RecordedSocket, socket: RecordedSocket | None) -> bool:
        order = list(self.sockets.values())
        return socket is None or order.index(refusal) < order.index(socket)

    async def _close(self, client: RecordedClient, *, by_server: bool) -> None:
        if client.stream is None or client.registrar is None:
            return
        if by_server:
            client.reconnects = True
            client.stream.reader.feed_eof()
        elif client.socket is not None and client.socket.closed_by == CLIENT:
            await client.registrar.terminate()
            self._add_missing(client)
            client.socket = None

    def _closed(self, client: RecordedClient) -> None:
        """Adds a difference if a registrar closed a socket that the real client did not close."""
        socket = client.socket
        if socket is not None and socket.closed_by != CLIENT and not client.reconnects:
            self._add(socket.name, "was closed by the reference node and not by the real one")

    def _end(self) -> None:
        for client in self.clients:
            self._add_missing(client)
            client.socket = None
            for socket in client.sockets:
                self._add(socket.name, "was opened by the real node and not by the reference node")

    def _add_missing(self, client: RecordedClient) -> None:
        """Adds a finding for each message that the registrar did not write."""
        name = client.socket.name if client.socket else ""
        while client.expected:
            self.findings.append(SaturnFinding(name, client.expected.popleft(), None, client))

    def _add(self, socket: str, text: str) -> None:
        self.differences.append(Difference(f"socket {socket} {CLIENT}", text))

    # --- messages ----------------------------------------------------------------------------------------------------

    def _server_writes(self, client: RecordedClient, data: bytes) -> None:
        """Passes a chunk of the server on, with actual request ids in the responses."""
        assert client.stream is not None
        actual_ids = {recorded: actual for actual, recorded in client.ids.items()}
        recorded = list(messages(data))
        if any(getattr(message, "ID", None) in actual_ids for message in recorded):
            rewritten = (
                message._replace(ID=actual_ids.get(message.ID, message.ID))
                if isinstance(message, saturn.ResolveResult | saturn.ResolveProxyResult)
                else message
                for message in recorded
            )
            data = b"".join(map(spec.write_packet, rewritten))
        client.stream.reader.feed_data(data)

    def _client_writes(self, client: RecordedClient, data: bytes) -> None:
        """Makes the calls that led to the recorded messages, unless the registrar has written them by itself."""
        for message in messages(data):
            if client.expected and (client.expected[0] is message or client.expected[0] == message):
                self._call(client, message)

    def _call(self, client: RecordedClient, message: Message) -> None:
        registrar = client.registrar
        assert registrar is not None
        match message:
            case saturn.RegisterApplicationRoute(route):
                client.announced.add(route.Name)
                registrar.own.setdefault(route.Name, route)
                registrar.register_application_route(route)
            case saturn.UnregisterApplicationRoute(name, _):
                registrar.own.setdefault(name, saturn.ApplicationRoute(client.name, name, 0, 1, 1))
                registrar.unregister_application_route(name)
            case saturn.Resolve(_, name):
                self._tasks.start(registrar.resolve(name))
            case saturn.ResolveProxy(_, name):
                self._tasks.start(registrar.resolve_proxy(name))

    def _written(self, client: RecordedClient, actual: Message) -> None:
        """Compares a message of the registrar with the next one of the real client."""
        socket = client.socket
        if socket is None or (socket.begins_before and isinstance(actual, saturn.Handshake | saturn.Register)):
            return
        if self._is_repeated_announcement(client, actual):
            self.findings.append(SaturnFinding(socket.name, None, actual, client))
            return
        recorded = client.expected.popleft() if client.expected else None
        if isinstance(recorded, saturn.Resolve | saturn.ResolveProxy) and type(actual) is type(recorded):
            client.ids[actual.ID] = recorded.ID
            actual = actual._replace(ID=recorded.ID)
        if recorded is not None and same(recorded, actual, spec.CONTEXT.registry):
            self.matched += 1
        else:
            self.findings.append(SaturnFinding(socket.name, recorded, actual, client))

    @staticmethod
    def _is_repeated_announcement(client: RecordedClient, actual: Message) -> bool:
        """Returns whether the registrar announces an application by itself after a further registration."""
        expected = client.expected[0] if client.expected else None
        return isinstance(actual, saturn.RegisterApplicationRoute) and client.registrations > 1 and actual != expected
