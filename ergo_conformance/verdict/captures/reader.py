"""Reads both sides of each socket of a capture: handshake messages and frames."""

from ...model.ergo.ehs import Role
from ...spec.ergo.stream import ConnectionReader
from .load import UDP, Capture
from .registries import caches_for, registry_for
from .sides import Side


class CaptureReader:
    """Reads the sockets of a capture that begin with a handshake, with the schemas."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._readers: dict[str, ConnectionReader] = {}
        """Readers by the direction of the dialer: each reader knows the connections of one dialer."""

    def sockets(self) -> list[str]:
        """Returns the sockets that carry EHS, in the order in which they were opened."""
        return [socket for socket in self.capture.sockets() if self.capture.speaks("ehs", socket)]

    def read(self, socket: str) -> dict[Role, Side]:
        """Reads both sides of a socket; the first socket of a connection has to be read before those that join it."""
        capture = self.capture
        dialer = capture.dialer(socket)
        others = [side for side in capture.meta["sides"] if side != dialer and not side.endswith(UDP)]
        directions = {Role.DIALER: dialer, Role.ACCEPTOR: others[0] if others else ""}
        data = {role: capture.stream(socket, direction) for role, direction in directions.items()}
        read = self._readers.setdefault(dialer, ConnectionReader()).read(
            data[Role.DIALER], data[Role.ACCEPTOR],
            {role: registry_for(capture, direction) for role, direction in directions.items()},
            {role: caches_for(capture, socket, direction) for role, direction in directions.items()},
        )  # fmt: skip
        return {
            role: Side(
                f"socket {socket} {direction}", direction, capture.writer(direction),
                is_real=not capture.is_scripted(socket, direction),
                begins_later=capture.is_cut(socket, direction, "start"),
                data=data[role], read=read[role],
            )
            for role, direction in directions.items()
        }  # fmt: skip
