"""Faults of a node that accepts: how it introduces itself, and which dialers it accepts."""

from typing import Any

from ..model.ergo import edf, ehs
from ..model.ergo.ehs import Accept, HandshakeState, Introduce, Join
from ..model.values import Atom
from ..reference_node.api.errors import HandshakeError
from ..reference_node.api.handshake import JoinedSocket
from ..reference_node.ergo.ehs import Effect, EhsSession
from .mutant import Area

EHS_INTRODUCTIONS = Area("ehs_introductions")
DIGEST, INTRODUCE, JOIN, NAMES = "handshake.digest", "handshake.introduce", "handshake.join", "handshake.names"

# --- its own messages ---------------------------------------------------------------------------------------------------


class _OtherAccept(EhsSession):
    """Answers an Introduce with another Accept."""

    changes: dict[str, Any]

    def accept_and_introduce(self, message: Introduce) -> Effect:
        introduced, accept, introduction = super().accept_and_introduce(message)
        assert isinstance(accept, Accept)
        return [introduced, accept._replace(**self.changes), introduction]


@EHS_INTRODUCTIONS.fault("EHS-AST-4", found_by=(f"{JOIN}.pool_of_one", f"{JOIN}.pool_of_five"))
class PoolOfTwo(_OtherAccept):
    """Announces a pool of two sockets, whatever its setting."""

    changes = {"PoolSize": 2}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-AST-4", found_by=(f"{JOIN}.pool_addresses",))
class NoAddresses(_OtherAccept):
    """Announces no address for further sockets."""

    changes = {"PoolDSN": None}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-DIG-9", found_by=(f"{DIGEST}.acceptors_other_digests_are_empty",))
class DigestInAccept(_OtherAccept):
    """Fills the Digest of the Accept of a full handshake."""

    changes = {"Digest": "0" * 64}  # noqa: RUF012


class _OtherIntroduction(EhsSession):
    """Introduces itself differently."""

    changes: dict[str, Any]

    def introduction(self, digest: str) -> Introduce:
        return super().introduction(digest)._replace(**self.changes)


@EHS_INTRODUCTIONS.fault("EHS-AST-4", "EHS-MSG-1", found_by=(f"{INTRODUCE}.name",))
class AnotherName(_OtherIntroduction):
    """Introduces itself under another name."""

    changes = {"Node": Atom("other@localhost")}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-MSG-1", found_by=(f"{INTRODUCE}.configured_limit",))
class NoLimitIntroduced(_OtherIntroduction):
    """Introduces no message size limit, whatever its setting."""

    changes = {"MaxMessageSize": 0}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-FLAG-1", found_by=(f"{INTRODUCE}.configured_flags",))
class AllFlagsIntroduced(_OtherIntroduction):
    """Announces features that its configuration disables."""

    changes = {"Flags": int(ehs.DEFAULT_FLAGS).to_bytes(ehs.FLAGS_WIDTH, "big")}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-MSG-2", found_by=(f"{INTRODUCE}.version",))
class NoVersion(_OtherIntroduction):
    """Introduces an empty version."""

    changes = {"Version": ehs.Version()}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-CACHE-3", found_by=(f"{INTRODUCE}.own_name_is_cached",))
class NoAtoms(_OtherIntroduction):
    """Announces no atoms."""

    changes = {"AtomCache": None}  # noqa: RUF012


@EHS_INTRODUCTIONS.fault("EHS-MSG-3", found_by=(f"{INTRODUCE}.creation",), subtle=True)
class CreationGrows(EhsSession):
    """Introduces another creation in each handshake."""

    count = 0

    def introduction(self, digest: str) -> Introduce:
        type(self).count += 1
        good = super().introduction(digest)
        return good._replace(Creation=good.Creation + self.count)


@EHS_INTRODUCTIONS.fault("EHS-FLAG-3", found_by=(f"{INTRODUCE}.flags_are_not_negotiated",))
class FlagsAreNegotiated(EhsSession):
    """Introduces the flags that the dialer introduced."""

    def accept_and_introduce(self, message: Introduce) -> Effect:
        introduced, accept, introduction = super().accept_and_introduce(message)
        assert isinstance(introduction, Introduce)
        return [introduced, accept, introduction._replace(Flags=message.Flags)]


# --- what it accepts of a dialer ----------------------------------------------------------------------------------------


class _Refuses(EhsSession):
    """Refuses some introductions."""

    def refuses(self, introduce: Introduce) -> bool:
        raise NotImplementedError

    def accept_and_introduce(self, message: Introduce) -> Effect:
        if self.refuses(message):
            raise HandshakeError("refused")
        return super().accept_and_introduce(message)


@EHS_INTRODUCTIONS.fault("EHS-FLAG-1", found_by=(f"{INTRODUCE}.flags[all_bits]", f"{INTRODUCE}.flags[unknown_bits]"))
class UnknownFlagsRefused(_Refuses):
    """Refuses unknown flags."""

    def refuses(self, introduce: Introduce) -> bool:
        return int.from_bytes(introduce.Flags[:8]) > sum(ehs.Flags)


