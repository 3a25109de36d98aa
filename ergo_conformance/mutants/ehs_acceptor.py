"""Faults of a node that accepts: frames, and the order of messages."""

import re
from collections.abc import Iterator
from dataclasses import replace

from ..model.ergo import ehs
from ..model.ergo.ehs import Accept, HandshakeState, Introduce, Role
from ..reference_node.api.errors import HandshakeError
from ..reference_node.api.handshake import Output, PeerInfo
from ..reference_node.ergo.ehs import Effect, EhsSession
from .crash import crash
from .mutant import Area

EHS_ACCEPTOR = Area("ehs_acceptor")
UNREADABLE = (
    "empty", "tag_unassigned", "cut", "type_unknown", "type_cached", "atom_cached", "other_struct", "count_too_large"
)  # fmt: skip
"""Bodies that are no value of a handshake; the others are values, but no messages."""
FRAMING, DIGEST, JOIN = "handshake.framing", "handshake.digest", "handshake.join"
INTRODUCE, TIME, ORDER, NAMES = "handshake.introduce", "handshake.time", "handshake.order", "handshake.names"

# --- frames -----------------------------------------------------------------------------------------------------------


class _OtherHeader(EhsSession):
    """Checks the headers of a dialer by another rule."""

    def check_header(self, header: bytes) -> None:
        if self.role is Role.DIALER:
            super().check_header(header)
        else:
            self.check_of_dialer(header)

    def check_of_dialer(self, header: bytes) -> None:
        raise NotImplementedError

    def usual_check(self, header: bytes) -> None:
        """The check of the node without a fault."""
        EhsSession.check_header(self, header)


@EHS_ACCEPTOR.fault(
    "EHS-FRAME-3", "EHS-FRAME-4", found_by=(f"{FRAMING}.header_alone[magic-*]", f"{FRAMING}.header_alone[version-*]"),
    subtle=True,
)  # fmt: skip
class HeaderReadWithThePayload(_OtherHeader):
    """Looks at magic and version when the whole frame is there."""

    def check_of_dialer(self, header: bytes) -> None:
        length = int.from_bytes(header[2:], "big")
        if len(header) == ehs.HEADER_LENGTH and (
            length > ehs.MAX_PAYLOAD or len(self._buffer) >= ehs.HEADER_LENGTH + length
        ):
            self.usual_check(header)


@EHS_ACCEPTOR.fault(
    "EHS-FRAME-3", "EHS-FRAME-4", found_by=(f"{FRAMING}.magic[*]", f"{FRAMING}.version[*]"),
)  # fmt: skip
class MagicAndVersionIgnored(_OtherHeader):
    """Looks neither at the magic nor at the version."""

    def check_of_dialer(self, header: bytes) -> None:
        self.usual_check(bytes([ehs.MAGIC, ehs.VERSION]) + header[2:] if len(header) > 1 else b"")


@EHS_ACCEPTOR.fault(
    "EHS-FRAME-3",
    found_by=(f"{FRAMING}.magic[*-hello_answered]", f"{FRAMING}.header_alone[magic-await_accept]"), subtle=True,
)  # fmt: skip
class MagicOfTheFirstFrameOnly(_OtherHeader):
    """Looks at the magic of the first frame only."""

    def check_of_dialer(self, header: bytes) -> None:
        first = self.state is HandshakeState.AWAIT_HELLO
        self.usual_check(header if first or not header else bytes([ehs.MAGIC]) + header[1:])


@EHS_ACCEPTOR.fault("EHS-FRAME-4", found_by=(f"{FRAMING}.version[0-*]",), subtle=True)
class LowerVersionsAccepted(_OtherHeader):
    """Accepts version 0."""

    def check_of_dialer(self, header: bytes) -> None:
        self.usual_check(header.replace(b"W\0", b"W\1", 1) if header[1:2] == b"\0" else header)


@EHS_ACCEPTOR.fault(
    "EHS-FRAME-5",
    found_by=(f"{FRAMING}.length_at_the_limit", f"{FRAMING}.message_of_full_length", f"{INTRODUCE}.introduce_of_full_length"),
    subtle=True,
)  # fmt: skip
class FullLengthRefused(_OtherHeader):
    """Refuses a payload of exactly 65535 bytes."""

    def check_of_dialer(self, header: bytes) -> None:
        self.usual_check(header)
        if header[2:] == b"\0\0\xff\xff":
            raise HandshakeError("the payload is too long")


@EHS_ACCEPTOR.fault(
    "EHS-FRAME-5",
    found_by=(f"{FRAMING}.length_above_the_limit[65536-*]", f"{FRAMING}.header_alone[length-*]"),
    subtle=True,
)
class LimitOffByOne(_OtherHeader):
    """Accepts a payload of 65536 bytes."""

    def check_of_dialer(self, header: bytes) -> None:
        self.usual_check(header[:2] if header[2:] == b"\0\1\0\0" else header)


@EHS_ACCEPTOR.fault("ROB-EHS-8", "EHS-FRAME-1", found_by=(f"{FRAMING}.split[by_1]",), subtle=True)
class HeaderInOneSegment(_OtherHeader):
    """Refuses a header that arrives in more than one segment."""

    def check_of_dialer(self, header: bytes) -> None:
        if 0 < len(header) < ehs.HEADER_LENGTH:
            raise HandshakeError("a part of a header")
        self.usual_check(header)


