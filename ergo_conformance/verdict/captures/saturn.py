"""Messages of the central registrar: read and written again by both readers and writers, the proofs computed again."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ...errors import CannotEncode, Reason, Rejected
from ...model.compare import same
from ...model.ergo import saturn
from ...model.ergo.saturn import Message
from ...reference_node.ergo import saturn as node
from ...spec.ergo import saturn as spec
from ..vectors.edf import Difference, byte_difference
from .load import Capture

CLIENT, SERVER = "client>server", "server>client"


class SaturnChecker:
    """Counts the messages and proofs of a file, and collects what differs."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.packets = self.digests = self.bytes = self.refused = 0
        self.differences: list[Difference] = []

    def check(self) -> None:
        """All connections."""
        for link in self.capture.links():
            if self.capture.speaks("saturn", link):
                said = {direction: list(self._stream(link, direction)) for direction in (CLIENT, SERVER)}
                self._proofs(link, said)

    def _stream(self, link: str, direction: str) -> Iterator[Message]:
        """The messages of one direction, up to the first that is refused."""
        where, data, offset = f"link {link} {direction}", self.capture.stream(link, direction), 0
        real = not self.capture.is_scripted(link, direction)
        if real:
            self.differences += self.capture.defects(link, direction)
        while offset < len(data):
            parsed = spec.read_packet(data, offset=offset, prefix=True)
            if isinstance(parsed, Rejected):
                self._refused(link, direction, data[offset:], parsed)
                return
            self.packets += real
            self.bytes += parsed.end - offset
            texts = faults(parsed.value, data[offset : parsed.end]) if real else ()
            self.differences += (Difference(f"{where} offset {offset}", text) for text in texts)
            offset = parsed.end
            yield parsed.value

    def _refused(self, link: str, direction: str, rest: bytes, refusal: Rejected) -> None:
        if self.capture.is_scripted(link, direction):
            self.refused += 1
            with suppress(Rejected):
                node.read(rest)
            return
        size = spec.packet_size(rest)
        is_open = refusal.reason is Reason.END_OF_DATA and (size is None or size > len(rest))
        if not (is_open and self.capture.is_cut(link, direction, "end")):
            text = f"refused: {refusal}; {rest[:32].hex()}"
            self.differences.append(Difference(f"link {link} {direction}", text))

    # --- proofs -------------------------------------------------------------------------------------------------------

    def _proofs(self, link: str, said: dict[str, list[Message]]) -> None:
        """The client's first message proves its token, the server's first answer does: news may come before it."""
        hello = self._hello(link, said[CLIENT])
        if not self.capture.is_scripted(link, CLIENT) and not self.capture.is_cut(link, CLIENT, "start"):
            self._first(link, CLIENT, said[CLIENT][:1], saturn.Handshake)
            if hello is not None:
                self._proof(link, CLIENT, "client", hello.Salt, hello.Digest)
        if not self.capture.is_scripted(link, SERVER) and not self.capture.is_cut(link, SERVER, "start"):
            answers = [message for message in said[SERVER] if not isinstance(message, saturn.ConfigUpdate)][:1]
            self._first(link, SERVER, answers, saturn.HandshakeResult)
            if hello is not None and answers and isinstance(answers[0], saturn.HandshakeResult):
                self._proof(link, SERVER, "server", hello.Digest, answers[0].Digest)

    def _hello(self, link: str, messages: list[Message]) -> saturn.Handshake | None:
        if messages:
            return messages[0] if isinstance(messages[0], saturn.Handshake) else None
        return _whatever_its_length(self.capture.recorded(link, CLIENT))

    def _first(self, link: str, direction: str, messages: Sequence[Message], wanted: type) -> None:
        if messages and not isinstance(messages[0], wanted):
            text = f"begins with {type(messages[0]).__name__} instead of {wanted.__name__}"
            self.differences.append(Difference(f"link {link} {direction}", text))

    def _proof(self, link: str, direction: str, side: str, first: str, given: str) -> None:
        token = str((self.capture.meta.get("secrets") or {}).get(side, {}).get("token", ""))
        self.digests += 1
        for name, computed in (("schema", spec.proof(first, token)), ("node", node.proof(first, token))):
            if computed != given:
                text = f"{given} on the wire, the {name} computes {computed}"
                self.differences.append(Difference(f"link {link} {direction}", text))


def _whatever_its_length(data: bytes) -> saturn.Handshake | None:
    """A whole handshake behind a header that states another length: upstream's server reads it."""
    length = (len(data) - saturn.HEADER_LENGTH).to_bytes(2, "big") if len(data) > saturn.HEADER_LENGTH else b""
    parsed = spec.read_packet(data[:2] + length + data[4:])
    return parsed.value if not isinstance(parsed, Rejected) and isinstance(parsed.value, saturn.Handshake) else None


def faults(message: Any, data: bytes) -> Iterator[str]:
    """What is wrong with a message that the schema read."""
    try:
        if not same(message, node.read(data), spec.CONTEXT.registry):
            yield "the two readers find different values"
    except Rejected as refusal:
        yield f"the node refuses what the schema reads: {refusal}"
    for name, write in (("schema", spec.write_packet), ("node", node.write)):
        try:
            written = write(type(message)(*message))
        except CannotEncode as error:
            yield f"the {name} can't write it again: {error}"
            continue
        if written != data:
            yield f"the {name} writes it otherwise: {byte_difference(data, written)}"
