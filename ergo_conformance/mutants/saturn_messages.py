"""Faults in the server of the central registrar Saturn: messages, and clients that are not registered."""

from collections.abc import Callable

from ..errors import Reason, Rejected
from ..model.ergo import saturn
from ..model.ergo.saturn import Message, SessionState
from ..model.values import Atom
from ..reference_node.ergo import saturn as codec
from ..reference_node.ergo.saturn import SaturnDirectory, SaturnServerSession, check_header
from ..reference_node.registrars.saturn_server import SaturnServerSocket
from ..reference_node.registrars.server_socket import RegistrarServerSocket
from .mutant import Area

SATURN_MESSAGES = Area("saturn_messages")
S, T, N = "registrar.saturn", "registrar.saturn_stream", "registrar.saturn_names"
LONGEST = 0x7FFF
"""Length of the longest message that a faulty server reads."""
MOST_WAITING = 40
"""Number of clients without a registration that a faulty server serves."""


# --- registrations ----------------------------------------------------------------------------------------------------


@SATURN_MESSAGES.fault("SAT-RG-1", "SAT-EV-1", found_by=(f"{S}.general_cluster",), subtle=True)
class GeneralClusterApart(SaturnDirectory):
    """Does not tell the nodes of the general cluster of each other."""

    def others(self, session: SaturnServerSession) -> list[SaturnServerSession]:
        return super().others(session) if session.cluster else []


@SATURN_MESSAGES.function(codec, "check_header", "SAT-FR-1", found_by=(f"{S}.many_routes",), subtle=True)
def reads_short_messages(data: bytes) -> int | None:
    """Refuses messages of more than 32,767 bytes."""
    size = check_header(data)
    if size is not None and size > LONGEST:
        raise Rejected(Reason.LENGTH, "length", 2, f"{size}")
    return size


@SATURN_MESSAGES.fault("SAT-RG-2", found_by=(f"{S}.one_result", f"{S}.register"))
class TwoResultsSent(SaturnServerSession):
    """Sends the result of a registration twice."""

    def register(self, message: saturn.Register) -> None:
        super().register(message)
        if self.state is SessionState.REGISTERED:
            self.send(self._welcome())


@SATURN_MESSAGES.fault("SAT-RG-5", found_by=(f"{T}.applications_of_a_registration",), subtle=True)
class ForeignApplicationsListed(SaturnServerSession):
    """Accepts applications of other nodes in a registration."""

    def register(self, message: saturn.Register) -> None:
        super().register(message)
        self.applications = {route.Name: route for route in message.RegisterRoutes.ApplicationRoutes or ()}


@SATURN_MESSAGES.fault(
    "SAT-RG-1", found_by=tuple(f"{N}.similar_name[{how}]" for how in ("shorter", "longer", "space_behind")), subtle=True
)
class PrefixesTaken(SaturnServerSession):
    """Refuses a name that begins with a registered one, or with which a registered one begins."""

    def register(self, message: saturn.Register) -> None:
        wanted, known = message.Node, self.directory.clusters.get(message.Cluster, {})
        same = next((name for name in known if wanted.startswith(name) or name.startswith(wanted)), wanted)
        super().register(message._replace(Node=same))


# --- messages ---------------------------------------------------------------------------------------------------------


@SATURN_MESSAGES.fault("SAT-EV-2", found_by=(f"{T}.unloaded", f"{N}.unloaded_application_is_not_listed"))
class UnloadingUnreported(SaturnServerSession):
    """Does not report that an application was unloaded."""

    def unregister_application(self, message: saturn.UnregisterApplicationRoute) -> None:
        self.applications.pop(message.Name, None)


@SATURN_MESSAGES.fault("SAT-EV-5", found_by=(f"{T}.message_of_a_server[*]",))
class MessageOfAServerCloses(SaturnServerSession):
    """Closes the connection of a client that sends a message of a server."""

    def _step(self, message: Message) -> None:
        if type(message) in saturn.OF_THE_SERVER:
            self._close("a message of a server")
        else:
            super()._step(message)


@SATURN_MESSAGES.fault(
    "SAT-EV-5",
    found_by=tuple(f"{T}.message_of_a_server[{name}]" for name in ("node_left", "node_joined", "config_update")),
)
class NotificationsOfClientsForwarded(SaturnServerSession):
    """Forwards notifications that a client makes up."""

    def _step(self, message: Message) -> None:
        if type(message) in saturn.NOTIFICATIONS and type(message) in saturn.OF_THE_SERVER:
            self._broadcast(message)
        super()._step(message)


# --- clients without a registration -----------------------------------------------------------------------------------


@SATURN_MESSAGES.fault("ROB-SAT-3", found_by=(f"{T}.silent_clients",), subtle=True)
class WaitingClientsLimited(SaturnServerSocket):
    """Does not read from a client that connects while forty others are not registered."""

    waiting: "set[SaturnServerSocket]"

    def __init__(self, directory: SaturnDirectory, sockets: set[RegistrarServerSocket]) -> None:
        super().__init__(directory, sockets)
        self.waiting = directory.__dict__.setdefault("waiting", set())
        self.ignored = len(self.waiting) >= MOST_WAITING
        self.waiting.add(self)

    def data_received(self, data: bytes) -> None:
        if self.ignored:
            return
        super().data_received(data)
        if self.is_registered:
            self.waiting.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.waiting.discard(self)


@SATURN_MESSAGES.fault("ROB-SAT-4", found_by=(f"{T}.strangers_hear_nothing",), subtle=True)
class StrangersNotified(SaturnServerSession):
    """Notifies also clients that have proved the token and are not registered."""

    def __init__(self, directory: SaturnDirectory, transmit: Callable[[bytes], None]) -> None:
        super().__init__(directory, transmit)
        directory.__dict__.setdefault("sessions", []).append(self)

    def _broadcast(self, message: Message) -> None:
        super()._broadcast(message)
        for session in self.directory.__dict__["sessions"]:
            if session.state is SessionState.AWAIT_REGISTER:
                session.send(message)


@SATURN_MESSAGES.fault("SAT-RS-1", found_by=(f"{S}.resolve_unknown[0]",), subtle=True)
class NumberZeroUnanswered(SaturnServerSession):
    """Does not answer a request with the number 0."""

    def resolve(self, message: saturn.Resolve) -> None:
        if message.ID:
            super().resolve(message)


@SATURN_MESSAGES.fault("SAT-RS-1", "SAT-RG-1", found_by=(f"{S}.resolve_in_another_cluster",), subtle=True)
class ResolvesNamesOfTheLastCluster(SaturnDirectory):
    """Resolves a name that its cluster does not know in the cluster that was registered last."""

    def find(self, cluster: str, name: Atom) -> SaturnServerSession | None:
        last = next(reversed(self.clusters), cluster)
        return super().find(cluster, name) or super().find(last, name)
