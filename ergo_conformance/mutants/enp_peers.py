"""Faults in the pool, in what a node keeps for its peers, in limits and names, and before the handshake is complete."""

from dataclasses import replace
from typing import Any

from ..model.ergo import enp, error_values
from ..model.ergo.ehs import Digest, Introduce
from ..model.values import PID, Atom
from ..reference_node.api import Connection, Core, FlowLimits, Socket
from ..reference_node.api.errors import RefusedError
from ..reference_node.api.handshake import JoinedSocket, PeerInfo
from ..reference_node.api.messages import Call
from ..reference_node.connection.outbox import Outbox
from ..reference_node.connection.socket_protocol import SocketProtocol
from ..reference_node.connection.table import ConnectionTable
from ..reference_node.core.core import NodeCore
from ..reference_node.core.outgoing import Outgoing
from ..reference_node.core.process_table import ProcessTable
from ..reference_node.ergo.edf import Encoder
from ..reference_node.ergo.ehs import EhsSession
from ..reference_node.ergo.enp.connection import EnpConnection
from .crash import crash
from .mutant import Area

PEERS = Area("peers")
POOL, SECOND, ROBUSTNESS = "proto.pool", "proto.second_use", "proto.robustness"

# --- the pool ---------------------------------------------------------------------------------------------------------


@PEERS.fault("ENP-ORD-1", found_by=(f"{POOL}.which_link",), subtle=True)
class JoinedSocketInFront(EnpConnection):
    """Gives the second and each further socket the index 1."""

    def join(self, socket: Socket, connection_id: str, open_socket: Any, tail: bytes) -> None:
        super().join(socket, connection_id, open_socket, tail)
        self.sockets.insert(1, self.sockets.pop())


@PEERS.fault("EHS-JOIN-9", found_by=(f"{POOL}.link_comes_back",), subtle=True)
class SlotNeverFreed(ConnectionTable[Any]):
    """Counts closed sockets when it checks whether the pool of a peer is full."""

    def find_joined(self, joined: JoinedSocket) -> Any:
        connection = super().find_joined(joined)
        joined_so_far = vars(connection).setdefault("joined_so_far", 1)
        if joined_so_far >= connection.peer.pool_size:
            raise RefusedError("the pool is full")
        vars(connection)["joined_so_far"] = joined_so_far + 1
        return connection


@PEERS.fault(
    "ENP-DOWN-1",
    "ENP-TERM-4",
    found_by=(
        f"{POOL}.all_links_go",
        f"{SECOND}.node_name[*]",
        "node.links.relations_end_with_the_connection",
        "node.sending.nodes",
    ),
)
class NameTakenForEver(ConnectionTable[Any]):
    """Keeps a connection in its table when its last socket has closed."""

    def lose(self, socket: Socket) -> None:
        connection = self._by_socket.pop(socket, None)
        if connection is not None:
            connection.leave(socket)


# --- what is kept for whom --------------------------------------------------------------------------------------------


@PEERS.fault(
    "ROB-ENP-3",
    "ROB-ENP-1",
    found_by=(f"{ROBUSTNESS}.fifty_peers", f"{ROBUSTNESS}.thirty_unfinished_frames"),
    subtle=True,
)
class TwentyPeersAtMost(ConnectionTable[Any]):
    """Serves at most twenty peers at once."""

    def admit(self, socket: Socket, peer: PeerInfo, *arguments: Any, **named: Any) -> Any:
        if len(self.connections) >= 20:
            raise RefusedError("too many peers")
        return super().admit(socket, peer, *arguments, **named)


@PEERS.fault("ROB-ENP-3", "ENP-DOWN-1", found_by=(f"{ROBUSTNESS}.churn[*]",), subtle=True)
class FortyPeersInAll(ConnectionTable[Any]):
    """Never frees what it keeps for a peer, and refuses the fortieth one."""

    admitted = 0

    def admit(self, socket: Socket, peer: PeerInfo, *arguments: Any, **named: Any) -> Any:
        self.admitted += 1
        if self.admitted >= 40:
            raise RefusedError("no room is left")
        return super().admit(socket, peer, *arguments, **named)


@PEERS.fault("ROB-ENP-3", "ROB-ENP-1", found_by=(f"{ROBUSTNESS}.gone_before_the_answer",), subtle=True)
class DiesOfALostCaller(Outgoing):
    """Ends when a caller's node is gone before the answer is sent."""

    def _connection_of(self, call: Call) -> Connection | None:
        connection = super()._connection_of(call)
        if connection is None:
            crash()
        return connection


@PEERS.fault("ROB-ENP-5", found_by=("proto.slow_peers.unread_answers",))
class QueuesWithoutLimit(Outbox):
    """Keeps everything that a peer does not read."""

    def __init__(self, limits: Any, fail: Any) -> None:
        super().__init__(FlowLimits(1 << 40, 86_400.0), fail)


@PEERS.fault(
    "ROB-ENP-5", "ROB-ENP-3", found_by=(f"{ROBUSTNESS}.peer_that_does_not_read", "proto.slow_peers.unread_answers")
)
class DiesOfAPeerThatDoesNotRead(Outbox):
    """Ends when a megabyte is queued for a peer."""

    def pause(self) -> None:
        super().pause()
        crash()


