"""Faults in the server of the central registrar Saturn."""

from collections.abc import Iterator

from ..model.ergo import saturn
from ..model.ergo.saturn import Message, SessionState
from ..model.values import Atom
from ..reference_node.ergo.saturn import (
    NO_ROUTE,
    TAKEN,
    SaturnDirectory,
    SaturnPacketReader,
    SaturnServerSession,
    check_header,
    is_proof,
    proof,
    read,
)
from ..reference_node.registrars.saturn_server import SaturnServerSocket
from .mutant import Area

SATURN = Area("saturn")
S, T = "registrar.saturn", "registrar.saturn_stream"

# --- the handshake ----------------------------------------------------------------------------------------------------


@SATURN.fault("SAT-HS-1", found_by=(f"{S}.wrong_proof[*]",))
class AnyDigestAccepted(SaturnServerSession):
    """Accepts any digest of a client."""

    def prove(self, message: saturn.Handshake) -> None:
        super().prove(message._replace(Digest=proof(message.Salt, self.directory.token)))


@SATURN.fault("SAT-HS-1", found_by=(f"{S}.wrong_proof[upper_case]",))
class SaturnUpperCaseAccepted(SaturnServerSession):
    """Accepts digests in upper case."""

    def prove(self, message: saturn.Handshake) -> None:
        super().prove(message._replace(Digest=message.Digest.lower()))


@SATURN.fault("SAT-HS-2", found_by=(f"{S}.proof[*]",))
class ProofOverSalt(SaturnServerSession):
    """Computes its proof from the client's salt instead of the client's digest."""

    def prove(self, message: saturn.Handshake) -> None:
        if is_proof(message.Digest, message.Salt, self.directory.token):
            self.state = SessionState.AWAIT_REGISTER
            self.send(saturn.HandshakeResult(proof(message.Salt, self.directory.token)))
        else:
            self._close("wrong digest")


@SATURN.fault("SAT-HS-3", "SAT-HS-6", found_by=(f"{S}.wrong_proof[*]", f"{S}.wrong_state[*]"))
class ErrorSentBeforeClose(SaturnServerSession):
    """Sends an error before it closes a connection."""

    def _close(self, why: str) -> None:
        self.send(saturn.RegisterResult(Error=NO_ROUTE))
        super()._close(why)


@SATURN.fault(
    "SAT-HS-6", found_by=(f"{S}.wrong_state[await_handshake-register]", f"{S}.wrong_state[registered-handshake]")
)
class WrongStateIgnored(SaturnServerSession):
    """Ignores a message that is not allowed in its state."""

    def _step(self, message: Message) -> None:
        if saturn.STEPS[self.state].get(type(message)) is not None:
            super()._step(message)


# --- registrations ----------------------------------------------------------------------------------------------------


@SATURN.fault("SAT-RG-1", found_by=(f"{S}.clusters",))
class OneCluster(SaturnServerSession):
    """Registers all nodes in one cluster."""

    def register(self, message: saturn.Register) -> None:
        super().register(message._replace(Cluster=""))


@SATURN.fault("SAT-RG-3", found_by=(f"{S}.taken",))
class SaturnReassignsNames(SaturnServerSession):
    """Gives a registered name to another node that requests it."""

    def register(self, message: saturn.Register) -> None:
        owner = self.directory.clusters.get(message.Cluster, {}).get(message.Node)
        if owner is not None:
            owner.end()
        super().register(message)


@SATURN.fault("SAT-RG-3", found_by=(f"{S}.taken",))
class SaturnWrongErrorText(SaturnServerSession):
    """Refuses a taken name with another error text."""

    def register(self, message: saturn.Register) -> None:
        if message.Node in self.directory.clusters.get(message.Cluster, {}):
            self.send(saturn.RegisterResult(Error=TAKEN._replace(text="no")))
            self._close("taken")
        else:
            super().register(message)


@SATURN.fault("SAT-RG-7", found_by=(f"{S}.left[closed]", f"{S}.left[reset]"))
class SaturnKeepsNames(SaturnServerSession):
    """Keeps a registration whose connection has ended."""

    def end(self) -> None:
        self.state = SessionState.CLOSED


# --- notifications ----------------------------------------------------------------------------------------------------


@SATURN.fault("SAT-EV-1", "SAT-EV-2", found_by=(f"{S}.second", f"{T}.application"))
class NotificationsMissing(SaturnServerSession):
    """Does not notify the other nodes of a cluster."""

    def _broadcast(self, message: Message) -> None:
        """Sends nothing."""


