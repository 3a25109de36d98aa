"""Faults in compressed frames and in the ids of a peer: streams without an end, nesting, ids that outlive their connection."""

import zlib
from dataclasses import replace

from ..errors import Reason, Rejected
from ..model.ergo import enp
from ..model.ergo.enp import Algorithm
from ..model.values import Atom
from ..reference_node.api import Core
from ..reference_node.api.handshake import PeerInfo
from ..reference_node.ergo.enp import compression, lzw
from ..reference_node.ergo.enp import connection as connection_module
from ..reference_node.ergo.enp.compression import uncompress
from ..reference_node.ergo.enp.connection import EnpConnection
from .crash import crash
from .mutant import Area

UNPACKING = Area("unpacking")
STREAMS, COMPRESSION, CONTROL, SECOND = "proto.streams", "proto.compression", "proto.control", "proto.second_use"

# --- compressed frames ------------------------------------------------------------------------------------------------


@UNPACKING.function(
    connection_module,
    "uncompress",
    "ENP-Z-4",
    found_by=(f"{STREAMS}.incomplete[*]", f"{STREAMS}.wrong_length_of_gzip"),
    subtle=True,
)
def end_of_a_stream_unchecked(frame: enp.Compressed, limit: int) -> bytes:
    """Takes the data of a zlib or gzip stream without its checksum and its end."""
    if frame.algorithm not in (Algorithm.ZLIB, Algorithm.GZIP):
        return uncompress(frame, limit)
    head = 2 if frame.algorithm == Algorithm.ZLIB else 10
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame.stream[head:], frame.length + 1)
    return data if len(data) == frame.length else uncompress(frame, limit)


@UNPACKING.function(
    connection_module, "uncompress", "ENP-Z-4", found_by=(f"{STREAMS}.incomplete_lzw[1_bytes]",), subtle=True
)
def end_of_an_lzw_stream_unchecked(frame: enp.Compressed, limit: int) -> bytes:
    """Takes the data of an LZW stream without its end code."""
    if frame.algorithm != Algorithm.LZW:
        return uncompress(frame, limit)
    return lzw.unpack(frame.stream, frame.length - 1)[: frame.length]


@UNPACKING.function(connection_module, "uncompress", "ROB-ENP-6", found_by=(f"{STREAMS}.nesting_is_bounded",))
def nested_without_a_bound(frame: enp.Compressed, limit: int) -> bytes:
    """Unpacks frames that are compressed any number of times."""
    data = compression._unpacked(frame)
    if len(data) != frame.length:
        raise Rejected(Reason.COMPRESSION, "COMPRESSED.length", 9)
    return data


@UNPACKING.function(
    connection_module,
    "uncompress",
    "ROB-ENP-6",
    "ROB-ENP-1",
    found_by=(f"{COMPRESSION}.announced_4_gib[*]", f"{COMPRESSION}.no_room_for_a_header[*]"),
)
def announced_length_reserved(frame: enp.Compressed, limit: int) -> bytes:
    """Reserves the announced length of a compressed frame before it checks it: ends on 4 GiB, and on less than a header."""
    if not enp.HEADER_LENGTH <= frame.length <= enp.MAX_UNLIMITED:
        crash()
    return uncompress(frame, limit)


# --- ids --------------------------------------------------------------------------------------------------------------


@UNPACKING.fault("EHS-CACHE-1", found_by=("proto.codec.each_peer_has_its_own_ids",), subtle=True)
class IdsOfTheFirstPeer(EnpConnection):
    """Reads the ids of every peer with the table of the first peer that announced them."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        known: dict[int, Atom] = vars(core).setdefault("first_ids", {})
        atoms = {**peer.caches.atoms, **known}
        known.update(atoms)
        super().__init__(replace(peer, caches=replace(peer.caches, atoms=atoms)), core)


@UNPACKING.fault("ENP-NAME-2", "EHS-CACHE-7", found_by=(f"{SECOND}.ids_end_with_their_connection",), subtle=True)
class IdsKeptAfterDisconnect(EnpConnection):
    """Keeps the ids that a node announced when it connects again."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        known: dict[Atom, dict[int, Atom]] = vars(core).setdefault("kept_ids", {})
        atoms = known[peer.node] = {**known.get(peer.node, {}), **peer.caches.atoms}
        super().__init__(replace(peer, caches=replace(peer.caches, atoms=dict(atoms))), core)


@UNPACKING.fault("ENP-CACHE-1", found_by=(f"{SECOND}.ids_of_one_peer_alone",), subtle=True)
class UpdateForAllPeers(EnpConnection):
    """Applies an UpdateCache to all connections."""

    def update_caches(self, update: enp.UpdateCache) -> None:
        for connection in self.core.peers.connections.values():  # type: ignore[attr-defined]  # of NodeCore
            EnpConnection.update_caches(connection, update)


@UNPACKING.fault("ENP-CACHE-1", found_by=(f"{CONTROL}.known_ids_stay", f"{SECOND}.second_update"))
class UpdateRedefinesIds(EnpConnection):
    """Lets an UpdateCache redefine the ids of atoms."""

    def update_caches(self, update: enp.UpdateCache) -> None:
        super().update_caches(update)
        self._decoder.names.update(update.AtomCache or {})


@UNPACKING.fault(
    "ENP-CACHE-1",
    found_by=(
        f"{CONTROL}.further_atoms",
        f"{CONTROL}.further_types_and_errors",
        f"{SECOND}.id_before_its_announcement",
    ),
)
class UpdateIgnored(EnpConnection):
    """Answers an UpdateCache and ignores its ids."""

    def update_caches(self, update: enp.UpdateCache) -> None:
        """Adds nothing."""


@UNPACKING.fault("ENP-CACHE-1", "ROB-ENP-1", found_by=(f"{CONTROL}.first_ids[*]", f"{CONTROL}.nothing_further"))
class UpdateOfMissingTableCloses(EnpConnection):
    """Closes the connection on an UpdateCache unless it adds to each table, as upstream does for a nil table (ENP-CACHE-1)."""

    def update_caches(self, update: enp.UpdateCache) -> None:
        if not (update.AtomCache and update.RegCache and update.ErrCache):
            for socket in list(self.sockets):
                socket.close()


@UNPACKING.function(
    connection_module,
    "uncompress",
    "ENP-T-200",
    "ROB-ENP-8",
    found_by=(f"{COMPRESSION}.what_is_never_compressed",),
)
def dies_of_other_types(frame: enp.Compressed, limit: int) -> bytes:
    """Ends on a compressed frame of a type that is never compressed."""
    data = uncompress(frame, limit)
    if data[enp.HEADER_LENGTH - 1] not in enp.COMPRESSIBLE:
        crash()
    return data
