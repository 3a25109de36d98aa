"""A target that dials: the further sockets of its connection, and the certificate of the acceptor."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import STEPS, Accept, Digest, HandshakeState, Hello, Introduce, Join, Message, Role
from ergo_conformance.spec.ergo.ehs import digest
from ergo_conformance.testing import (
    AGENTS,
    AT_ONCE,
    HOST,
    SILENCE,
    TRIES,
    Acceptor,
    Dial,
    Peer,
    RegistrationContext,
    case,
    frame,
    payload_of,
)

NEEDS: dict[str, Any] = {"offers": AGENTS, "agents": ("agent",), "config": {"registrar": {"kind": "esrd"}}}


async def pooled(
    ergo_context: RegistrationContext, size: int = 2, *, tls: bool = False
) -> tuple[Dial, Acceptor, Peer, Acceptor]:
    """Completes the first socket of a pool of `size`; returns also the second one, with the Join that arrived on it."""
    dial = await ergo_context.dialed(tls=tls)
    first, peer = await dial.peer(pool_size=size, addresses=[f"{HOST}:{dial.listener.port}"])
    return dial, first, peer, await dial.joined(first)


# --- joining ----------------------------------------------------------------------------------------------------------


@case("EHS-JOIN-2", "EHS-DIG-6", "EHS-JOIN-6", "EHS-JOIN-8", "EHS-MSG-1", **NEEDS)
async def test_join(ergo_context: RegistrationContext) -> None:
    """A dialer joins a further socket with its name, the given id and a digest, and sends nothing more before the Accept."""
    dial, _, peer, second = await pooled(ergo_context)
    await second.expect_silence(0.4, "no bytes between Join and Accept")
    await second.admit()
    await dial.connected()
    await second.expect_silence(0.3, "no Introduce on a joined socket")
    peer.add(second)
    await peer.check_alive(socket=1)
    await second.expect_open(2.0)


@case("ROB-EHS-12", "EHS-JOIN-2", **NEEDS)
async def test_salts_of_joins_are_fresh(ergo_context: RegistrationContext) -> None:
    """A dialer uses a new salt in every Join and in its Hello."""
    dial, first, _, second = await pooled(ergo_context, 3)
    third = await dial.joined(first)
    assert first.target_hello is not None
    assert second.target_join is not None
    assert third.target_join is not None
    salts = [first.target_hello.Salt, second.target_join.Salt, third.target_join.Salt]
    first.check(len(set(salts)) == len(salts), f"the salts {salts}", "three different salts")


@case("EHS-JOIN-1", **NEEDS)
async def test_number_of_sockets(ergo_context: RegistrationContext) -> None:
    """Upstream opens as many sockets as the acceptor's pool has, and dials the given addresses in turn."""
    dial, other = await ergo_context.dialed(), await ergo_context.listener()
    addresses = [f"{HOST}:{dial.listener.port}", f"{HOST}:{other.port}"]
    first, _ = await dial.peer(pool_size=4, addresses=addresses)
    for listener in (dial.listener, other, other):
        socket = await listener.socket()
        joined = Acceptor(socket, ergo_context.target_info, ergo_context.rng, first.name)
        await joined.admit()
    await dial.listener.expect_no_connection(0.5)


@pytest.mark.parametrize("size", [1, 0], ids=["one", "none"])
@case("EHS-JOIN-1", **NEEDS)
async def test_pool_of_one(ergo_context: RegistrationContext, size: int) -> None:
    """Upstream opens no further socket for a pool of {size}."""
    dial = await ergo_context.dialed()
    await dial.peer(pool_size=size, addresses=[f"{HOST}:{dial.listener.port}"])
    await dial.connected()
    await dial.listener.expect_no_connection(0.5)


@case("EHS-JOIN-2", "EHS-DIG-6", **NEEDS)
async def test_join_uses_the_id_of_its_connection(ergo_context: RegistrationContext) -> None:
    """A dialer joins each of two connections with the id that this connection was given, whatever its length."""
    for length in (ehs.CONNECTION_ID_LENGTH, 1, 4_000):
        dial = await ergo_context.dialed()
        first = await dial.acceptor(pool_size=2, addresses=[f"{HOST}:{dial.listener.port}"])
        first.connection_id = first.token(length)
        await first.handshake()
        await (await dial.joined(first)).admit()
        await dial.connected()