@SATURN.fault("ROB-SAT-4", found_by=(f"{S}.clusters",))
class NotifiesAllClusters(SaturnServerSession):
    """Notifies the nodes of all clusters."""

    def _broadcast(self, message: Message) -> None:
        for cluster in self.directory.clusters.values():
            for other in cluster.values():
                if other is not self:
                    other.send(message)


@SATURN.fault("SAT-EV-1", "SAT-EV-2", found_by=(f"{S}.second", f"{T}.application"))
class NotifiesSender(SaturnServerSession):
    """Sends a notification also to the node that caused it."""

    def _broadcast(self, message: Message) -> None:
        super()._broadcast(message)
        if self.state is SessionState.REGISTERED:
            self.send(message)


@SATURN.fault("SAT-EV-5", found_by=(f"{T}.foreign_application",))
class ForwardsForeignApplications(SaturnServerSession):
    """Forwards applications of another node than the sender."""

    def register_application(self, message: saturn.RegisterApplicationRoute) -> None:
        self._broadcast(message)


@SATURN.fault("SAT-EV-2", found_by=(f"{T}.application", f"{T}.last_state_for_a_late_node"))
class ForwardsLoadedOnly(SaturnServerSession):
    """Forwards only applications in state loaded."""

    def register_application(self, message: saturn.RegisterApplicationRoute) -> None:
        if message.Route.State == 1:
            super().register_application(message)


# --- resolve requests -------------------------------------------------------------------------------------------------


@SATURN.fault("SAT-RS-1", found_by=(f"{S}.resolve_unknown[4294967295]", f"{S}.many_requests"))
class SameNumberInAnswers(SaturnServerSession):
    """Answers all resolve requests with number 1."""

    def resolve(self, message: saturn.Resolve) -> None:
        super().resolve(message._replace(ID=1))


@SATURN.fault("SAT-RS-6", found_by=(f"{S}.resolve",))
class NeverResolves(SaturnServerSession):
    """Answers all resolve requests with "no route", as upstream does (SAT-RS-6)."""

    def resolve(self, message: saturn.Resolve) -> None:
        self.send(saturn.ResolveResult(message.ID, NO_ROUTE, None))


@SATURN.fault("SAT-RS-1", found_by=(f"{S}.resolve_unknown[1]",))
class UnknownNodeWithoutError(SaturnServerSession):
    """Resolves an unknown name without an error."""

    def resolve(self, message: saturn.Resolve) -> None:
        found = self.directory.find(self.cluster, message.Name)
        self.send(saturn.ResolveResult(message.ID, None, found.routes if found else None))


@SATURN.fault("ROB-SAT-4", found_by=(f"{S}.resolve_in_another_cluster",))
class ResolvesAllClusters(SaturnDirectory):
    """Resolves names of other clusters."""

    def find(self, cluster: str, name: Atom) -> SaturnServerSession | None:
        return next((nodes[name] for nodes in self.clusters.values() if name in nodes), None)


# --- the stream -------------------------------------------------------------------------------------------------------


@SATURN.fault("ROB-SAT-2", found_by=(f"{T}.joined", f"{T}.in_pieces"))
class ServerReadsFirstOfAChunk(SaturnPacketReader):
    """Reads one message per chunk and drops the rest."""

    def feed(self, data: bytes) -> Iterator[Message]:
        size = check_header(data)
        if size is not None and len(data) >= size:
            yield read(data[:size])


@SATURN.fault("SAT-ML-1", found_by=(f"{T}.no_message[registered-no_edf]",))
class SocketKeptAfterMalformedBytes(SaturnServerSession):
    """Does not close a connection after malformed bytes."""

    _receiving = False

    def receive(self, data: bytes) -> None:
        self._receiving = True
        super().receive(data)
        self._receiving = False

    def _close(self, why: str) -> None:
        if not self._receiving:
            super()._close(why)


@SATURN.fault("ROB-SAT-1", found_by=(f"{T}.no_message[*]",))
class CloseEndsAllRegistrations(SaturnServerSession):
    """Ends all registrations when it closes one connection."""

    def _close(self, why: str) -> None:
        for cluster in list(self.directory.clusters.values()):
            for session in list(cluster.values()):
                session.end()
        super()._close(why)


@SATURN.fault("SAT-HS-5", found_by=(f"{S}.deadline[*]", f"{T}.length[*]"))
class SaturnNoDeadline(SaturnServerSocket):
    """Waits for a registration without a time limit."""

    def _check_registered(self) -> None:
        """Keeps the socket."""


@SATURN.fault("SAT-TR-1", found_by=(f"{S}.register",))
class DeadlineAfterRegistration(SaturnServerSocket):
    """Closes registered connections, too, when the time limit of a registration has passed."""

    def _check_registered(self) -> None:
        self.close()
