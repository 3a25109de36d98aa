"""The handshake without sockets: both roles against each other, against captures of real nodes, and against liars."""

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
    """What a side sends and finds out when the bytes come in chunks of this size."""
    sent, events = b"", []
    for at in range(0, len(data), size):
        for output in side.receive(data[at : at + size]):
            if isinstance(output, bytes):
                sent += output
            else:
                events.append(output)
    return sent, events


def shake(dials: EhsSession, accepts: EhsSession, size: int = 1 << 20) -> tuple[list[Any], list[Any]]:
    """Let two sides talk until nothing is said any more; what each found out."""
    at_dialer: list[Any] = []
    at_acceptor: list[Any] = []
    data = dials.start()
    while data:
        data, events = feed(accepts, data, size)
        at_acceptor += events
        data, events = feed(dials, data, size)
        at_dialer += events
    return at_dialer, at_acceptor


# --- both roles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
def test_two_sides_meet_however_the_bytes_are_split(size: int, fingerprint: bytes | None) -> None:
    dials, accepts = dialer(fingerprint=fingerprint), acceptor(fingerprint=fingerprint, address="127.0.0.1:7")
    [at_dialer], [introduced, at_acceptor] = shake(dials, accepts, size)
    assert (at_dialer.node, at_dialer.creation, at_dialer.max_message_size) == ("b@localhost", 2, 5000)
    assert (at_dialer.pool_size, at_dialer.pool_dsns, at_dialer.tail) == (5, ("127.0.0.1:7",), b"")
    assert introduced == Introduced(at_acceptor)
    assert (at_acceptor.node, at_acceptor.pool_size, at_acceptor.pool_dsns) == ("a@localhost", 5, ())
    assert at_acceptor.connection_id == at_dialer.connection_id
    assert len(at_dialer.connection_id) == 32
    assert dials.state is accepts.state is HandshakeState.DONE


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
def test_a_further_link_joins(size: int, fingerprint: bytes | None) -> None:
    joins = dialer(fingerprint=fingerprint, joining=ConnectionRef(B.name, "the id"))
    [at_dialer], at_acceptor = shake(joins, acceptor(fingerprint=fingerprint), size)
    assert at_dialer == JoinedSocket(Role.DIALER, B.name, "the id")
    joined = JoinedSocket(Role.ACCEPTOR, A.name, "the id")
    assert at_acceptor == [JoinRequest(joined), joined]


def test_caches_and_flags_arrive() -> None:
    caches = Caches(atoms={300: Atom("x")}, types={5000: "#t"}, errors={40_000: "gone"})
    flags = Flags.ENABLE | Flags.IMPORTANT_DELIVERY
    [met], _ = shake(dialer(), acceptor(replace(B, caches=caches, flags=flags)))
    assert met.caches == caches
    assert (met.flags, met.raw_flags) == (flags, bytes(7) + b"\x41")
    [met], _ = shake(dialer(), acceptor(replace(B, flags=Flags.IMPORTANT_DELIVERY)))
    assert (met.flags, met.raw_flags) == (0, bytes(8))


def test_bytes_behind_the_last_message_are_the_tail() -> None:
    dials, accepts = dialer(), acceptor()
    hello, _ = feed(accepts, dials.start(), 100)
    introduce, _ = feed(dials, hello, 100)
    reply, _ = feed(accepts, introduce, 100)
    accept, [met] = feed(dials, reply + b"enp of b", 1 << 20)
    assert met.tail == b"enp of b"
    _, [met] = feed(accepts, accept + b"enp of a", 1 << 20)
    assert met.tail == b"enp of a"


def test_bytes_behind_a_join_are_kept() -> None:
    joins = dialer(joining=ConnectionRef(B.name, "id"))
    _, [_, joined] = feed(acceptor(), joins.start() + b"early enp", 1 << 20)
    assert joined.tail == b"early enp"


def test_accept_comes_before_introduce() -> None:
    accepts, dials = acceptor(), dialer()
    hello, _ = feed(accepts, dials.start(), 1000)
    introduce, _ = feed(dials, hello, 1000)
    reply, _ = feed(accepts, introduce, 10_000)
    assert [type(message) for message in messages(reply)] == [Accept, Introduce]


# --- what is refused --------------------------------------------------------------------------------------------------

ILLEGAL = [(*place, message) for place, row in ehs.STEPS.items() for message in SAMPLES if message not in row]


