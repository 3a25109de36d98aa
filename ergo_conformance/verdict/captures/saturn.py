"""Checks messages of the central registrar Saturn, and the proofs of its handshakes."""

from collections.abc import Sequence

from ...errors import Rejected
from ...model.ergo import saturn
from ...model.ergo.saturn import Message
from ...reference_node.ergo import saturn as node
from ...spec.ergo import saturn as spec
from ..vectors.packets import SATURN
from .load import Capture
from .packets import PacketChecker
from .result import CaptureResult

CLIENT, SERVER = "client>server", "server>client"
"""The directions of captures of Saturn."""


class SaturnChecker(PacketChecker):
    """Checks the messages and proofs of all sockets."""

    def __init__(self, capture: Capture, result: CaptureResult, only: str | None = None) -> None:  # noqa: ARG002
        super().__init__(capture, result, SATURN)

    def check(self) -> None:
        """Checks all sockets that carry Saturn."""
        for socket in self.capture.sockets():
            if self.capture.speaks("saturn", socket):
                client, server = (list(self.stream(socket, direction)) for direction in (CLIENT, SERVER))
                self._proofs(socket, client, server)

    def _proofs(self, socket: str, client: list[Message], server: list[Message]) -> None:
        """Checks both proofs of the token: in the client's first message and in the server's first answer.

        Configuration updates may precede the answer.
        """
        handshake = self._handshake(socket, client)
        if self._is_checked(socket, CLIENT):
            self._first(socket, CLIENT, client[:1], saturn.Handshake)
            if handshake is not None:
                self._proof(socket, CLIENT, handshake.Salt, handshake.Digest)
        if self._is_checked(socket, SERVER):
            answers = [message for message in server if not isinstance(message, saturn.ConfigUpdate)][:1]
            self._first(socket, SERVER, answers, saturn.HandshakeResult)
            if handshake is not None and answers and isinstance(answers[0], saturn.HandshakeResult):
                self._proof(socket, SERVER, handshake.Digest, answers[0].Digest)

    def _is_checked(self, socket: str, direction: str) -> bool:
        """Returns whether a real side's stream was recorded from its beginning."""
        return not self.capture.is_scripted(socket, direction) and not self.capture.is_cut(socket, direction, "start")

    def _handshake(self, socket: str, messages: list[Message]) -> saturn.Handshake | None:
        if messages:
            return messages[0] if isinstance(messages[0], saturn.Handshake) else None
        return _read_ignoring_length(self.capture.recorded(socket, CLIENT))

    def _first(self, socket: str, direction: str, messages: Sequence[Message], expected: type) -> None:
        if messages and not isinstance(messages[0], expected):
            text = f"begins with {type(messages[0]).__name__} instead of {expected.__name__}"
            self.result.add(f"socket {socket} {direction}", text)

    def _proof(self, socket: str, direction: str, first: str, recorded: str) -> None:
        side = direction.partition(">")[0]
        token = str((self.capture.meta.get("secrets") or {}).get(side, {}).get("token", ""))
        self.result.counts.proofs += 1
        for name, computed in (("schema", spec.proof(first, token)), ("node", node.proof(first, token))):
            if computed != recorded:
                self.result.add(
                    f"socket {socket} {direction}", f"{recorded} on the wire, the {name} computes {computed}"
                )


def _read_ignoring_length(data: bytes) -> saturn.Handshake | None:
    """Returns the handshake behind a header with a wrong length, None if there is none: upstream's server reads it."""
    length = (len(data) - saturn.HEADER_LENGTH).to_bytes(2, "big") if len(data) > saturn.HEADER_LENGTH else b""
    parsed = spec.read_packet(data[:2] + length + data[4:])
    return parsed.value if not isinstance(parsed, Rejected) and isinstance(parsed.value, saturn.Handshake) else None