@EHS_ACCEPTOR.fault("EHS-FRAME-8", found_by=tuple(f"{FRAMING}.body[{body}-*]" for body in UNREADABLE))
class UnreadablePayloadsIgnored(EhsSession):
    """Waits for another message when one is unreadable."""

    def _advance(self) -> Iterator[Output]:
        try:
            yield from super()._advance()
        except HandshakeError as error:
            if self.role is Role.DIALER or not str(error).startswith("unreadable"):
                raise


@EHS_ACCEPTOR.fault("ROB-EHS-8", "EHS-FRAME-1", found_by=(f"{FRAMING}.split[*]", f"{TIME}.drip"))
class FrameInOneSegment(EhsSession):
    """Refuses a frame that arrives in more than one segment."""

    def _next_payload(self) -> bytes | None:
        payload = super()._next_payload()
        if payload is None and self._buffer and self.role is Role.ACCEPTOR:
            raise HandshakeError("a part of a frame")
        return payload


@EHS_ACCEPTOR.fault("EHS-FRAME-8", found_by=(f"{FRAMING}.body[empty-*]",), subtle=True)
class EmptyPayloadsIgnored(EhsSession):
    """Skips frames without a payload."""

    def _next_payload(self) -> bytes | None:
        payload = super()._next_payload()
        return super()._next_payload() if payload == b"" else payload


@EHS_ACCEPTOR.fault(
    "EHS-FRAME-8", "EHS-AST-1", "EHS-AST-3", "EHS-AST-5",
    found_by=(f"{ORDER}.illegal[*]", f"{FRAMING}.body[nil-*]", f"{FRAMING}.body[string-*]"),
)  # fmt: skip
class UnexpectedMessagesIgnored(EhsSession):
    """Ignores messages that its state does not expect."""

    def step(self, message: object) -> Effect:
        if self.role is Role.ACCEPTOR and type(message) not in ehs.STEPS[self.role, self.state]:
            return []
        return super().step(message)


@EHS_ACCEPTOR.fault("EHS-AST-5", found_by=(f"{ORDER}.illegal[*-await_accept]",))
class AnyMessageInPlaceOfAccept(EhsSession):
    """Takes any message for the final Accept."""

    def step(self, message: object) -> Effect:
        return super().step(Accept() if self.state is HandshakeState.AWAIT_ACCEPT else message)


@EHS_ACCEPTOR.fault("EHS-AST-5", "ROB-EHS-10", found_by=(f"{ORDER}.final_accept_may_hold_anything",), subtle=True)
class FilledFinalAcceptRefused(EhsSession):
    """Refuses a final Accept whose fields are not empty."""

    def finish(self, message: Accept) -> Effect:
        if message.ID or message.Digest:
            raise HandshakeError("the final Accept is not empty")
        return super().finish(message)


@EHS_ACCEPTOR.fault(
    "ROB-EHS-13",
    found_by=(f"{FRAMING}.calls_behind_accept[*]", f"{FRAMING}.part_of_a_frame_behind_accept"),
    subtle=True,
)
class FramesBehindTheAcceptDropped(EhsSession):
    """Drops the bytes that arrive in one segment with the final Accept."""

    def finish(self, message: Accept) -> Effect:
        (peer,) = super().finish(message)
        assert isinstance(peer, PeerInfo)
        return [replace(peer, tail=b"")]


@EHS_ACCEPTOR.fault("EHS-FRAME-9", "EHS-AST-5", found_by=(f"{FRAMING}.protocol_behind_accept",), subtle=True)
class ClosesOnFramesBehindTheAccept(EhsSession):
    """Refuses a final Accept with further bytes in its segment."""

    def finish(self, message: Accept) -> Effect:
        if self._buffer:
            raise HandshakeError("bytes behind the final Accept")
        return super().finish(message)


class _CrashesOn(EhsSession):
    """Ends its process when it reads some payloads."""

    fatal: re.Pattern[bytes]

    def read(self, payload: bytes) -> object:
        if self.fatal.match(payload):
            crash()
        return super().read(payload)


@EHS_ACCEPTOR.fault("ROB-EHS-9", "ROB-EHS-1", found_by=(f"{FRAMING}.bomb[depth_60000]",))
class CrashesOnDeepValues(_CrashesOn):
    """Ends its process on a value nested too deep for its stack."""

    fatal = re.compile(rb"\x84{1000}")


@EHS_ACCEPTOR.fault(
    "ROB-EHS-9", "ROB-EHS-2",
    found_by=(*(f"{FRAMING}.bomb[{name}]" for name in ("array_of_4g", "map_of_4g", "folded_depth_60000",
                                                      "array_of_4g_empty")), f"{FRAMING}.body[count_too_large-*]"),
)  # fmt: skip
class CrashesOnFoldedTypes(_CrashesOn):
    """Ends its process for lack of memory on a value of a folded type."""

    fatal = re.compile(rb"\x82")


@EHS_ACCEPTOR.fault("ROB-EHS-1", "EHS-CACHE-2", found_by=(f"{INTRODUCE}.caches_out_of_range",), subtle=True)
class CrashesOnSmallIds(EhsSession):
    """Ends its process when a dialer announces the type id 0."""

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        if 0 in (introduce.RegCache or {}):
            crash()
        return super().peer_info(introduce, pool)


@EHS_ACCEPTOR.fault("EHS-FRAME-8", found_by=(f"{INTRODUCE}.flags_too_short",), subtle=True)
class ShortFlagsAccepted(EhsSession):
    """Accepts flags of fewer than eight bytes."""

    def read(self, payload: bytes) -> object:
        return super().read(payload.replace(b"\0\0\0\7" + bytes(7), b"\0\0\0\x08" + bytes(8)))
