"""Faults in the server of the central registrar Saturn: second use of a name, boundaries, many nodes."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from ..errors import Rejected
from ..model.ergo import saturn
from ..model.ergo.saturn import ApplicationRoute, Message, SessionState
from ..model.values import Atom
from ..reference_node.ergo import saturn as codec
from ..reference_node.ergo.saturn import SaturnDirectory, SaturnServerSession, read
from ..reference_node.registrars import saturn_server
from ..reference_node.registrars.saturn_server import SaturnServerSocket
from .faults import NameFault, with_constants
from .mutant import Area

SATURN_NAMES = Area("saturn_names")
N, S = "registrar.saturn_names", "registrar.saturn"
MOST = 20
"""Number of nodes that a faulty server takes into account."""


# --- refusals ---------------------------------------------------------------------------------------------------------


@SATURN_NAMES.fault("SAT-RG-3", found_by=(f"{N}.end_of_a_refused_connection",), subtle=True)
class EndOfADuplicateFreesName(SaturnServerSession):
    """Frees the name of its owner when the connection of a refused duplicate ends."""

    _refused = False

    def register(self, message: saturn.Register) -> None:
        self._refused = message.Node in self.directory.clusters.get(message.Cluster, {})
        self.cluster, self.name = message.Cluster, message.Node
        super().register(message)

    def end(self) -> None:
        if self.state is SessionState.REGISTERED:
            self.directory.clusters.setdefault(self.cluster, {}).setdefault(self.name, self)
        super().end()
        if self._refused:
            self.directory.clusters.get(self.cluster, {}).pop(self.name, None)


@SATURN_NAMES.fault("SAT-RG-3", "SAT-EV-1", found_by=(f"{N}.end_of_a_refused_connection",), subtle=True)
class RefusedNodeReportedAsLeft(SaturnServerSession):
    """Reports the owner of a name as gone when it refuses a duplicate."""

    def register(self, message: saturn.Register) -> None:
        owner = self.directory.clusters.get(message.Cluster, {}).get(message.Node)
        super().register(message)
        if owner is not None:
            owner._broadcast(saturn.NodeLeft(message.Node))


@SATURN_NAMES.fault("SAT-RG-3", found_by=(f"{N}.refused_node_leaves_no_applications",), subtle=True)
class ApplicationsOfADuplicateKept(SaturnServerSession):
    """Adds the applications of a refused duplicate to those of the owner of the name."""

    def register(self, message: saturn.Register) -> None:
        owner = self.directory.clusters.get(message.Cluster, {}).get(message.Node)
        super().register(message)
        if owner is not None:
            owner.applications |= {each.Name: each for each in message.RegisterRoutes.ApplicationRoutes or ()}


@SATURN_NAMES.fault("SAT-RG-3", "SAT-RG-1", found_by=(f"{N}.one_of_many_at_once",), subtle=True)
class NameTakenAfterResult(SaturnServerSession):
    """Takes a name a hundredth of a second after it has granted it."""

    def register(self, message: saturn.Register) -> None:
        super().register(message)
        if self.state is SessionState.REGISTERED:
            cluster = self.directory.clusters[self.cluster]
            del cluster[self.name]
            asyncio.get_running_loop().call_later(0.01, cluster.setdefault, self.name, self)

    def end(self) -> None:
        self.directory.clusters.setdefault(self.cluster, {}).setdefault(self.name, self)
        super().end()


# --- names that resemble each other -----------------------------------------------------------------------------------


@SATURN_NAMES.fault("SAT-RG-1", found_by=(f"{N}.similar_name[upper_case]",), subtle=True)
class NodeNamesWithoutCase(SaturnServerSession):
    """Refuses a name that differs from a registered one in upper and lower case only."""

    def register(self, message: saturn.Register) -> None:
        known = self.directory.clusters.get(message.Cluster, {})
        same = next((name for name in known if name.lower() == message.Node.lower()), message.Node)
        super().register(message._replace(Node=same))


@SATURN_NAMES.fault("SAT-RG-1", found_by=(f"{N}.similar_name[other_host]", f"{N}.similar_name[without_host]"))
class NodeHostsIgnored(SaturnServerSession):
    """Compares the names of nodes only up to the @."""

    def register(self, message: saturn.Register) -> None:
        short, known = message.Node.partition("@")[0], self.directory.clusters.get(message.Cluster, {})
        same = next((name for name in known if name.partition("@")[0] == short), message.Node)
        super().register(message._replace(Node=same))


@SATURN_NAMES.fault("SAT-RG-1", "ROB-SAT-4", found_by=(f"{N}.similar_cluster[upper_case]",), subtle=True)
class ClustersWithoutCase(SaturnServerSession):
    """Treats clusters whose names differ in upper and lower case only as one."""

    def register(self, message: saturn.Register) -> None:
        super().register(message._replace(Cluster=message.Cluster.lower()))


@SATURN_NAMES.fault(
    "SAT-RG-1",
    "ROB-SAT-4",
    found_by=tuple(f"{N}.similar_cluster[{how}]" for how in ("shorter", "longer", "space_behind")),
    subtle=True,
)
class ClustersByPrefix(SaturnDirectory):
    """Notifies also the nodes of clusters whose names begin with that of the node's cluster, or with which it begins."""

    def others(self, session: SaturnServerSession) -> list[SaturnServerSession]:
        own = session.cluster
        near = [nodes for name, nodes in self.clusters.items() if name.startswith(own) or own.startswith(name)]
        return [other for nodes in near for other in nodes.values() if other is not session]