@pytest.mark.parametrize(
    ("role", "state", "message"), ILLEGAL, ids=lambda part: getattr(part, "name", "") or part.__name__
)
def test_what_has_no_row_is_refused(role: Role, state: HandshakeState, message: Any) -> None:
    side = EhsSession(role, B, tokens())
    side.state = state
    with pytest.raises(HandshakeError, match="is not expected in state"):
        side.step(SAMPLES[message])


def test_every_effect_is_there() -> None:
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
def test_bad_frames(data: bytes, reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason):
        feed(acceptor(), data, 1)


def test_the_longest_message_is_waited_for() -> None:
    assert feed(acceptor(), b"\x57\x01\x00\x00\xff\xff" + bytes(65_534), 1 << 20) == (b"", [])


@pytest.mark.parametrize("role", Role)
def test_another_cookie(role: Role) -> None:
    class Blind(EhsSession):
        """Believes any digest."""

        def check(self, kind: Digest, given: str) -> None:
            pass

    other = replace(A, cookie="other")
    sides = (dialer(other, Blind), acceptor()) if role is Role.DIALER else (dialer(), acceptor(other, Blind))
    with pytest.raises(HandshakeError, match="wrong digest"):
        shake(*sides)
    joining = ConnectionRef(B.name, "id")
    sides = (
        (dialer(other, Blind, joining=joining), acceptor())
        if role is Role.DIALER
        else (dialer(joining=joining), acceptor(other, Blind))
    )
    with pytest.raises(HandshakeError, match="wrong digest"):
        shake(*sides)


@pytest.mark.parametrize("spoil", [str.upper, lambda _: "", lambda text: "ä" + text[1:], lambda text: text + "\udcff"])
def test_digests_are_compared_as_text(spoil: Any) -> None:
    class Spoilt(EhsSession):
        def hello(self) -> Hello:
            hello = super().hello()
            return hello._replace(Digest=spoil(hello.Digest))

    with pytest.raises(HandshakeError, match="HELLO_DIALER"):
        shake(dialer(cls=Spoilt), acceptor())


@pytest.mark.parametrize("cookie", ["", "ключ", "a:b", "\udcff"])
def test_any_cookie_will_do(cookie: str) -> None:
    [met], _ = shake(dialer(replace(A, cookie=cookie)), acceptor(replace(B, cookie=cookie)))
    assert met.node == B.name


@pytest.mark.parametrize("joining", [None, ConnectionRef(B.name, "id")])
@pytest.mark.parametrize(("seen", "own"), [(FINGERPRINT, bytes(20)), (FINGERPRINT, None)])
def test_somebody_in_the_middle(seen: bytes, own: bytes | None, joining: ConnectionRef | None) -> None:
    with pytest.raises(HandshakeError, match="CERT"):
        shake(dialer(fingerprint=seen, joining=joining), acceptor(fingerprint=own))


def test_a_dialer_that_does_not_check_takes_any_certificate() -> None:
    [met], _ = shake(dialer(), acceptor(fingerprint=FINGERPRINT))
    assert met.node == B.name


def test_our_own_name_is_refused_by_both() -> None:
    with pytest.raises(HandshakeError, match="own name"):
        shake(dialer(), acceptor(replace(B, name=A.name)))

    class Careless(EhsSession):
        def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
            return super().peer_info(introduce._replace(Node=Atom("x")), pool)

    with pytest.raises(HandshakeError, match="own name"):
        shake(dialer(), acceptor(replace(B, name=A.name), Careless))


@pytest.mark.parametrize(("asked", "taken"), [(0, 1), (-7, 1), (2**62, ehs.MAX_POOL_SIZE), (4, 4)])
def test_pool_sizes_are_bounded(asked: int, taken: int) -> None:
    [met], _ = shake(dialer(), acceptor(replace(B, pool_size=asked)))
    assert met.pool_size == taken


def test_ids_that_are_lengths_are_left_out() -> None:
    class Odd(EhsSession):
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

    [met], _ = shake(dialer(), acceptor(cls=Odd))
    assert met.caches == Caches({7: Atom("low"), 65_535: Atom("high")}, {4096: "#yes"}, {32_768: "yes"})
    assert met.max_message_size == 0


def test_what_does_not_fit_is_not_sent() -> None:
    many = {4096 + i: f"#{i:0100}" for i in range(1000)}
    with pytest.raises(HandshakeError, match="too long"):
        shake(dialer(replace(A, caches=Caches(types=many))), acceptor())
    with pytest.raises(HandshakeError, match="cannot be encoded"):
        shake(dialer(replace(A, name=Atom("x" * 256))), acceptor())


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda b: b"\x57\x01" + len(b).to_bytes(4, "big") + b))
def test_any_other_exception_is_a_bug(data: bytes) -> None:
    for side in (acceptor(), dialer(), dialer(joining=ConnectionRef(B.name, ""))):
        try:
            feed(side, data, 64)
        except HandshakeError:
            continue


