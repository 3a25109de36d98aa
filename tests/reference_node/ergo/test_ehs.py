"""EhsSession without I/O: both roles with each other, and with invalid peers. Captures: test_ehs_captures.py."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.ehs import Accept, Digest, Flags, HandshakeState, Hello, Introduce, Join, Role
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.reference_node.api.errors import HandshakeError
from ergo_conformance.reference_node.api.handshake import (
    ConnectionRef,
    Introduced,
    JoinedSocket,
    JoinRequest,
    PeerInfo,
)
from ergo_conformance.reference_node.ergo.ehs import Effect, EhsSession
from tests.support.ehs_sessions import EMPTY, FINGERPRINT, A, B, acceptor, dialer, feed, messages, tokens

SAMPLES = {Hello: Hello("", ""), Join: Join(Atom("x"), "", "", ""), Introduce: EMPTY, Accept: Accept()}


def run_handshake(dialing: EhsSession, accepting: EhsSession, size: int = 1 << 20) -> tuple[list[Any], list[Any]]:
    """Runs the handshake of two sides; returns the events of each."""
    at_dialer: list[Any] = []
    at_acceptor: list[Any] = []
    data = dialing.start()
    while data:
        data, events = feed(accepting, data, size)
        at_acceptor += events
        data, events = feed(dialing, data, size)
        at_dialer += events
    return at_dialer, at_acceptor


# --- both roles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
def test_the_handshake_succeeds_for_any_split_of_the_bytes(size: int, fingerprint: bytes | None) -> None:
    dialing, accepting = dialer(fingerprint=fingerprint), acceptor(fingerprint=fingerprint, address="127.0.0.1:7")
    [at_dialer], [introduced, at_acceptor] = run_handshake(dialing, accepting, size)
    assert (at_dialer.node, at_dialer.creation, at_dialer.max_message_size) == ("b@localhost", 2, 5000)
    assert (at_dialer.pool_size, at_dialer.pool_dsns, at_dialer.tail) == (5, ("127.0.0.1:7",), b"")
    assert introduced == Introduced(at_acceptor)
    assert (at_acceptor.node, at_acceptor.pool_size, at_acceptor.pool_dsns) == ("a@localhost", 5, ())
    assert at_acceptor.connection_id == at_dialer.connection_id
    assert len(at_dialer.connection_id) == 32
    assert dialing.state is accepting.state is HandshakeState.DONE


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
def test_a_further_socket_joins(size: int, fingerprint: bytes | None) -> None:
    joining = dialer(fingerprint=fingerprint, joining=ConnectionRef(B.name, "the id"))
    [at_dialer], at_acceptor = run_handshake(joining, acceptor(fingerprint=fingerprint), size)
    assert at_dialer == JoinedSocket(Role.DIALER, B.name, "the id")
    joined = JoinedSocket(Role.ACCEPTOR, A.name, "the id")
    assert at_acceptor == [JoinRequest(joined), joined]


def test_caches_and_flags_are_received() -> None:
    caches = Caches(atoms={300: Atom("x")}, types={5000: "#t"}, errors={40_000: "gone"})
    flags = Flags.ENABLE | Flags.IMPORTANT_DELIVERY
    [peer_info], _ = run_handshake(dialer(), acceptor(replace(B, caches=caches, flags=flags)))
    assert peer_info.caches == caches
    assert (peer_info.flags, peer_info.raw_flags) == (flags, bytes(7) + b"\x41")
    [peer_info], _ = run_handshake(dialer(), acceptor(replace(B, flags=Flags.IMPORTANT_DELIVERY)))
    assert (peer_info.flags, peer_info.raw_flags) == (0, bytes(8))


def test_bytes_after_the_last_message_are_the_tail() -> None:
    dialing, accepting = dialer(), acceptor()
    hello, _ = feed(accepting, dialing.start(), 100)
    introduce, _ = feed(dialing, hello, 100)
    reply, _ = feed(accepting, introduce, 100)
    accept, [peer_info] = feed(dialing, reply + b"enp of b", 1 << 20)
    assert peer_info.tail == b"enp of b"
    _, [peer_info] = feed(accepting, accept + b"enp of a", 1 << 20)
    assert peer_info.tail == b"enp of a"


def test_bytes_after_a_join_are_the_tail() -> None:
    joining = dialer(joining=ConnectionRef(B.name, "id"))
    _, [_, joined] = feed(acceptor(), joining.start() + b"early enp", 1 << 20)
    assert joined.tail == b"early enp"


def test_the_acceptor_sends_accept_before_introduce() -> None:
    accepting, dialing = acceptor(), dialer()
    hello, _ = feed(accepting, dialing.start(), 1000)
    introduce, _ = feed(dialing, hello, 1000)
    reply, _ = feed(accepting, introduce, 10_000)
    assert [type(message) for message in messages(reply)] == [Accept, Introduce]


# --- refused messages -------------------------------------------------------------------------------------------------

ILLEGAL = [(*place, message) for place, row in ehs.STEPS.items() for message in SAMPLES if message not in row]


@pytest.mark.parametrize(
    ("role", "state", "message"), ILLEGAL, ids=lambda part: getattr(part, "name", "") or part.__name__
)
def test_a_message_without_a_row_is_refused(role: Role, state: HandshakeState, message: Any) -> None:
    side = EhsSession(role, B, tokens())
    side.state = state
    with pytest.raises(HandshakeError, match="is not expected in state"):
        side.step(SAMPLES[message])


def test_each_effect_of_the_table_has_a_method() -> None:
    assert {step.effect for row in ehs.STEPS.values() for step in row.values()} <= set(dir(EhsSession))
    assert len(ILLEGAL) == 4 * len(ehs.STEPS) - sum(len(row) for row in ehs.STEPS.values())


GOOD = dialer().start()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x56", "first byte", id="magic"),
        pytest.param(b"\x57\x02", "version", id="version"),
        pytest.param(b"\x57\x01\x00\x01\x00\x00", "65536", id="length"),
        pytest.param(b"\x57\x01\x00\x00\x00\x00", "end of data", id="empty"),
        pytest.param(b"\x57\x01\x00\x00\x00\x01\xff", ".", id="nil"),
        pytest.param(b"\x57\x01\x00\x00\x00\x09\x96" + bytes(8), "int is not expected", id="an int"),
        pytest.param(b"\x57\x01\x00\x00\x00\x05\x83\x00\x02#x", "unknown registered type", id="unknown type"),
        pytest.param(GOOD[:5] + bytes([GOOD[5] + 1]) + GOOD[6:] + b"x", "left over", id="longer frame"),
        pytest.param(GOOD[:5] + bytes([GOOD[5] - 1]) + GOOD[6:], "end of data", id="shorter frame"),
    ],
)
def test_an_invalid_frame_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason):
        feed(acceptor(), data, 1)


def test_an_unfinished_message_of_maximum_length_is_buffered() -> None:
    assert feed(acceptor(), b"\x57\x01\x00\x00\xff\xff" + bytes(65_534), 1 << 20) == (b"", [])


@pytest.mark.parametrize("role", Role)
def test_another_cookie_fails_the_handshake(role: Role) -> None:
    class Unchecked(EhsSession):
        """Accepts any digest."""

        def check(self, kind: Digest, given: str) -> None:
            pass

    other = replace(A, cookie="other")
    sides = (dialer(other, Unchecked), acceptor()) if role is Role.DIALER else (dialer(), acceptor(other, Unchecked))
    with pytest.raises(HandshakeError, match="wrong digest"):
        run_handshake(*sides)
    joining = ConnectionRef(B.name, "id")
    sides = (
        (dialer(other, Unchecked, joining=joining), acceptor())
        if role is Role.DIALER
        else (dialer(joining=joining), acceptor(other, Unchecked))
    )
    with pytest.raises(HandshakeError, match="wrong digest"):
        run_handshake(*sides)


@pytest.mark.parametrize("change", [str.upper, lambda _: "", lambda text: "ä" + text[1:], lambda text: text + "\udcff"])
def test_digests_are_compared_as_text(change: Any) -> None:
    class ChangedDigest(EhsSession):
        def hello(self) -> Hello:
            hello = super().hello()
            return hello._replace(Digest=change(hello.Digest))

    with pytest.raises(HandshakeError, match="HELLO_DIALER"):
        run_handshake(dialer(cls=ChangedDigest), acceptor())


@pytest.mark.parametrize("cookie", ["", "ключ", "a:b", "\udcff"])
def test_any_text_is_a_valid_cookie(cookie: str) -> None:
    [peer_info], _ = run_handshake(dialer(replace(A, cookie=cookie)), acceptor(replace(B, cookie=cookie)))
    assert peer_info.node == B.name


@pytest.mark.parametrize("joining", [None, ConnectionRef(B.name, "id")])
@pytest.mark.parametrize(("seen", "own"), [(FINGERPRINT, bytes(20)), (FINGERPRINT, None)])
def test_a_man_in_the_middle_fails_the_certificate_digest(
    seen: bytes, own: bytes | None, joining: ConnectionRef | None
) -> None:
    with pytest.raises(HandshakeError, match="CERT"):
        run_handshake(dialer(fingerprint=seen, joining=joining), acceptor(fingerprint=own))


def test_a_dialer_without_a_fingerprint_accepts_any_certificate() -> None:
    [peer_info], _ = run_handshake(dialer(), acceptor(fingerprint=FINGERPRINT))
    assert peer_info.node == B.name


def test_both_sides_refuse_their_own_name() -> None:
    with pytest.raises(HandshakeError, match="own name"):
        run_handshake(dialer(), acceptor(replace(B, name=A.name)))

    class UncheckedName(EhsSession):
        def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
            return super().peer_info(introduce._replace(Node=Atom("x")), pool)

    with pytest.raises(HandshakeError, match="own name"):
        run_handshake(dialer(), acceptor(replace(B, name=A.name), UncheckedName))


@pytest.mark.parametrize(("announced", "bounded"), [(0, 1), (-7, 1), (2**62, ehs.MAX_POOL_SIZE), (4, 4)])
def test_pool_sizes_are_bounded(announced: int, bounded: int) -> None:
    [peer_info], _ = run_handshake(dialer(), acceptor(replace(B, pool_size=announced)))
    assert peer_info.pool_size == bounded


def test_reserved_ids_of_caches_are_ignored() -> None:
    class ReservedIds(EhsSession):
        def introduction(self, digest: str) -> Introduce:
            return (
                super()
                .introduction(digest)
                ._replace(
                    AtomCache={7: Atom("low"), 65_535: Atom("high")},
                    RegCache={1: "#no", 4095: "#no", 4096: "#yes"},
                    ErrCache={
                        3: Error("no"),
                        32_767: Error("no"),
                        32_768: Error("yes"),
                        32_769: None,
                        65_535: Error("nil"),
                    },
                    MaxMessageSize=-1,
                )
            )

    [peer_info], _ = run_handshake(dialer(), acceptor(cls=ReservedIds))
    assert peer_info.caches == Caches({7: Atom("low"), 65_535: Atom("high")}, {4096: "#yes"}, {32_768: "yes"})
    assert peer_info.max_message_size == 0


def test_a_message_that_is_too_long_or_not_encodable_raises() -> None:
    large_types = {4096 + i: f"#{i:0100}" for i in range(1000)}
    with pytest.raises(HandshakeError, match="too long"):
        run_handshake(dialer(replace(A, caches=Caches(types=large_types))), acceptor())
    with pytest.raises(HandshakeError, match="cannot be encoded"):
        run_handshake(dialer(replace(A, name=Atom("x" * 256))), acceptor())


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda b: b"\x57\x01" + len(b).to_bytes(4, "big") + b))
def test_random_bytes_raise_only_handshake_errors(data: bytes) -> None:
    for side in (acceptor(), dialer(), dialer(joining=ConnectionRef(B.name, ""))):
        try:
            feed(side, data, 64)
        except HandshakeError:
            continue


# --- mutants ----------------------------------------------------------------------------------------------------------


class OffByOne(EhsSession):
    def header(self, payload: bytes) -> bytes:
        return super().header(payload + b"x")


class SwappedDigest(EhsSession):
    def digest(self, kind: Digest) -> str:
        self.parts["salt1"], self.parts["salt2"] = self.parts.get("salt2", ""), self.parts.get("salt1", "")
        return super().digest(kind)


class IntroducesFirst(EhsSession):
    def accept_and_introduce(self, message: Introduce) -> Effect:
        event, accept, introduce = super().accept_and_introduce(message)
        return [event, introduce, accept]


@pytest.mark.parametrize("cls", [OffByOne, SwappedDigest, IntroducesFirst])
def test_a_mutant_of_the_acceptor_fails_the_handshake(cls: type[EhsSession]) -> None:
    try:
        at_dialer, _ = run_handshake(dialer(), acceptor(cls=cls))
    except HandshakeError:
        return
    assert at_dialer == []
