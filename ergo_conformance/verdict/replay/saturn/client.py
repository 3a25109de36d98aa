"""The clients of a capture of Saturn, and the reference node's registrar in the place of each."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ....model.ergo import saturn
from ....model.ergo.saturn import AnnouncedRoutes, Message
from ....model.values import Atom
from ....reference_node.registrars.saturn_client import SaturnRegistrar
from ...captures import Capture
from ...captures.saturn import SERVER
from .timeline import RecordedSocket, events, messages

NO_NAME: Final = Atom("")
NO_ROUTES: Final = AnnouncedRoutes()


class ClientStream:
    """The stream of a client's socket, as a StreamWriter; passes on each message that the client writes."""

    def __init__(self, written: Callable[[Message], None], closed: Callable[[], None]) -> None:
        self.written, self.closed = written, closed
        self.reader = asyncio.StreamReader()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        for message in messages(data):
            self.written(message)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.closed()

    def is_closing(self) -> bool:
        return self.is_closed

    async def wait_closed(self) -> None:
        """Returns at once: there is no socket."""

    def get_extra_info(self, name: str) -> None:  # noqa: ARG002
        """Returns None: there is no socket."""
        return


@dataclass
class RecordedClient:
    """A node of the capture, and the registrar that takes its place."""

    sockets: deque[RecordedSocket]
    """Sockets of the client that were not opened yet."""
    hidden: bool = False
    name: Atom = NO_NAME
    routes: AnnouncedRoutes = NO_ROUTES
    registrar: SaturnRegistrar | None = None
    stream: ClientStream | None = None
    socket: RecordedSocket | None = None
    """Current socket of the client."""
    expected: deque[Message] = field(default_factory=deque)
    """Messages that it still has to write on the current socket."""
    ids: dict[int, int] = field(default_factory=dict)
    """Actual request ids to recorded ones."""
    announced: set[Atom] = field(default_factory=set)
    """Applications that it has announced."""
    registrations: int = 0
    reconnects: bool = False
    """True if the server closed its socket, so that it will dial again."""

    def learn(self, register: saturn.Register) -> None:
        """Takes name, routes and visibility from a registration."""
        routes = register.RegisterRoutes
        self.name, self.routes = register.Node, routes
        self.hidden = register.Hidden or routes.Routes is None

    @property
    def cluster(self) -> str:
        """The cluster of its next registration."""
        registrations = (socket.registration for socket in self.sockets)
        return next((register.Cluster for register in registrations if register is not None), "")


def clients_of(sockets: dict[str, RecordedSocket], capture: Capture) -> list[RecordedClient]:
    """Returns the clients of a capture. A node that registers again after the server closed its socket is one client."""
    clients: list[RecordedClient] = []
    disconnected: list[RecordedClient] = []
    for event in events(capture, sockets):
        socket = sockets[event.socket]
        if not any(socket in client.sockets for client in clients) and not socket.is_refused:
            clients += _new_client(socket, disconnected)
        for client in clients:
            is_ended = socket in client.sockets and event.event == "close" and event.direction == SERVER
            if is_ended and client not in disconnected and (socket.begins_before or socket.registration):
                disconnected.append(client)
    for number, client in enumerate(clients):
        client.name = client.name or Atom(f"recorded-{number}@localhost")
    return clients


def _new_client(socket: RecordedSocket, disconnected: list[RecordedClient]) -> list[RecordedClient]:
    """Returns the new client of a socket; an empty list if the socket is a disconnected client's next one."""
    register = socket.registration
    for client in disconnected:
        if register is not None and client.name in ("", register.Node):
            disconnected.remove(client)
            client.learn(register)
            client.sockets.append(socket)
            return []
    client = RecordedClient(deque([socket]))
    if register is not None:
        client.learn(register)
    client.announced = {m.Route.Name for m in socket.messages if isinstance(m, saturn.RegisterApplicationRoute)}
    return [client]
