"""Faults of a node as a client of registrars that show when it returns to one, or at the limits of an answer."""

import asyncio
import socket
from collections.abc import Sequence

from ..model.ergo import esrd, saturn
from ..model.ergo.saturn import Message
from ..reference_node.connection.backoff import Pauses
from ..reference_node.ergo.saturn import SaturnClientSession
from ..reference_node.registrars import esrd_client
from ..reference_node.registrars.esrd_client import EsrdRegistrar, _ResolveProtocol
from ..reference_node.registrars.saturn_client import SaturnRegistrar
from .faults import NameFault, with_constants
from .mutant import Area

RETURNING_CLIENTS = Area("returning_clients")
R, E, S = "registrar.client_returns", "registrar.esrd_client", "registrar.saturn_client"
FOREVER = 3600.0
"""Seconds: longer than any case."""

# --- registering again ------------------------------------------------------------------------------------------------


@RETURNING_CLIENTS.fault("ESRD-FO-1", found_by=(f"{R}.esrd_lost_again", f"{E}.every_second"), subtle=True)
class ReturnsToEsrdOnce(EsrdRegistrar):
    """Registers again only once."""

    _returns = 0

    async def _serve_or_register(self) -> None:
        self._returns += self._keeper is not None
        if self._returns > 1:
            await asyncio.sleep(FOREVER)
        await super()._serve_or_register()


@RETURNING_CLIENTS.fault("SAT-RC-1", found_by=(f"{R}.saturn_lost_again",), subtle=True)
class ReturnsToSaturnOnce(SaturnRegistrar):
    """Registers again only once."""

    _returns = 0

    async def _connect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        connected = await super()._connect()
        self._returns += self._keeper is not None
        return connected

    async def _reconnect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        if self._returns > 0:
            await asyncio.sleep(FOREVER)
        return await super()._reconnect()


@RETURNING_CLIENTS.fault(
    "ESRD-FO-1", "SAT-RC-1", found_by=(f"{R}.esrd_lost_again", f"{R}.saturn_lost_again"), subtle=True
)
class PausesGoOn(Pauses):
    """Pauses longer and longer, also after a registration that lasted."""

    def registration_ended(self, lasted: float) -> None:
        """Changes nothing."""


@RETURNING_CLIENTS.fault(
    "ROB-ESRD-8", "ROB-SAT-8", found_by=(f"{R}.esrd_ended_at_once", f"{R}.saturn_ended_at_once"), subtle=True
)
class NoPauseAfterAGrant(Pauses):
    """Registers again without a pause after each registration, as upstream does."""

    def registration_ended(self, lasted: float) -> None:
        super().registration_ended(FOREVER)


RETURNING_CLIENTS.add(
    "registers_again_every_three_seconds",
    "Registers again every three seconds, not every second.",
    NameFault((esrd_client,), "esrd", with_constants(esrd, RETRY=3.0)),
    "ESRD-FO-1",
    found_by=(f"{E}.every_second",),
)


@RETURNING_CLIENTS.fault("ESRD-FO-1", found_by=(f"{E}.link_ends[*]", f"{R}.esrd_lost_again"), subtle=True)
class ReturnsWithoutItsPort(EsrdRegistrar):
    """Registers again with routes without a port."""

    async def _serve_or_register(self) -> None:
        if self._keeper is not None:
            self._routes = [route._replace(Port=0) for route in self._routes]
        await super()._serve_or_register()


@RETURNING_CLIENTS.fault("SAT-RC-1", found_by=(f"{S}.lost[*]", f"{R}.saturn_lost_again"), subtle=True)
class ReturnsToGeneralCluster(SaturnRegistrar):
    """Registers again in the general cluster."""

    async def _reconnect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        self.view.cluster = ""
        return await super()._reconnect()


# --- answers ----------------------------------------------------------------------------------------------------------


@RETURNING_CLIENTS.fault("SAT-RS-7", found_by=(f"{R}.numbers_after_a_return",), subtle=True)
class NumbersBeginAnew(SaturnRegistrar):
    """Numbers its requests from 1 on each connection."""

    async def _drop(self) -> None:
        await super()._drop()
        self._last_id = 0


@RETURNING_CLIENTS.fault("SAT-RS-7", found_by=(f"{R}.first_answer_counts",), subtle=True)
class WaitsForRoutes(SaturnRegistrar):
    """Ignores an answer with an error and waits for another one."""

    def _dispatch(self, messages: Sequence[Message]) -> None:
        super()._dispatch([m for m in messages if not isinstance(m, saturn.ResolveResult) or m.Error is None])


@RETURNING_CLIENTS.function(
    esrd_client, "_exchange", "ESRD-CL-15", found_by=(f"{R}.reply_from_another_address",), subtle=True
)
async def takes_replies_of_anybody(host: str, port: int, request: bytes) -> bytes:
    """Takes a reply to a resolve request from any address."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM, family=socket.AF_INET)
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _ResolveProtocol(answer), local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    try:
        transport.sendto(request, (str(found[0][4][0]), port))
        return await answer
    finally:
        transport.close()


RETURNING_CLIENTS.add(
    "short_replies_only",
    "Refuses resolve replies of more than 1,024 bytes.",
    NameFault((esrd_client,), "esrd", with_constants(esrd, MAX_RESOLVE_REPLY=1024)),
    "ESRD-CL-16",
    found_by=(f"{R}.long_reply[*]",),
)
RETURNING_CLIENTS.add(
    "longest_reply_refused",
    "Refuses resolve replies of 4,096 bytes.",
    NameFault((esrd_client,), "esrd", with_constants(esrd, MAX_RESOLVE_REPLY=4095)),
    "ESRD-CL-16",
    found_by=(f"{R}.long_reply[4096_bytes]",),
    subtle=True,
)
