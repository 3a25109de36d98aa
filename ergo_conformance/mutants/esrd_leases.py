"""Faults in the server of the embedded registrar that show on the second use of a name or a socket, or at a boundary."""

import asyncio
from collections.abc import Sequence

from ..model.ergo import esrd
from ..model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, Route
from ..model.values import Atom
from ..reference_node.ergo.esrd import EsrdNameTable, EsrdServerSession, EsrdSessionState
from ..reference_node.registrars import esrd_server
from ..reference_node.registrars.esrd_server import EsrdServerSocket
from .faults import NameFault, with_constants
from .mutant import Area

ESRD_LEASES = Area("esrd_leases")
N, REGISTER = "registrar.names", "registrar.register"
MAX_IGNORED = 65_536
"""Bytes that a faulty server ignores on a registered socket."""


# --- deadlines --------------------------------------------------------------------------------------------------------


@ESRD_LEASES.fault("ESRD-REG-1", found_by=(f"{N}.bytes_do_not_restart_the_deadline[*]",), subtle=True)
class EsrdEachByteRestartsDeadline(EsrdServerSocket):
    """Gives a client another second to register whenever bytes arrive."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(esrd.REGISTER_TIMEOUT, self._check_registered)


ESRD_LEASES.add(
    "waits_three_seconds",
    "Waits three seconds for a request.",
    NameFault((esrd_server,), "esrd", with_constants(esrd, REGISTER_TIMEOUT=3.0)),
    "ESRD-REG-1",
    found_by=(f"{REGISTER}.silence",),
)
ESRD_LEASES.add(
    "waits_a_tenth_of_a_second",
    "Waits a tenth of a second for a request.",
    NameFault((esrd_server,), "esrd", with_constants(esrd, REGISTER_TIMEOUT=0.1)),
    "ESRD-REG-1",
    found_by=(f"{N}.request_within_the_deadline", f"{REGISTER}.silence"),
)


@ESRD_LEASES.fault("ESRD-REG-2", found_by=(f"{N}.request_within_the_deadline",), subtle=True)
class LeaseOfALateRequestEnds(EsrdServerSocket):
    """Closes a socket a second after it was opened if its request came in the second half of that second."""

    def _check_registered(self) -> None:
        self.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        left = self._deadline - asyncio.get_running_loop().time()
        if self.is_registered and self.timer is not None and left > esrd.REGISTER_TIMEOUT / 2 + 0.01:
            self.timer.cancel()


# --- refusals ---------------------------------------------------------------------------------------------------------


@ESRD_LEASES.fault("ESRD-REG-3", found_by=(f"{N}.refused_duplicate_leaves_nothing",), subtle=True)
class RoutesOfADuplicateKept(EsrdNameTable):
    """Adds the routes of a refused duplicate to those of the owner of the name."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        reply = super().register(name, routes)
        if reply.Error is not None and name in self._routes:
            self._routes[name] += list(routes or ())
        return reply


@ESRD_LEASES.fault("ESRD-REG-3", "ROB-ESRD-5", found_by=(f"{REGISTER}.taken[*]",))
class EsrdEndOfADuplicateFreesName(EsrdServerSession):
    """Frees the name of its owner when the socket of a refused duplicate ends."""

    def _register(self, message: RegisterRoutes) -> bytes:
        reply = super()._register(message)
        self.name = message.Node
        return reply


@ESRD_LEASES.fault("ESRD-REG-4", found_by=(f"{REGISTER}.no_routes[*]", f"{N}.request_without_routes_leaves_nothing"))
class RefusedNameTaken(EsrdNameTable):
    """Keeps the name of a request that it refuses because it has no routes."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        reply = super().register(name, routes)
        self._routes.setdefault(name, [])
        return reply


@ESRD_LEASES.fault(
    "ESRD-REG-3",
    found_by=(f"{N}.one_of_many_at_once", f"{N}.field_of_a_route[*]", f"{REGISTER}.routes_come_back[*]"),
    subtle=True,
)
class NameStoredAfterReply(EsrdNameTable):
    """Stores a name a hundredth of a second after it has granted it."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        reply = super().register(name, routes)
        if reply.Error is None:
            given = self._routes.pop(name)
            asyncio.get_running_loop().call_later(0.01, self._routes.setdefault, name, given)
        return reply


# --- second use of a name ---------------------------------------------------------------------------------------------