@EHS_INTRODUCTIONS.fault("EHS-FLAG-2", found_by=(f"{INTRODUCE}.flags[none]", f"{INTRODUCE}.flags[without_enable]"))
class FlagsWithoutEnableRefused(_Refuses):
    """Refuses flags without Enable."""

    def refuses(self, introduce: Introduce) -> bool:
        return not introduce.Flags[7] & ehs.Flags.ENABLE


@EHS_INTRODUCTIONS.fault("EHS-FLAG-1", found_by=(f"{INTRODUCE}.flags[nine_bytes]",), subtle=True)
class LongFlagsRefused(_Refuses):
    """Refuses flags of more than eight bytes."""

    def refuses(self, introduce: Introduce) -> bool:
        return len(introduce.Flags) > ehs.FLAGS_WIDTH


@EHS_INTRODUCTIONS.fault("EHS-CACHE-4", found_by=(f"{INTRODUCE}.caches[nil]", f"{DIGEST}.whole_handshake"))
class NilCachesRefused(_Refuses):
    """Refuses nil tables."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.AtomCache is None


@EHS_INTRODUCTIONS.fault(
    "EHS-CACHE-4", found_by=(f"{INTRODUCE}.caches[empty]", f"{INTRODUCE}.caches[nil]"), subtle=True
)
class EmptyCachesRefused(_Refuses):
    """Refuses tables without an entry."""

    def refuses(self, introduce: Introduce) -> bool:
        return not introduce.RegCache


@EHS_INTRODUCTIONS.fault("EHS-CACHE-4", "EHS-CACHE-2", found_by=(f"{INTRODUCE}.caches[ends_of_ranges]",), subtle=True)
class LastErrorIdRefused(_Refuses):
    """Refuses a table with the last error id, fffe."""

    def refuses(self, introduce: Introduce) -> bool:
        return edf.LAST_ERROR_ID in (introduce.ErrCache or {})


@EHS_INTRODUCTIONS.fault("EHS-CACHE-4", found_by=(f"{INTRODUCE}.caches[filled]",), subtle=True)
class LargeCachesRefused(_Refuses):
    """Refuses tables of 50 and more entries."""

    def refuses(self, introduce: Introduce) -> bool:
        return len(introduce.AtomCache or {}) >= 50


@EHS_INTRODUCTIONS.fault(
    "EHS-MSG-1", found_by=(f"{INTRODUCE}.message_limit[negative]", f"{INTRODUCE}.message_limit[huge]")
)
class LimitsOf32Bits(_Refuses):
    """Refuses message size limits that do not fit into 32 bits without a sign."""

    def refuses(self, introduce: Introduce) -> bool:
        return not 0 <= introduce.MaxMessageSize < 2**32


@EHS_INTRODUCTIONS.fault("EHS-MSG-1", found_by=(f"{INTRODUCE}.message_limit[one_byte]",), subtle=True)
class SmallLimitsRefused(_Refuses):
    """Refuses message size limits in which no frame has room."""

    def refuses(self, introduce: Introduce) -> bool:
        return 0 < introduce.MaxMessageSize < 8


@EHS_INTRODUCTIONS.fault("EHS-MSG-1", found_by=(f"{INTRODUCE}.message_limit[none]", f"{DIGEST}.whole_handshake"))
class NoLimitRefused(_Refuses):
    """Refuses a dialer without a message size limit."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.MaxMessageSize == 0


@EHS_INTRODUCTIONS.fault("EHS-ACC-1", found_by=(f"{INTRODUCE}.odd_name[*]",))
class OddNamesRefused(_Refuses):
    """Refuses names without exactly one @, or with other than 7-bit characters, or of 255 bytes."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.Node.count("@") != 1 or not introduce.Node.isascii() or len(introduce.Node) > 254


@EHS_INTRODUCTIONS.fault("EHS-ACC-1", found_by=(f"{INTRODUCE}.negative_creation",))
class NegativeCreationsRefused(_Refuses):
    """Refuses negative creations."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.Creation < 0


@EHS_INTRODUCTIONS.fault("EHS-AST-6", found_by=(f"{NAMES}.creations_at_the_ends",), subtle=True)
class CreationsOf32Bits(_Refuses):
    """Refuses creations that do not fit into 32 bits."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.Creation >= 2**32


@EHS_INTRODUCTIONS.fault("EHS-JOIN-2", found_by=(f"{JOIN}.join_with_an_empty_salt",), subtle=True)
class JoinWithoutSaltRefused(EhsSession):
    """Refuses a Join with an empty salt."""

    def accept_join(self, message: Join) -> Effect:
        if not message.Salt:
            raise HandshakeError("no salt")
        return super().accept_join(message)


@EHS_INTRODUCTIONS.fault("EHS-AST-1", "EHS-FRAME-8", found_by=(f"{JOIN}.hello_behind_join",), subtle=True)
class HelloAnsweredBehindJoin(EhsSession):
    """Answers a Hello that follows a Join."""

    def accept_join(self, message: Join) -> Effect:
        self.state = HandshakeState.AWAIT_HELLO
        return [output for output in super().accept_join(message) if not isinstance(output, JoinedSocket)]