# --- limits and values ------------------------------------------------------------------------------------------------


@PEERS.fault("ENP-SIZE-1", "ENP-T-129", found_by=("proto.sizes.exactly_our_limit",), subtle=True)
class FrameOfTheLimitRefused(EnpConnection):
    """Sends no frame that is exactly as long as the peer's limit."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(replace(peer, max_message_size=max(peer.max_message_size - 1, 0)), core)


@PEERS.fault("ENP-SIZE-1", found_by=("proto.sizes.limits_of_two_peers",), subtle=True)
class LimitOfTheFirstPeer(EnpConnection):
    """Applies the limit of the first peer that has one to all peers."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        limit = vars(core).setdefault("limit", peer.max_message_size) or peer.max_message_size
        super().__init__(replace(peer, max_message_size=limit), core)


@PEERS.fault(
    "ENP-T-129",
    "ENP-T-121",
    found_by=(
        "proto.codec.built_in[*]",
        "proto.codec.registered[*]",
        "proto.codec.registered_inside[*]",
        "proto.codec.registered_nil",
        "proto.codec.errors",
        "proto.codec.nested",
        "proto.codec.unusual[*]",
        "proto.codec.long_marshaler[*]",
    ),
)
class LastByteOfAValueChanged(Encoder):
    """Writes the last byte of every value, except for short texts, inverted."""

    def encode(self, value: Any) -> bytes:
        data = super().encode(value)
        if type(value) is str and value.startswith("alive"):
            return data
        return data[:-1] + bytes([data[-1] ^ 0xFF])


@PEERS.fault(
    "ENP-DLV-1",
    "ENP-IMP-5",
    found_by=("proto.names.important_to_similar_names", "proto.names.similar_process_names"),
    subtle=True,
)
class ProcessNamesInAnyCase(ProcessTable):
    """Finds a process by a name in upper case, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = _LowerCase()


class _LowerCase(dict[Atom, Any]):
    """Names without regard to upper and lower case."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(Atom(key.lower()), default)


@PEERS.fault("ENP-REQ-1", "ENP-T-129", found_by=("proto.names.similar_node_names",), subtle=True)
class NodeNamesWithoutHost(ConnectionTable[Any]):
    """Takes nodes whose names are equal up to the @ for one node."""

    def admit(self, socket: Socket, peer: PeerInfo, *arguments: Any, **named: Any) -> Any:
        if any(name.partition("@")[0] == peer.node.partition("@")[0] for name in self.connections):
            raise RefusedError("connected already")
        return super().admit(socket, peer, *arguments, **named)


# --- before the handshake is complete ---------------------------------------------------------------------------------


@PEERS.fault("ROB-ENP-4", found_by=(f"{ROBUSTNESS}.behind_a_bad_join",))
class DigestsUnchecked(EhsSession):
    """Checks no digest but the first, and so serves frames behind a wrong Join."""

    def check(self, kind: Digest, given: str) -> None:
        if kind is Digest.HELLO_DIALER:
            super().check(kind, given)


@PEERS.fault("ROB-ENP-4", found_by=(f"{ROBUSTNESS}.before_the_digest[*]", f"{ROBUSTNESS}.behind_a_bad_introduce"))
class FramesBeforeTheHandshake(SocketProtocol):
    """Handles frames of a socket whose handshake is not complete as if they came from another peer."""

    def data_received(self, data: bytes) -> None:
        start = bytes([enp.MAGIC, enp.VERSION])
        if self._handshake is not None and start in data:
            for connection in list(self._table.connections.values()):
                connection.receive(self, data[data.index(start) :])
        super().data_received(data)


@PEERS.fault("ENP-HDR-1", found_by=("proto.delivery.behind_the_handshake",), subtle=True)
class FramesBehindTheHandshakeLost(SocketProtocol):
    """Loses the frames that arrive in the segment of the last handshake message."""

    def _finish(self, connection: Any, tail: bytes) -> None:
        super()._finish(connection, b"")


@PEERS.fault("ROB-ENP-1", "ROB-ENP-3", found_by=(f"{ROBUSTNESS}.half_closed",), subtle=True)
class HalfClosedSocketKept(SocketProtocol):
    """Keeps a socket that the peer has half-closed, and sends nothing on it."""

    def eof_received(self) -> bool:
        self.write = lambda data: None
        return True


@PEERS.fault("ENP-DOWN-1", found_by=("node.stop.links_are_closed",))
class GoodbyeFrame(NodeCore):
    """Sends an exit signal to the core process of each peer before it stops."""

    async def stop(self) -> None:
        for connection in self.peers.connections.values():
            connection.send_exit(self.pid, PID(connection.name, 1, connection.peer.creation), error_values.SHUTDOWN)
        await super().stop()


@PEERS.fault("ENP-HDR-5", found_by=("proto.sizes.announced",))
class LimitNotAnnounced(EhsSession):
    """Does not announce its message size limit."""

    def introduction(self, digest: str) -> Introduce:
        return super().introduction(digest)._replace(MaxMessageSize=0)