@case("ROB-EHS-13", **NEEDS)
async def test_frames_behind_the_accept(ergo_context: RegistrationContext) -> None:
    """A dialer handles a frame that arrives in one segment with the Accept that answers its Join."""
    dial, _, peer, second = await pooled(ergo_context)
    ref = peer.new_ref()
    call = peer.data_of(peer.request("echo", "behind the Accept", ref))
    second.send_bytes(frame(payload_of(second.accept_join())) + call, "Accept and a call in one segment")
    peer.add(second)
    answer = (await peer.answer(ref)).value
    peer.check(answer.payload == "behind the Accept", answer, "the answer of echo")
    await dial.connected()


# --- refused answers to a Join ----------------------------------------------------------------------------------------


async def expect_unused(peer: Peer, refused: Acceptor) -> None:
    """A socket whose Join was not answered correctly is closed, or at least not used: a call over it is not answered."""
    peer.add(refused)
    if await refused.socket.read(0.1) != b"":
        ref = peer.new_ref()
        peer.send_frame(peer.request("echo", "over a refused socket", ref), 1)
        await peer.expect_no_answer(ref)
    await peer.check_alive()


def wrong_accepts(second: Acceptor) -> list[Accept]:
    """Returns answers to a Join that do not prove the cookie."""
    assert second.target_join is not None
    good, join = second.accept_join(), second.target_join
    other_cookie = digest(Digest.JOIN_ACCEPT, join_digest=join.Digest, cookie=second.cookie + "x")
    of_the_salt = digest(Digest.JOIN_ACCEPT, join_digest=join.Salt, cookie=second.cookie)
    wrong = (other_cookie, of_the_salt, join.Digest, "", good.Digest.upper(), good.Digest[:-1])
    return [good._replace(Digest=each) for each in wrong]


NUMBER_OF_WRONG_ACCEPTS = 6


@case("ROB-EHS-14", "EHS-DIG-10", **NEEDS)
async def test_join_refused(ergo_context: RegistrationContext) -> None:
    """A dialer does not use a joined socket when the digest of the Accept is wrong; the connection stays open."""
    for number in range(NUMBER_OF_WRONG_ACCEPTS):
        _, _, peer, second = await pooled(ergo_context)
        wrong = wrong_accepts(second)
        assert len(wrong) == NUMBER_OF_WRONG_ACCEPTS
        second.send(wrong[number])
        await expect_unused(peer, second)


@case("EHS-JOIN-7", **NEEDS)
async def test_refused_socket_stays_open(ergo_context: RegistrationContext) -> None:
    """Upstream does not close a socket whose Accept has a wrong digest."""
    _, _, _, second = await pooled(ergo_context)
    second.send(second.accept_join(Digest="0" * 64))
    await second.expect_open(1.5)


async def refused_at_once(ergo_context: RegistrationContext, send: Callable[[Acceptor], object]) -> None:
    """Checks that a joined socket is closed at once after `send`, and the connection stays open."""
    for left in reversed(range(TRIES)):
        _, _, peer, second = await pooled(ergo_context)
        send(second)
        took = await second.expect_close()
        await peer.check_alive()
        if second.is_in_time(took, AT_ONCE, left):
            return


@pytest.mark.parametrize("message", [Hello, Join, Introduce], ids=lambda message: message.__name__.lower())
@case("EHS-FRAME-8", "EHS-JOIN-2", **NEEDS)
async def test_illegal_answer_to_join(ergo_context: RegistrationContext, message: type[Message]) -> None:
    """A dialer closes a joined socket when its Join is answered with another message; the connection stays open."""
    assert message not in STEPS[Role.DIALER, HandshakeState.JOIN_SENT]
    answers: dict[type[Message], Callable[[Acceptor], Message]] = {
        Hello: lambda _: Hello("", ""),
        Join: lambda second: Join(second.name, second.connection_id, second.salt, "0" * 64),
        Introduce: Acceptor.introduce,
    }
    await refused_at_once(ergo_context, lambda second: second.send(answers[message](second)))


@case("EHS-FRAME-3", "EHS-FRAME-4", "EHS-FRAME-5", **NEEDS)
async def test_header_behind_join(ergo_context: RegistrationContext) -> None:
    """A dialer closes a joined socket at once when the header of the answer has a wrong magic, version or length."""
    for header in (frame(b"", magic=78, length=200), frame(b"", version=2, length=200), frame(b"", length=65_536)):
        description = f"the header {header.hex(' ')} without a payload"
        await refused_at_once(ergo_context, partial(Acceptor.send_bytes, data=header, description=description))