@SATURN_NAMES.fault("SAT-RG-1", found_by=(f"{N}.similar_cluster[space_behind]",), subtle=True)
class ClustersStripped(SaturnServerSession):
    """Removes spaces around the name of a cluster."""

    def register(self, message: saturn.Register) -> None:
        super().register(message._replace(Cluster=message.Cluster.strip()))


# --- a name that is used again ----------------------------------------------------------------------------------------


@SATURN_NAMES.fault("SAT-RG-7", "SAT-RG-2", found_by=(f"{N}.name_of_a_new_owner[*]",), subtle=True)
class ApplicationsOfFormerOwner(SaturnServerSession):
    """Keeps the applications of a node that has left for the next node of that name."""

    def register(self, message: saturn.Register) -> None:
        super().register(message)
        if self.state is SessionState.REGISTERED:
            former: dict[Atom, dict[Atom, ApplicationRoute]] = self.directory.__dict__.setdefault("former", {})
            self.applications |= former.get(self.name, {})

    def end(self) -> None:
        if self.state is SessionState.REGISTERED:
            self.directory.__dict__.setdefault("former", {})[self.name] = self.applications
        super().end()


@SATURN_NAMES.fault("SAT-EV-1", found_by=(f"{N}.name_of_a_new_owner[*]",), subtle=True)
class ReturnNotReported(SaturnServerSession):
    """Does not notify of a node that registers for the second time."""

    def _broadcast(self, message: Message) -> None:
        seen: set[str] = self.directory.__dict__.setdefault("seen", set())
        if isinstance(message, saturn.NodeJoined):
            if self.cluster + message.Node in seen:
                return
            seen.add(self.cluster + message.Node)
        super()._broadcast(message)