# --- a test can break it ----------------------------------------------------------------------------------------------


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
def test_mutants_need_a_few_lines(cls: type[EhsSession]) -> None:
    try:
        at_dialer, _ = shake(dialer(), acceptor(cls=cls))
    except HandshakeError:
        return
    assert at_dialer == []


# --- captures of real nodes -------------------------------------------------------------------------------------------


def messages(data: bytes) -> Iterator[Any]:
    """The handshake messages at the start of a stream."""
    while data[:2] == bytes([ehs.MAGIC, ehs.VERSION]):
        end = 6 + int.from_bytes(data[2:6], "big")
        yield Decoder(MESSAGE_TYPES).decode(data[6:end])
        data = data[end:]


def handshakes() -> Iterator[Any]:
    """Each link on which real nodes shook hands: metadata, what the dialer wrote, what the acceptor wrote."""
    for path in sorted(p for pattern in CAPTURED for p in CAPTURES.glob(pattern)):
        meta, *lines = map(json.loads, path.read_text("utf-8").splitlines())
        streams: dict[int, dict[str, bytes]] = {}
        for line in lines:
            if line.get("hex"):
                link = streams.setdefault(line["link"], dict.fromkeys(meta["sides"], b""))
                link[line["dir"]] += bytes.fromhex(line["hex"])
        for number, link in streams.items():
            out = next(way for way, side in meta["sides"].items() if side == meta["dialer"])
            back = next(way for way in meta["sides"] if way != out)
            if "wrong_cookie" not in path.name:
                yield pytest.param(meta, link[out], link[back], id=f"{path.parent.name}-{path.stem}-{number}")


def replayed(meta: Any, written: list[Any], *, dials: bool) -> EhsSession:
    """A side that has the name, the secrets and the dice of the one that was recorded."""
    own = next((m for m in written if isinstance(m, Introduce)), EMPTY)
    pool = next((m for m in written if isinstance(m, Accept)), Accept())
    join = next((m for m in written if isinstance(m, Join)), None)
    dice = [m.Salt for m in written if hasattr(m, "Salt")] + [pool.ID]
    dialing, accepting = meta["dialer"], next(s for s in meta["sides"].values() if s != meta["dialer"])
    local = LocalIdentity(
        name=join.Node if join else own.Node,
        cookie=meta["secrets"][dialing if dials else accepting]["cookie"],
        creation=own.Creation,
        version=own.Version,
        flags=Flags(int.from_bytes(own.Flags)),
        max_message_size=own.MaxMessageSize,
        caches=announced_caches(own),
        pool_size=pool.PoolSize,
    )
    seen = meta["secrets"][accepting].get("fingerprint_sha1")
    return EhsSession(
        Role.DIALER if dials else Role.ACCEPTOR,
        local,
        lambda _: dice.pop(0),
        fingerprint=bytes.fromhex(seen) if seen else None,
        address=(pool.PoolDSN or [""])[0],
        joining=ConnectionRef(Atom("b@localhost"), join.ConnectionID) if join else None,
    )


@pytest.mark.parametrize("dials", [True, False], ids=["dialer", "acceptor"])
@pytest.mark.parametrize(("meta", "out", "back"), list(handshakes()))
def test_we_write_what_a_real_node_wrote(meta: Any, out: bytes, back: bytes, dials: bool) -> None:
    written, read = (out, back) if dials else (back, out)
    side = replayed(meta, list(messages(written)), dials=dials)
    first = side.start()
    sent, events = feed(side, read, 1000)
    sent = first + sent
    assert written.startswith(sent)
    assert written[len(sent) :][:1] in {b"", b"\x4e"}  # then comes ENP
    result = events[-1]
    assert isinstance(result, PeerInfo | JoinedSocket)
    assert result.tail[:1] in {b"", b"\x4e"}


def test_the_captures_are_there() -> None:
    assert sum(1 for _ in handshakes()) > 15


def test_a_real_node_with_another_cookie_is_refused() -> None:
    meta, *lines = map(json.loads, (CAPTURES / "master/handshake_wrong_cookie.jsonl").read_text("utf-8").splitlines())
    data = next(bytes.fromhex(line["hex"]) for line in lines if line.get("hex"))
    with pytest.raises(HandshakeError, match="wrong digest HELLO_DIALER"):
        feed(acceptor(replace(B, cookie=meta["secrets"]["b"]["cookie"])), data, 1 << 20)