@case("EHS-TIME-1", "EHS-JOIN-2", **NEEDS)
async def test_silence_after_join(ergo_context: RegistrationContext) -> None:
    """A dialer closes a joined socket after one second without an answer; the connection stays open."""
    for left in reversed(range(TRIES)):
        _, _, peer, second = await pooled(ergo_context)
        took = await second.expect_close(at_least=SILENCE[0])
        await peer.check_alive()
        if second.is_in_time(took, SILENCE[1], left):
            return


@case("EHS-DUP-3", **NEEDS)
async def test_connection_that_we_do_not_know(ergo_context: RegistrationContext) -> None:
    """A dialer whose joined socket is closed right behind the Accept drops the connection and does not join again."""
    dial, first, _, second = await pooled(ergo_context)
    second.send(second.accept_join())
    second.socket.close()
    await first.expect_close(bytes_allowed=True)
    await dial.listener.expect_no_connection(1.0)


# --- the certificate --------------------------------------------------------------------------------------------------


@case("EHS-TLS-2", "EHS-DST-2", "EHS-JOIN-2", **NEEDS)
async def test_certificate(ergo_context: RegistrationContext) -> None:
    """A dialer over TLS connects when both digests prove the cookie and the certificate, also on a joined socket."""
    dial, _, peer, second = await pooled(ergo_context, tls=True)
    await second.admit()
    await dial.connected()
    peer.add(second)
    await peer.check_alive(socket=1)


def wrong_certificates(acceptor: Acceptor, rule: Digest, good: str, **inputs: str) -> list[str]:
    """Returns digests that do not prove the certificate of the socket."""
    other = digest(rule, fingerprint=b"\1" * 20, cookie=acceptor.cookie, **inputs)
    without = digest(rule, fingerprint=b"", cookie=acceptor.cookie, **inputs)
    no_cookie = digest(rule, fingerprint=acceptor.socket.fingerprint or b"", cookie="", **inputs)
    return ["", other, without, no_cookie, good.upper(), good[:-1]]


NUMBER_OF_WRONG_CERTIFICATES = 6


@case("EHS-TLS-2", "EHS-DST-2", **NEEDS)
async def test_certificate_refused(ergo_context: RegistrationContext) -> None:
    """A dialer over TLS closes the socket and sends no Introduce when DigestCert is empty or of another certificate."""
    for number in range(NUMBER_OF_WRONG_CERTIFICATES):

        def send_wrong(acceptor: Acceptor, number: int = number) -> None:
            assert acceptor.target_hello is not None
            good = acceptor.hello()
            inputs = {"salt2": good.Salt, "salt1": acceptor.target_hello.Salt}
            wrong = wrong_certificates(acceptor, Digest.HELLO_CERT, good.DigestCert, **inputs)
            acceptor.send(good._replace(DigestCert=wrong[number]))

        await ergo_context.expect_dial_refused(send_wrong, tls=True)


@case("ROB-EHS-14", **NEEDS)
async def test_certificate_refused_on_a_joined_socket(ergo_context: RegistrationContext) -> None:
    """A dialer over TLS does not use a joined socket whose Accept does not prove the certificate."""
    for number in range(NUMBER_OF_WRONG_CERTIFICATES):
        _, _, peer, second = await pooled(ergo_context, tls=True)
        assert second.target_join is not None
        good = second.accept_join()
        inputs = {"join_digest": second.target_join.Digest, "join_salt": second.target_join.Salt}
        wrong = wrong_certificates(second, Digest.JOIN_CERT, good.DigestCert, **inputs)
        second.send(good._replace(DigestCert=wrong[number]))
        await expect_unused(peer, second)


REFUSALS: dict[str, Callable[[Acceptor], Message]] = {
    "digest": lambda acceptor: acceptor.hello(Digest="0" * 64),
    "certificate": lambda acceptor: acceptor.hello(DigestCert="0" * 64),
}


@pytest.mark.parametrize("wrong", REFUSALS)
@case("EHS-TLS-2", "EHS-DST-2", **NEEDS)
async def test_second_dial_over_tls(ergo_context: RegistrationContext, wrong: str) -> None:
    """A dialer checks the {wrong} of a Hello again after a connection whose digests were right."""
    dial = await ergo_context.dialed(tls=True)
    await dial.peer()
    await dial.connected()
    await ergo_context.expect_dial_refused(lambda acceptor: acceptor.send(REFUSALS[wrong](acceptor)), tls=True)