@SATURN_NAMES.fault("SAT-RS-1", "SAT-RG-7", found_by=(f"{N}.node_that_left_has_no_route",), subtle=True)
class ResolvesDeadNodes(SaturnDirectory):
    """Resolves a node that was resolved before and has left."""

    def __init__(self, token: str, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(token, config)
        self._found: dict[tuple[str, Atom], SaturnServerSession] = {}

    def find(self, cluster: str, name: Atom) -> SaturnServerSession | None:
        found = super().find(cluster, name)
        if found is not None:
            self._found[cluster, name] = found
        return self._found.get((cluster, name))


@SATURN_NAMES.fault("SAT-EV-2", "SAT-RG-2", found_by=(f"{N}.unloaded_application_is_not_listed",))
class UnloadedApplicationListed(SaturnServerSession):
    """Lists unloaded applications to nodes that register later."""

    def unregister_application(self, message: saturn.UnregisterApplicationRoute) -> None:
        kept = dict(self.applications)
        super().unregister_application(message)
        self.applications = kept


@SATURN_NAMES.fault("SAT-EV-2", "SAT-RG-2", found_by=(f"{N}.unloaded_application_is_not_listed",), subtle=True)
class AllApplicationsUnloaded(SaturnServerSession):
    """Forgets all applications of a node when it unloads one."""

    def unregister_application(self, message: saturn.UnregisterApplicationRoute) -> None:
        super().unregister_application(message)
        self.applications.clear()


# --- many nodes, and order --------------------------------------------------------------------------------------------


@SATURN_NAMES.fault("SAT-EV-1", found_by=(f"{N}.many_nodes",), subtle=True)
class FewNodesNotified(SaturnDirectory):
    """Notifies twenty nodes at most."""

    def others(self, session: SaturnServerSession) -> list[SaturnServerSession]:
        return super().others(session)[:MOST]


@SATURN_NAMES.fault("SAT-EV-1", found_by=(f"{N}.order_of_notifications",), subtle=True)
class JoinedReportedLate(SaturnServerSession):
    """Reports a node that joins a twentieth of a second late, after its first applications."""

    def _broadcast(self, message: Message) -> None:
        if isinstance(message, saturn.NodeJoined):
            asyncio.get_running_loop().call_later(0.05, super()._broadcast, message)
        else:
            super()._broadcast(message)


@SATURN_NAMES.fault("SAT-EV-2", found_by=(f"{N}.order_of_notifications",), subtle=True)
class StateForwardedOnce(SaturnServerSession):
    """Forwards a state of an application only once."""

    def register_application(self, message: saturn.RegisterApplicationRoute) -> None:
        told: set[tuple[Atom, int]] = self.__dict__.setdefault("told", set())
        key = message.Route.Name, message.Route.State
        if key in told:
            self.applications[message.Route.Name] = message.Route
            return
        told.add(key)
        super().register_application(message)


# --- frames and deadlines ---------------------------------------------------------------------------------------------


@SATURN_NAMES.function(codec, "read", "ROB-SAT-7", found_by=(f"{N}.bytes_behind_the_value[*]",))
def ignores_bytes_behind_value(data: bytes) -> Message:
    """Ignores bytes behind the value of a message."""
    for end in range(len(data), saturn.HEADER_LENGTH, -1):
        with contextlib.suppress(Rejected):
            return read(data[:2] + (end - saturn.HEADER_LENGTH).to_bytes(2, "big") + data[4:end])
    return read(data)


@SATURN_NAMES.fault("SAT-HS-5", found_by=(f"{N}.bytes_do_not_restart_the_deadline[*]",), subtle=True)
class EachByteRestartsDeadline(SaturnServerSocket):
    """Gives a client three more seconds to register whenever bytes arrive."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(saturn.REGISTER_WITHIN, self._check_registered)


@SATURN_NAMES.fault("SAT-HS-5", found_by=(f"{N}.handshake_does_not_restart_the_deadline",), subtle=True)
class HandshakeRestartsDeadline(SaturnServerSocket):
    """Gives a client three more seconds to register after its proof of the token."""

    _proved = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.session.state is SessionState.AWAIT_REGISTER and not self._proved and self.timer is not None:
            self._proved = True
            self.timer.cancel()
            self.timer = asyncio.get_running_loop().call_later(saturn.REGISTER_WITHIN, self._check_registered)


SATURN_NAMES.add(
    "waits_one_second",
    "Waits one second for a registration.",
    NameFault((saturn_server,), "saturn", with_constants(saturn, REGISTER_WITHIN=1.0)),
    "SAT-HS-5",
    found_by=(f"{N}.registration_before_the_deadline", f"{S}.deadline[nothing]"),
)
