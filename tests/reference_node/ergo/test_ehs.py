"""EhsSession without I/O: both roles with each other, with captures of real nodes, and with invalid peers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
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
    LocalIdentity,
    PeerInfo,
)
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.reference_node.ergo.ehs import MESSAGE_TYPES, Effect, EhsSession, announced_caches

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
CAPTURED = ("master/handshake*.jsonl", "master/duplicate.jsonl", "v3??/handshake*.jsonl")
FINGERPRINT = bytes(range(20))
A = LocalIdentity(name=Atom("a@localhost"), cookie="s3cret", creation=1, version=ehs.Version("app", "1"))
B = replace(A, name=Atom("b@localhost"), creation=2, max_message_size=5000, pool_size=5)
EMPTY = Introduce(A.name, A.version, bytes(8), 1, 0, None, None, None, "")
SAMPLES = {Hello: Hello("", ""), Join: Join(Atom("x"), "", "", ""), Introduce: EMPTY, Accept: Accept()}


def tokens() -> Any:
    numbers = count(1)
    return lambda length: f"{next(numbers):0{length}x}"


def dialer(local: LocalIdentity = A, cls: type[EhsSession] = EhsSession, **more: Any) -> EhsSession:
    return cls(Role.DIALER, local, tokens(), **more)


def acceptor(local: LocalIdentity = B, cls: type[EhsSession] = EhsSession, **more: Any) -> EhsSession:
    return cls(Role.ACCEPTOR, local, tokens(), **more)


def feed(side: EhsSession, data: bytes, size: int) -> tuple[bytes, list[Any]]:
    """Feeds the bytes in chunks of this size; returns what the side sends and its events."""
    sent, events = b"", []
    for at in range(0, len(data), size):
        for output in side.receive(data[at : at + size]):
            if isinstance(output, bytes):
                sent += output
            else:
                events.append(output)
    return sent, events


def run_handshake(
    dialing_side: EhsSession, accepting_side: EhsSession, size: int = 1 << 20
) -> tuple[list[Any], list[Any]]:
    """Runs the handshake of two sides; returns the events of each."""
    at_dialer: list[Any] = []
    at_acceptor: list[Any] = []
    data = dialing_side.start()
    while data:
        data, events = feed(accepting_side, data, size)
        at_acceptor += events
        data, events = feed(dialing_side, data, size)
        at_dialer += events
    return at_dialer, at_acceptor


# --- both roles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
def test_the_handshake_succeeds_for_any_split_of_the_bytes(size: int, fingerprint: bytes | None) -> None:
    dialing_side, accepting_side = (
        dialer(fingerprint=fingerprint),
        acceptor(fingerprint=fingerprint, address="127.0.0.1:7"),
    )
    [at_dialer], [introduced, at_acceptor] = run_handshake(dialing_side, accepting_side, size)
    assert (at_dialer.node, at_dialer.creation, at_dialer.max_message_size) == ("b@localhost", 2, 5000)
    assert (at_dialer.pool_size, at_dialer.pool_dsns, at_dialer.tail) == (5, ("127.0.0.1:7",), b"")
    assert introduced == Introduced(at_acceptor)
    assert (at_acceptor.node, at_acceptor.pool_size, at_acceptor.pool_dsns) == ("a@localhost", 5, ())
    assert at_acceptor.connection_id == at_dialer.connection_id
    assert len(at_dialer.connection_id) == 32
    assert dialing_side.state is accepting_side.state is HandshakeState.DONE


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
def test_a_further_socket_joins(size: int, fingerprint: bytes | None) -> None:
    joining_side = dialer(fingerprint=fingerprint, joining=ConnectionRef(B.name, "the id"))
    [at_dialer], at_acceptor = run_handshake(joining_side, acceptor(fingerprint=fingerprint), size)
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
    dialing_side, accepting_side = dialer(), acceptor()
    hello, _ = feed(accepting_side, dialing_side.start(), 100)
    introduce, _ = feed(dialing_side, hello, 100)
    reply, _ = feed(accepting_side, introduce, 100)
    accept, [peer_info] = feed(dialing_side, reply + b"enp of b", 1 << 20)
    assert peer_info.tail == b"enp of b"
    _, [peer_info] = feed(accepting_side, accept + b"enp of a", 1 << 20)
    assert peer_info.tail == b"enp of a"


def test_bytes_after_a_join_are_the_tail() -> None:
    joining_side = dialer(joining=ConnectionRef(B.name, "id"))
    _, [_, joined] = feed(acceptor(), joining_side.start() + b"early enp", 1 << 20)
    assert joined.tail == b"early enp"


def test_the_acceptor_sends_accept_before_introduce() -> None:
    accepting_side, dialing_side = acceptor(), dialer()
    hello, _ = feed(accepting_side, dialing_side.start(), 1000)
    introduce, _ = feed(dialing_side, hello, 1000)
    reply, _ = feed(accepting_side, introduce, 10_000)
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
    class UncheckedDigest(EhsSession):
        """Accepts any digest."""

        def check(self, kind: Digest, given: str) -> None:
            pass

    other = replace(A, cookie="other")
    sides = (
        (dialer(other, UncheckedDigest), acceptor())
        if role is Role.DIALER
        else (dialer(), acceptor(other, UncheckedDigest))
    )
    with pytest.raises(HandshakeError, match="wrong digest"):
        run_handshake(*sides)
    joining = ConnectionRef(B.name, "id")
    sides = (
        (dialer(other, UncheckedDigest, joining=joining), acceptor())
        if role is Role.DIALER
        else (dialer(joining=joining), acceptor(other, UncheckedDigest))
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


# --- captures of real nodes -------------------------------------------------------------------------------------------


def messages(data: bytes) -> Iterator[Any]:
    """Returns the handshake messages at the start of a stream."""
    while data[:2] == bytes([ehs.MAGIC, ehs.VERSION]):
        end = 6 + int.from_bytes(data[2:6], "big")
        yield Decoder(MESSAGE_TYPES).decode(data[6:end])
        data = data[end:]


def captured_handshakes() -> Iterator[Any]:
    """Yields per recorded socket: metadata, the dialer's bytes, the acceptor's bytes."""
    for path in sorted(p for pattern in CAPTURED for p in CAPTURES.glob(pattern)):
        meta, *lines = map(json.loads, path.read_text("utf-8").splitlines())
        streams: dict[int, dict[str, bytes]] = {}
        for line in lines:
            if line.get("hex"):
                stream = streams.setdefault(line["link"], dict.fromkeys(meta["sides"], b""))
                stream[line["dir"]] += bytes.fromhex(line["hex"])
        for number, stream in streams.items():
            out = next(way for way, side in meta["sides"].items() if side == meta["dialer"])
            back = next(way for way in meta["sides"] if way != out)
            if "wrong_cookie" not in path.name:
                yield pytest.param(meta, stream[out], stream[back], id=f"{path.parent.name}-{path.stem}-{number}")


def replaying_session(meta: Any, written: list[Any], *, as_dialer: bool) -> EhsSession:
    """Returns a session with the name, secrets and random values of the recorded side."""
    own = next((m for m in written if isinstance(m, Introduce)), EMPTY)
    pool = next((m for m in written if isinstance(m, Accept)), Accept())
    join = next((m for m in written if isinstance(m, Join)), None)
    random_values = [m.Salt for m in written if hasattr(m, "Salt")] + [pool.ID]
    dialing, accepting = meta["dialer"], next(s for s in meta["sides"].values() if s != meta["dialer"])
    local = LocalIdentity(
        name=join.Node if join else own.Node,
        cookie=meta["secrets"][dialing if as_dialer else accepting]["cookie"],
        creation=own.Creation,
        version=own.Version,
        flags=Flags(int.from_bytes(own.Flags)),
        max_message_size=own.MaxMessageSize,
        caches=announced_caches(own),
        pool_size=pool.PoolSize,
    )
    seen = meta["secrets"][accepting].get("fingerprint_sha1")
    return EhsSession(
        Role.DIALER if as_dialer else Role.ACCEPTOR,
        local,
        lambda _: random_values.pop(0),
        fingerprint=bytes.fromhex(seen) if seen else None,
        address=(pool.PoolDSN or [""])[0],
        joining=ConnectionRef(Atom("b@localhost"), join.ConnectionID) if join else None,
    )


@pytest.mark.parametrize("as_dialer", [True, False], ids=["dialer", "acceptor"])
@pytest.mark.parametrize(("meta", "out", "back"), list(captured_handshakes()))
def test_a_session_writes_the_bytes_of_the_recorded_node(meta: Any, out: bytes, back: bytes, as_dialer: bool) -> None:
    written, read = (out, back) if as_dialer else (back, out)
    side = replaying_session(meta, list(messages(written)), as_dialer=as_dialer)
    first = side.start()
    sent, events = feed(side, read, 1000)
    sent = first + sent
    assert written.startswith(sent)
    assert written[len(sent) :][:1] in {b"", b"\x4e"}  # ENP follows
    result = events[-1]
    assert isinstance(result, PeerInfo | JoinedSocket)
    assert result.tail[:1] in {b"", b"\x4e"}


def test_the_captures_have_more_than_15_handshakes() -> None:
    assert sum(1 for _ in captured_handshakes()) > 15


def test_a_recorded_node_with_another_cookie_is_refused() -> None:
    meta, *lines = map(json.loads, (CAPTURES / "master/handshake_wrong_cookie.jsonl").read_text("utf-8").splitlines())
    data = next(bytes.fromhex(line["hex"]) for line in lines if line.get("hex"))
    with pytest.raises(HandshakeError, match="wrong digest HELLO_DIALER"):
        feed(acceptor(replace(B, cookie=meta["secrets"]["b"]["cookie"])), data, 1 << 20)
