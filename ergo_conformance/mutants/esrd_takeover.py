"""Faults of a node that serves the embedded registrar of its host, or that takes it over."""

from collections.abc import Sequence

from ..model.ergo import esrd
from ..model.ergo.ehs import Version
from ..model.ergo.esrd import RegisterReply, ResolveReply, Route
from ..model.values import Atom
from ..reference_node.api.errors import RegistrarError
from ..reference_node.ergo import esrd as packets
from ..reference_node.ergo.esrd import EsrdNameTable, write
from ..reference_node.registrars import esrd_server
from ..reference_node.registrars.esrd_client import EsrdRegistrar
from ..reference_node.registrars.udp import WildcardSocket
from .faults import NameFault
from .mutant import Area

ESRD_TAKEOVER = Area("esrd_takeover")
C, REGISTER, RESOLVE = "registrar.esrd_client", "registrar.register", "registrar.resolve"


def is_own(table: EsrdNameTable, name: Atom) -> bool:
    """Tells whether a name is that of the serving node, which registers itself first."""
    return next(iter(table._routes), None) == name


# --- the serving node itself ------------------------------------------------------------------------------------------


@ESRD_TAKEOVER.fault("ESRD-REG-3", found_by=(f"{REGISTER}.the_servers_own_name",), subtle=True)
class OwnNameFree(EsrdNameTable):
    """Gives the name of the serving node to a node that requests it."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        return RegisterReply(None) if is_own(self, name) and routes else super().register(name, routes)


@ESRD_TAKEOVER.fault("ESRD-RES-1", found_by=(f"{RESOLVE}.the_server_itself", f"{REGISTER}.the_servers_own_name"))
class OwnNameUnknown(EsrdNameTable):
    """Does not resolve the name of the serving node."""

    def resolve(self, name: Atom) -> ResolveReply:
        return super().resolve(Atom("") if is_own(self, name) else name)


@ESRD_TAKEOVER.fault("ESRD-TR-1", "ESRD-TR-4", found_by=(f"{RESOLVE}.known", f"{RESOLVE}.unknown[*]"))
class NothingResolved(EsrdNameTable):
    """Answers no resolve request."""

    def answer(self, datagram: bytes) -> bytes | None:
        return None


@ESRD_TAKEOVER.function(
    packets, "write", "ESRD-FR-1", found_by=(f"{REGISTER}.register", f"{REGISTER}.routes_come_back[*]")
)
def length_counts_header(message: esrd.Message) -> bytes:
    """Writes lengths that count the header."""
    data = write(message)
    return data[:2] + len(data).to_bytes(2, "big") + data[4:]


# --- taking over ------------------------------------------------------------------------------------------------------


@ESRD_TAKEOVER.fault("ESRD-FO-4", "ESRD-RES-1", found_by=(f"{C}.takes_over",), needs_tcp=True)
class NewServerKnowsOthers(EsrdNameTable):
    """Resolves unknown names to a route, as if the nodes of the former server were registered."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply if reply.Error is None else ResolveReply([Route("", 1, False, *[Version()] * 2)], None)


@ESRD_TAKEOVER.fault("ESRD-CL-1", found_by=(f"{C}.request[may_serve]",), needs_tcp=True)
class RegistersOnlyIfItNeverServes(EsrdRegistrar):
    """Does not register with a running server if it may serve itself."""

    async def _serve_or_register(self) -> None:
        if not self.may_serve:
            await super()._serve_or_register()
        elif not await self._serve():
            raise RegistrarError("another node serves")


class _NoDatagrams(WildcardSocket):
    """Uses any free port for datagrams in place of a port that is in use."""

    def __init__(self, port: int) -> None:
        try:
            super().__init__(port)
        except OSError:
            super().__init__(0)


ESRD_TAKEOVER.add(
    "serves_with_one_port",
    "Takes over although the UDP port is in use.",
    NameFault((esrd_server,), "WildcardSocket", _NoDatagrams),
    "ESRD-FO-5",
    found_by=(f"{C}.both_ports",),
    needs_tcp=True,
    subtle=True,
)
