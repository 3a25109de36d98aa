"""Faults of a node that accepts: which names and ids are equal, and what refused or closed sockets leave behind."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..model.ergo.ehs import Accept, Introduce
from ..model.values import Atom
from ..reference_node.api import Connection, OpenSocket, Socket
from ..reference_node.api.errors import RefusedError
from ..reference_node.api.handshake import JoinedSocket, PeerInfo
from ..reference_node.connection.socket_protocol import SocketProtocol
from ..reference_node.connection.table import ConnectionTable, DuplicateError, MakeConnection
from ..reference_node.ergo.ehs import EhsSession
from .mutant import Area

EHS_NAMES = Area("ehs_names")
INTRODUCE, TIME, NAMES, JOIN = "handshake.introduce", "handshake.time", "handshake.names", "handshake.join"

# --- names ------------------------------------------------------------------------------------------------------------


class _Admission(ConnectionTable[Connection]):
    """Admits peers by another rule. `before` and `after_duplicate` are called around it."""

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        """Returns the facts of the peer that is admitted."""
        return peer

    def after_duplicate(self, peer: PeerInfo) -> None:
        """A second connection of this peer is refused."""

    def admit(
        self,
        socket: Socket,
        peer: PeerInfo,
        make: MakeConnection[Connection],
        wanted: Atom | None = None,
        make_opener: Callable[[Connection], OpenSocket] | None = None,
    ) -> Connection:
        peer = self.before(socket, peer)
        try:
            return super().admit(socket, peer, make, wanted, make_opener)
        except DuplicateError:
            self.after_duplicate(peer)
            raise


class _ComparedBy(_Admission):
    """Takes two names for one if they have the same `key`."""

    def key(self, name: Atom) -> str:
        raise NotImplementedError

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        for name, connection in self._open.items():
            if name != peer.node and self.key(name) == self.key(peer.node):
                raise DuplicateError(connection)
        return peer


@EHS_NAMES.fault("EHS-AST-6", "EHS-DUP-1", found_by=(f"{NAMES}.similar_names[upper_case]",), subtle=True)
class CaseIgnored(_ComparedBy):
    """Takes names that differ in upper and lower case for one name."""

    def key(self, name: Atom) -> str:
        return name.lower()


@EHS_NAMES.fault(
    "EHS-AST-6", "EHS-DUP-1",
    found_by=tuple(f"{NAMES}.similar_names[{how}]" for how in ("another_host", "without_host", "empty_host")), subtle=True,
)  # fmt: skip
class HostIgnored(_ComparedBy):
    """Compares names up to the @."""

    def key(self, name: Atom) -> str:
        return name.partition("@")[0]


@EHS_NAMES.fault("EHS-AST-6", "EHS-DUP-1", found_by=(f"{NAMES}.similar_names[space]",), subtle=True)
class SpaceIgnored(_ComparedBy):
    """Compares names without the space around them."""

    def key(self, name: Atom) -> str:
        return name.strip()


@EHS_NAMES.fault(
    "EHS-AST-6", "EHS-DUP-1",
    found_by=tuple(f"{NAMES}.similar_names[{how}]" for how in ("one_letter_less", "one_letter_more", "space")), subtle=True,
)  # fmt: skip
class BeginningOfNamesCompared(_ComparedBy):
    """Compares the first 20 characters of names."""

    def key(self, name: Atom) -> str:
        return name[:20]


@EHS_NAMES.fault("EHS-AST-6", "EHS-DUP-1", found_by=(f"{NAMES}.similar_names[a_letter_in_front]",), subtle=True)
class EndOfNamesCompared(_ComparedBy):
    """Compares the last 20 characters of names."""

    def key(self, name: Atom) -> str:
        return name[-20:]


@EHS_NAMES.fault("EHS-AST-3", found_by=(f"{NAMES}.names_similar_to_the_acceptors",), subtle=True)
class CaseOfItsOwnNameIgnored(EhsSession):
    """Refuses names that differ from its own in upper and lower case only."""

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        same = introduce.Node.lower() == self.local.name.lower()
        return super().peer_info(introduce._replace(Node=self.local.name) if same else introduce, pool)


@EHS_NAMES.fault("EHS-AST-3", found_by=(f"{NAMES}.own_name_each_time",), subtle=True)
class OwnNameRefusedOnce(EhsSession):
    """Refuses its own name the first time only."""

    refused = False

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        if introduce.Node == self.local.name and self.refused:
            introduce = introduce._replace(Node=Atom("somebody@else"))
        type(self).refused |= introduce.Node == self.local.name
        return super().peer_info(introduce, pool)


@EHS_NAMES.fault("EHS-AST-6", found_by=(f"{INTRODUCE}.creation_zero", f"{NAMES}.creations_at_the_ends"))
class CreationZeroAccepted(_Admission):
    """Accepts a dialer with creation 0."""

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        return replace(peer, creation=peer.creation or 1)


@EHS_NAMES.fault("EHS-AST-6", found_by=(f"{INTRODUCE}.empty_name",))
class EmptyNameAccepted(_Admission):
    """Accepts a dialer without a name."""

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        return replace(peer, node=peer.node or Atom("nobody"))


@EHS_NAMES.fault("EHS-DUP-1", "EHS-AST-6", found_by=(f"{NAMES}.another_creation_is_no_other_name",), subtle=True)
class AnotherCreationReplacesAConnection(_Admission):
    """Drops a connection when a dialer of the same name and another creation comes."""

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        known = self._open.get(peer.node)
        if known is not None and known.peer.creation != peer.creation:
            self.drop(known)
        return peer


# --- what is left behind ------------------------------------------------------------------------------------------------


@EHS_NAMES.fault("EHS-DUP-1", "EHS-AST-6", found_by=(f"{NAMES}.refused_duplicates_keep_the_name_taken",), subtle=True)
class RefusedDuplicateFreesTheName(_Admission):
    """Forgets the name of a connection when a duplicate is refused."""

    def after_duplicate(self, peer: PeerInfo) -> None:
        del self._open[peer.node]


@EHS_NAMES.fault("EHS-DUP-1", "EHS-JOIN-4", found_by=(f"{JOIN}.pool_survives_a_duplicate",), subtle=True)
class RefusedDuplicateTakesTheId(_Admission):
    """Forgets the id of a connection when a duplicate is refused."""

    def after_duplicate(self, peer: PeerInfo) -> None:
        vars(self).setdefault("forgotten", set()).add(self._open[peer.node].peer.connection_id)

    def find_joined(self, joined: JoinedSocket) -> Connection:
        if joined.connection_id in vars(self).setdefault("forgotten", set()):
            raise RefusedError("unknown id")
        return super().find_joined(joined)


@EHS_NAMES.fault("ROB-EHS-10", "EHS-DUP-1", found_by=(f"{INTRODUCE}.name_is_free_again",), subtle=True)
class NamesAreNeverFree(_Admission):
    """Refuses a name that was connected before."""

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        known: set[Atom] = vars(self).setdefault("known", set())
        if peer.node in known:
            raise RefusedError("known")
        known.add(peer.node)
        return peer


class _Introductions(_Admission):
    """Sees the introductions of dialers."""

    def introduced(self, peer: PeerInfo) -> None:
        raise NotImplementedError

    def introduce(self, socket: Socket, peer: PeerInfo, make: MakeConnection[Connection]) -> None:
        self.introduced(peer)
        super().introduce(socket, peer, make)


@EHS_NAMES.fault(
    "ROB-EHS-10", "ROB-EHS-3",
    found_by=(f"{NAMES}.refused_dialer_may_come_again[aborted]", f"{TIME}.disconnect[await_accept]"), subtle=True,
)  # fmt: skip
class AbortedHandshakeKeepsTheName(_Introductions):
    """Keeps the name of a dialer that disconnected before its final Accept."""

    def introduced(self, peer: PeerInfo) -> None:
        waiting: set[Atom] = vars(self).setdefault("waiting", set())
        if peer.node in waiting:
            raise RefusedError("a handshake of this name is not complete")
        waiting.add(peer.node)

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        vars(self).setdefault("waiting", set()).discard(peer.node)
        return peer


@EHS_NAMES.fault("ROB-EHS-3", found_by=(f"{NAMES}.refused_dialer_may_come_again[creation_zero]",), subtle=True)
class RefusedNamesStayRefused(_Admission):
    """Refuses a name for ever whose creation was 0 once."""

    def before(self, socket: Socket, peer: PeerInfo) -> PeerInfo:
        refused: set[Atom] = vars(self).setdefault("refused", set())
        if not peer.creation:
            refused.add(peer.node)
        if peer.node in refused:
            raise RefusedError("refused before")
        return peer


@EHS_NAMES.fault("ROB-EHS-3", found_by=(f"{NAMES}.refused_dialer_may_come_again[wrong_digest]",), subtle=True)
class NamesWithAWrongDigestStayRefused(EhsSession):
    """Refuses a name for ever after an Introduce with a wrong digest."""

    refused: set[Atom] = set()  # noqa: RUF012  that is the fault

    def accept_and_introduce(self, message: Introduce) -> Any:
        self.refused |= {message.Node} if len(message.Digest) < 64 else set()
        if message.Node in self.refused:
            message = message._replace(Digest="")
        return super().accept_and_introduce(message)


# --- further sockets ----------------------------------------------------------------------------------------------------


class _OtherJoin(_Admission):
    """Finds the connection of a Join by another rule."""

    def found(self, joined: JoinedSocket) -> Connection | None:
        raise NotImplementedError

    def find_joined(self, joined: JoinedSocket) -> Connection:
        return self.found(joined) or super().find_joined(joined)


@EHS_NAMES.fault(
    "EHS-JOIN-4",
    found_by=(f"{JOIN}.join_with_another_id[*]", f"{JOIN}.join_with_the_id_of_an_earlier_connection"), subtle=True,
)  # fmt: skip
class AnyIdOfAConnectedNode(_OtherJoin):
    """Accepts a Join of a connected node with any id."""

    def found(self, joined: JoinedSocket) -> Connection | None:
        return self._open.get(joined.node)


@EHS_NAMES.fault(
    "EHS-JOIN-4",
    found_by=(f"{JOIN}.join_under_another_name", f"{JOIN}.join_with_another_id[of_another_node]"), subtle=True,
)  # fmt: skip
class AnyNodeWithAnId(_OtherJoin):
    """Accepts a Join of any node that has an id of another one."""

    def found(self, joined: JoinedSocket) -> Connection | None:
        return self._accepted.get(joined.connection_id)


@EHS_NAMES.fault("EHS-JOIN-4", found_by=(f"{JOIN}.join_with_another_id[upper_case]",), subtle=True)
class CaseOfIdsIgnored(_OtherJoin):
    """Compares ids without regard to upper and lower case."""

    def found(self, joined: JoinedSocket) -> Connection | None:
        connection = self._accepted.get(joined.connection_id.lower())
        return connection if connection is not None and connection.name == joined.node else None


@EHS_NAMES.fault(
    "EHS-JOIN-4",
    found_by=tuple(f"{JOIN}.join_with_another_id[{which}]" for which in ("cut", "longer", "first_half")), subtle=True,
)  # fmt: skip
class BeginningOfIdsCompared(_OtherJoin):
    """Compares the first 16 characters of ids."""

    def found(self, joined: JoinedSocket) -> Connection | None:
        found = (c for id_, c in self._accepted.items() if id_[:16] == joined.connection_id[:16])
        return next((connection for connection in found if connection.name == joined.node), None)


@EHS_NAMES.fault("EHS-JOIN-4", found_by=(f"{JOIN}.join_with_another_id[empty]",), subtle=True)
class EmptyIdAccepted(_OtherJoin):
    """Accepts a Join of a connected node without an id."""

    def found(self, joined: JoinedSocket) -> Connection | None:
        return None if joined.connection_id else self._open.get(joined.node)


@EHS_NAMES.fault(
    "EHS-JOIN-4",
    found_by=(f"{JOIN}.join_after_the_end", f"{JOIN}.join_with_the_id_of_an_earlier_connection"), subtle=True,
)  # fmt: skip
class OldIdsStayValid(_OtherJoin):
    """Accepts a Join with the id of a connection that has ended."""

    def _forget(self, connection: Connection) -> bool:
        vars(self).setdefault("old", {})[connection.peer.connection_id] = connection
        return super()._forget(connection)

    def found(self, joined: JoinedSocket) -> Connection | None:
        found: Connection | None = vars(self).setdefault("old", {}).get(joined.connection_id)
        return found


@EHS_NAMES.fault("EHS-DUP-1", "EHS-JOIN-4", found_by=(f"{NAMES}.id_of_a_refused_duplicate",), subtle=True)
class IdsOfRefusedDuplicatesAreValid(_OtherJoin):
    """Accepts a Join with the id that a refused duplicate was given."""

    def after_duplicate(self, peer: PeerInfo) -> None:
        vars(self).setdefault("refused", {})[peer.connection_id] = self._open[peer.node]

    def found(self, joined: JoinedSocket) -> Connection | None:
        found: Connection | None = vars(self).setdefault("refused", {}).get(joined.connection_id)
        return found


@EHS_NAMES.fault("EHS-JOIN-2", "EHS-JOIN-9", found_by=(f"{JOIN}.closed_links_make_room",), subtle=True)
class ClosedSocketsAreCounted(ConnectionTable[Connection]):
    """Counts the closed sockets of a connection as well against its pool."""

    def join(self, socket: Socket, joined: JoinedSocket) -> Connection:
        connection = super().join(socket, joined)
        count: Counter[str] = vars(self).setdefault("count", Counter())
        count[joined.connection_id] += 1
        if count[joined.connection_id] > connection.peer.pool_size + 1:
            raise RefusedError("the pool is full")
        return connection


@EHS_NAMES.fault("EHS-JOIN-3", "EHS-JOIN-4", "ROB-EHS-3", found_by=(f"{JOIN}.refused_joins_take_no_room",), subtle=True)
class RefusedJoinsAreCounted(ConnectionTable[Connection]):
    """Counts refused Joins against the pool of the connection that they name."""

    def find_joined(self, joined: JoinedSocket) -> Connection:
        count: Counter[str] = vars(self).setdefault("count", Counter())
        try:
            found = super().find_joined(joined)
        except RefusedError:
            count[joined.connection_id] += 1
            raise
        if count[joined.connection_id] > found.peer.pool_size:
            raise RefusedError("the pool is full")
        return found


@EHS_NAMES.fault("EHS-JOIN-2", "EHS-AST-4", found_by=(f"{JOIN}.pool_of_five",), subtle=True)
class PoolIsOneSocketSmaller(ConnectionTable[Connection]):
    """Accepts one socket less than its pool has."""

    def find_joined(self, joined: JoinedSocket) -> Connection:
        found = super().find_joined(joined)
        if len(found.sockets) >= found.peer.pool_size - 1:
            raise RefusedError("the pool is full")
        return found


@EHS_NAMES.fault(
    "EHS-JOIN-4",
    found_by=(f"{JOIN}.join_to_an_unknown_id", f"{JOIN}.join_after_the_end", f"{JOIN}.join_under_another_name"),
)
class SocketOfAnUnknownConnectionStaysOpen(SocketProtocol):
    """Keeps the socket of a Join open that names an unknown connection."""

    def refuse(self, error: Any) -> None:
        if self._handshake is not None and "does not exist" in str(error):
            self._end_handshake()
            return
        super().refuse(error)