@ESRD_LEASES.fault("ESRD-REG-6", "ESRD-RES-1", found_by=(f"{N}.name_of_a_new_owner[*]",), subtle=True)
class RoutesOfFormerOwner(EsrdNameTable):
    """Resolves a name that is registered again to the routes of its first owner."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[Atom, ResolveReply] = {}

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply if reply.Error is not None else self._first.setdefault(name, reply)


@ESRD_LEASES.fault("ROB-ESRD-5", found_by=(f"{N}.late_end_of_the_former_owner",), subtle=True)
class LateEndFreesName(EsrdServerSession):
    """Frees a name again when the socket of its former owner has ended for a tenth of a second."""

    def end(self) -> None:
        if self.name is not None:
            asyncio.get_running_loop().call_later(0.1, self.table.unregister, self.name)
        super().end()


@ESRD_LEASES.fault("ESRD-REG-6", found_by=(f"{REGISTER}.end_of_a_lease[*]",))
class NameKeptForSeconds(EsrdNameTable):
    """Resolves the name of a node that has ended for five more seconds."""

    def unregister(self, name: Atom) -> None:
        asyncio.get_running_loop().call_later(5.0, super().unregister, name)


@ESRD_LEASES.fault("ROB-ESRD-5", found_by=(f"{N}.end_of_one_of_many",), subtle=True)
class EndFreesLastName(EsrdNameTable):
    """Frees the name that was registered last when any lease ends."""

    def unregister(self, name: Atom) -> None:
        super().unregister(name if len(self._routes) < 3 else next(reversed(self._routes)))
        self._routes.pop(name, None)


# --- names that resemble each other -----------------------------------------------------------------------------------


@ESRD_LEASES.fault(
    "ESRD-RES-1", found_by=(f"{N}.similar_name[upper_case]", f"{N}.similar_name[upper_case_host]"), subtle=True
)
class NamesWithoutCase(EsrdNameTable):
    """Resolves names without regard to upper and lower case."""

    def resolve(self, name: Atom) -> ResolveReply:
        found = next((known for known in self._routes if known.lower() == name.lower()), name)
        return super().resolve(found)


@ESRD_LEASES.fault("ESRD-RES-1", found_by=(f"{N}.similar_name[shorter]",), subtle=True)
class ResolvesPrefixes(EsrdNameTable):
    """Resolves the beginning of a registered name."""

    def resolve(self, name: Atom) -> ResolveReply:
        found = next((known for known in self._routes if name and known.startswith(name)), name)
        return super().resolve(name if name in self._routes else found)


@ESRD_LEASES.fault(
    "ESRD-RES-1",
    found_by=tuple(f"{N}.similar_name[{how}]" for how in ("longer", "longer_host", "space_behind")),
    subtle=True,
)
class ResolvesLongerNames(EsrdNameTable):
    """Resolves a name that begins with a registered one."""

    def resolve(self, name: Atom) -> ResolveReply:
        return super().resolve(next((known for known in self._routes if known and name.startswith(known)), name))


@ESRD_LEASES.fault("ESRD-RES-1", found_by=(f"{N}.similar_name[other_first_byte]",), subtle=True)
class FirstByteIgnored(EsrdNameTable):
    """Compares names from their second byte on."""

    def resolve(self, name: Atom) -> ResolveReply:
        return super().resolve(next((known for known in self._routes if known[1:] == name[1:]), name))


@ESRD_LEASES.fault(
    "ESRD-RES-1", found_by=tuple(f"{N}.similar_name[{how}]" for how in ("without_host", "other_host", "longer_host"))
)
class HostsIgnored(EsrdNameTable):
    """Compares names only up to the @."""

    def resolve(self, name: Atom) -> ResolveReply:
        short = name.partition("@")[0]
        return super().resolve(next((known for known in self._routes if known.partition("@")[0] == short), name))


@ESRD_LEASES.fault("ESRD-RES-1", found_by=(f"{N}.similar_name[space_behind]",), subtle=True)
class NamesStripped(EsrdNameTable):
    """Removes spaces around a requested name."""

    def resolve(self, name: Atom) -> ResolveReply:
        return super().resolve(Atom(name.strip()))


# --- routes and bytes -------------------------------------------------------------------------------------------------


@ESRD_LEASES.fault("ESRD-RES-1", found_by=(f"{N}.field_of_a_route[tls]", f"{REGISTER}.routes_come_back[3_routes]"))
class TlsFlagLost(EsrdNameTable):
    """Resolves to routes without their TLS flag."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply._replace(Routes=reply.Routes and [route._replace(TLS=False) for route in reply.Routes])


@ESRD_LEASES.fault("ESRD-RES-1", found_by=(f"{N}.field_of_a_route[versions]",), subtle=True)
class CommitsLost(EsrdNameTable):
    """Resolves to routes without the commit of their handshake."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        short = [
            each._replace(HandshakeVersion=each.HandshakeVersion._replace(Commit="")) for each in reply.Routes or ()
        ]
        return reply._replace(Routes=short or None)


@ESRD_LEASES.fault("ESRD-RES-1", found_by=(f"{N}.field_of_a_route[last_port]",), subtle=True)
class HighPortsHalved(EsrdNameTable):
    """Resolves to ports without their highest bit."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply._replace(Routes=reply.Routes and [each._replace(Port=each.Port & 0x7FFF) for each in reply.Routes])


@ESRD_LEASES.fault("ESRD-REG-7", "ROB-ESRD-2", found_by=(f"{N}.flood_on_a_registered_link",), subtle=True)
class FloodEndsLease(EsrdServerSession):
    """Ends a lease when more than 64 KiB have arrived after its request."""

    _ignored = 0

    def receive(self, data: bytes) -> bytes:
        if self.state is EsrdSessionState.REGISTERED:
            self._ignored += len(data)
            if self._ignored > MAX_IGNORED:
                self.end()
        return super().receive(data)
