"""A target that dials: its messages, and the answers that it refuses, until the first socket is connected."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.ergo.ehs import STEPS, Accept, Digest, HandshakeState, Hello, Introduce, Join, Message, Role
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.ehs import digest
from ergo_conformance.testing import AGENTS, SILENCE, TRIES, Acceptor, RegistrationContext, case, frame, payload_of

NEEDS: dict[str, Any] = {"offers": AGENTS, "agents": ("agent",), "config": {"registrar": {"kind": "esrd"}}}
WAITING = (HandshakeState.HELLO_SENT, HandshakeState.INTRODUCED, HandshakeState.ACCEPTED)
waiting = pytest.mark.parametrize("state", WAITING, ids=lambda state: state.name.lower())


def good_answer(acceptor: Acceptor, state: HandshakeState) -> Message:
    """Returns the message that a conforming acceptor sends in this state of the dialer."""
    if state is HandshakeState.HELLO_SENT:
        return acceptor.hello()
    return acceptor.accept_connection() if state is HandshakeState.INTRODUCED else acceptor.introduce()


# --- messages of the dialer -------------------------------------------------------------------------------------------


@case("EHS-DST-1", "EHS-DIG-1", "EHS-FRAME-1", "EHS-FRAME-2", "EHS-MSG-1", **NEEDS)
async def test_hello(ergo_context: RegistrationContext) -> None:
    """A dialer first sends one Hello that proves the cookie, with an empty DigestCert, and waits for the answer."""
    acceptor = await (await ergo_context.dialed()).acceptor()
    assert acceptor.target_hello is not None
    cert = acceptor.target_hello.DigestCert
    acceptor.check(cert == "", f"DigestCert {show(cert)}", "an empty DigestCert")
    await acceptor.expect_silence(0.4, "no bytes before the acceptor's Hello")


@case("ROB-EHS-12", **NEEDS)
async def test_salts_are_fresh(ergo_context: RegistrationContext) -> None:
    """A dialer uses a new salt of at least 16 characters in each Hello, also after a refused attempt."""
    salts: set[str] = set()
    for number in range(1, 4):
        dial = await ergo_context.dialed()
        acceptor = await dial.acceptor()
        assert acceptor.target_hello is not None
        salt = acceptor.target_hello.Salt
        salts.add(salt)
        acceptor.check(len(salts) == number, f"the salt {show(salt)} used again", "a new salt in every Hello")
        acceptor.check(len(salt) >= 16, f"a salt of {len(salt)} characters", "a salt of at least 16 characters")
        acceptor.socket.close()
        await dial.failed()


@case("EHS-DST-3", "EHS-DIG-4", "EHS-MSG-1", **NEEDS)
async def test_introduce(ergo_context: RegistrationContext) -> None:
    """A dialer introduces itself as it does when it accepts, proves the cookie with our salt, and waits for the answer."""
    dial = await ergo_context.dialed()
    acceptor = await dial.acceptor(HandshakeState.INTRODUCED)
    assert acceptor.target_introduce is not None
    accepting = dial.agent.peer.introduce
    for field in ("Node", "Version", "Flags", "Creation", "MaxMessageSize"):
        found, wanted = getattr(acceptor.target_introduce, field), getattr(accepting, field)
        acceptor.check(
            found == wanted,
            f"{field} {show(found)}",
            f"{field} {show(wanted)}, as the target introduces when it accepts",
        )
    await acceptor.expect_silence(0.4, "no bytes before the acceptor's Accept")


@case("EHS-CACHE-2", **NEEDS)
async def test_announced_ids(ergo_context: RegistrationContext) -> None:
    """A dialer announces only cache ids that EDF reads as ids."""
    acceptor = await (await ergo_context.dialed()).acceptor(HandshakeState.INTRODUCED)
    message = acceptor.target_introduce
    assert message is not None
    for table, (first, last) in ehs.ID_RANGES.items():
        wrong = [id_ for id_ in getattr(message, table) or () if not first <= id_ <= last]
        acceptor.check(not wrong, f"{table} with ids {wrong}", f"{table} with ids from {first} to {last}")


@case("EHS-DST-6", "EHS-TIME-5", "EHS-MSG-1", **NEEDS)
async def test_final_accept(ergo_context: RegistrationContext) -> None:
    """A dialer ends the handshake with an Accept whose fields are empty, is connected, and keeps the silent socket open."""
    dial = await ergo_context.dialed()
    acceptor = await dial.acceptor(HandshakeState.DONE)
    final = acceptor.target_accept
    acceptor.check(final == Accept(), show(final), "an Accept with empty fields")
    await dial.connected()
    await acceptor.expect_silence(0.1, "no bytes behind the final Accept")
    await acceptor.expect_open(2.5)


@case("EHS-DST-6", "EHS-CACHE-1", **NEEDS)
async def test_messages_after_the_handshake(ergo_context: RegistrationContext) -> None:
    """A dialer that is connected handles our frames and answers them over the same socket."""
    dial = await ergo_context.dialed()
    _, peer = await dial.peer()
    await dial.connected()
    await peer.check_alive()


@pytest.mark.parametrize("how", ["one_segment", "two_segments", "byte_by_byte"])
@case("EHS-DST-4", "EHS-FRAME-1", **NEEDS)
async def test_accept_and_introduce(ergo_context: RegistrationContext, how: str) -> None:
    """A dialer reads Accept and Introduce in any segments: {how}."""
    dial = await ergo_context.dialed()
    acceptor = await dial.acceptor(HandshakeState.INTRODUCED)
    parts = [frame(payload_of(message)) for message in (acceptor.accept_connection(), acceptor.introduce())]
    if how == "two_segments":
        acceptor.send_bytes(parts[0], "a valid Accept")
        await acceptor.expect_silence(0.3, "no bytes between Accept and Introduce")
        acceptor.send_bytes(parts[1], "a valid Introduce")
    else:
        data = b"".join(parts)
        size = 1 if how == "byte_by_byte" else len(data)
        for start in range(0, len(data), size):
            acceptor.socket.write(data[start : start + size])
    await acceptor.expect(Accept)
    await dial.connected()


@case("EHS-FRAME-5", "EHS-DST-2", "EHS-DST-4", **NEEDS)
async def test_messages_of_full_length(ergo_context: RegistrationContext) -> None:
    """A dialer accepts a Hello and an Introduce whose payloads have the maximum length of 65535 bytes."""
    dial = await ergo_context.dialed()
    acceptor = await dial.acceptor()
    acceptor.send(acceptor.hello(Salt="s" * (ehs.MAX_PAYLOAD - len(payload_of(acceptor.hello(Salt=""))))))
    await acceptor.expect_introduce()
    acceptor.send(acceptor.accept_connection())
    room = ehs.MAX_PAYLOAD - len(payload_of(acceptor.introduce(Version=ehs.Version())))
    acceptor.send(acceptor.introduce(Version=ehs.Version(Name="v" * room)))
    await acceptor.expect(Accept)
    await dial.connected()


# --- refused answers --------------------------------------------------------------------------------------------------


def wrong_digests(acceptor: Acceptor, good: Hello) -> dict[str, str]:
    """Returns digests of Hello that do not prove the cookie."""
    assert acceptor.target_hello is not None
    salt2, given, cookie = good.Salt, acceptor.target_hello, acceptor.cookie
    of = Digest.HELLO_ACCEPTOR
    return {
        "another cookie": digest(of, salt2=salt2, digest1=given.Digest, cookie=cookie + "x"),
        "no cookie": digest(of, salt2=salt2, digest1=given.Digest, cookie=""),
        "the salt in place of the digest": digest(of, salt2=salt2, digest1=given.Salt, cookie=cookie),
        "another salt": digest(of, salt2=given.Salt, digest1=given.Digest, cookie=cookie),
        "without the dialer's digest": digest(Digest.HELLO_DIALER, salt1=salt2, cookie=cookie),
        "the dialer's own digest": given.Digest,
        "upper case": good.Digest.upper(),
        "cut": good.Digest[:-1],
        "longer": good.Digest + "0",
        "empty": "",
    }


NUMBER_OF_WRONG_DIGESTS = 10


@case("EHS-DST-2", "EHS-DIG-2", "EHS-DIG-10", **NEEDS)
async def test_hello_refused(ergo_context: RegistrationContext) -> None:
    """A dialer closes the socket and sends no Introduce when the digest of the acceptor's Hello is wrong."""
    for number in range(NUMBER_OF_WRONG_DIGESTS):

        def send_wrong(acceptor: Acceptor, number: int = number) -> None:
            good = acceptor.hello()
            wrong = wrong_digests(acceptor, good)
            assert len(wrong) == NUMBER_OF_WRONG_DIGESTS
            acceptor.send(good._replace(Digest=[*wrong.values()][number]))

        await ergo_context.expect_dial_refused(send_wrong)


@case("EHS-DST-2", "EHS-DIG-2", **NEEDS)
async def test_reflected_hello(ergo_context: RegistrationContext) -> None:
    """A dialer closes the socket when an acceptor without the cookie returns the dialer's own Hello."""

    def reflect(acceptor: Acceptor) -> None:
        assert acceptor.target_hello is not None
        acceptor.send(acceptor.target_hello)

    await ergo_context.expect_dial_refused(reflect)


ILLEGAL = [
    (state, message)
    for (role, state), row in STEPS.items()
    if role is Role.DIALER and state in WAITING
    for message in (Hello, Join, Introduce, Accept)
    if message not in row
]


@pytest.mark.parametrize(
    ("state", "message"), ILLEGAL, ids=[f"{message.__name__}-{state.name}".lower() for state, message in ILLEGAL]
)
@case("EHS-FRAME-8", "EHS-DST-2", "EHS-DST-4", "EHS-DIAL-1", **NEEDS)
async def test_illegal(ergo_context: RegistrationContext, state: HandshakeState, message: type[Message]) -> None:
    """A dialer closes the socket without a byte when a valid message arrives in a state that does not expect it."""
    good: dict[type[Message], Callable[[Acceptor], Message]] = {
        Hello: Acceptor.hello,
        Join: lambda acceptor: Join(acceptor.name, acceptor.token(32), acceptor.salt, acceptor.token(64)),
        Introduce: Acceptor.introduce,
        Accept: Acceptor.accept_connection,
    }
    await ergo_context.expect_dial_refused(lambda acceptor: acceptor.send(good[message](acceptor)), state)


@waiting
@case("EHS-FRAME-3", "EHS-FRAME-4", "EHS-FRAME-5", **NEEDS)
async def test_header(ergo_context: RegistrationContext, state: HandshakeState) -> None:
    """A dialer closes the socket at once, and does not wait for the payload, when magic, version or length are wrong."""
    for header in (
        frame(b"", magic=enp.MAGIC, length=200),
        frame(b"", version=2, length=200),
        frame(b"", version=0, length=200),
        frame(b"", length=ehs.MAX_PAYLOAD + 1),
        frame(b"", length=2**32 - 1),
    ):
        description = f"the header {header.hex(' ')} without a payload"
        await ergo_context.expect_dial_refused(
            partial(Acceptor.send_bytes, data=header, description=description), state
        )


@waiting
@case("EHS-FRAME-8", "EHS-FRAME-2", **NEEDS)
async def test_body(ergo_context: RegistrationContext, state: HandshakeState) -> None:
    """A dialer closes the socket without a byte when the payload is not a valid message."""
    for number in range(4):

        def send_wrong(acceptor: Acceptor, number: int = number) -> None:
            good = payload_of(good_answer(acceptor, state))
            bodies = (b"", good[:-1], good.replace(b"handshake/Message", b"handshake/message"), b"\xff")
            acceptor.send_bytes(frame(bodies[number]), f"a frame with the payload {show(bodies[number][:40])}")

        await ergo_context.expect_dial_refused(send_wrong, state)


@waiting
@case("EHS-TIME-1", **NEEDS)
async def test_silence(ergo_context: RegistrationContext, state: HandshakeState) -> None:
    """A dialer closes the socket without a message after one second of silence."""
    for left in reversed(range(TRIES)):
        dial = await ergo_context.dialed()
        acceptor = await dial.acceptor(state)
        took = await acceptor.expect_close(at_least=SILENCE[0])
        await dial.failed()
        if acceptor.is_in_time(took, SILENCE[1], left):
            return


# --- refused introductions --------------------------------------------------------------------------------------------


@case("EHS-DST-5", **NEEDS)
async def test_own_name(ergo_context: RegistrationContext) -> None:
    """A dialer closes the socket without the final Accept when the acceptor introduces itself with the dialer's name."""
    own = Atom((await ergo_context.dialed()).target_info.name)
    await ergo_context.expect_dial_refused(
        lambda acceptor: acceptor.send(acceptor.introduce(Node=own)), HandshakeState.ACCEPTED
    )


def other_names(name: str) -> list[str]:
    """Returns names that are not the dialed one but share its beginning, its end, its letters or its host."""
    local, _, host = name.partition("@")
    return [name.upper(), name[:-1], name + "x", f"{local}@localhost", f"x{name}", f"other@{host}", local, ""]


@case("EHS-DST-7", **NEEDS)
async def test_another_name(ergo_context: RegistrationContext) -> None:
    """A dialer closes the socket, at the latest after its final Accept, when the introduced name is not the dialed one."""
    for number in range(len(other_names(""))):

        def send_wrong(acceptor: Acceptor, number: int = number) -> None:
            acceptor.send(acceptor.introduce(Node=Atom(other_names(acceptor.name)[number])))

        await ergo_context.expect_dial_refused(send_wrong, HandshakeState.ACCEPTED, bytes_allowed=True)


@case("EHS-DST-7", **NEEDS)
async def test_creation_zero(ergo_context: RegistrationContext) -> None:
    """A dialer closes the socket, at the latest after its final Accept, when the introduced creation is 0."""
    await ergo_context.expect_dial_refused(
        lambda acceptor: acceptor.send(acceptor.introduce(Creation=0)), HandshakeState.ACCEPTED, bytes_allowed=True
    )


@case("EHS-DST-7", **NEEDS)
async def test_next_dial_after_refusals(ergo_context: RegistrationContext) -> None:
    """A dialer connects to a name whose acceptor it refused before: for a wrong digest, a wrong name and creation 0."""
    name = ergo_context.unknown_node()
    wrong: tuple[Callable[[Acceptor], Message], ...] = (
        lambda acceptor: acceptor.introduce(Node=Atom(name + "x")),
        lambda acceptor: acceptor.introduce(Creation=0),
        lambda acceptor: acceptor.hello(),
    )
    for answer in wrong:
        dial = await ergo_context.dialed(name)
        acceptor = await dial.acceptor(HandshakeState.ACCEPTED)
        acceptor.send(answer(acceptor))
        await dial.refused(acceptor, bytes_allowed=True)
    dial = await ergo_context.dialed(name)
    _, peer = await dial.peer()
    await dial.connected()
    await peer.check_alive()


FLAGS = {"none": bytes(8), "all_bits": b"\xff" * 8, "nine_bytes": int(ehs.DEFAULT_FLAGS).to_bytes(8, "big") + b"\0"}


@case("EHS-FLAG-1", "EHS-CACHE-4", **NEEDS)
async def test_unusual_introductions(ergo_context: RegistrationContext) -> None:
    """A dialer accepts an acceptor with any flags, with a negative creation, and without caches."""
    overrides: list[dict[str, Any]] = [{"Flags": flags} for flags in FLAGS.values()]
    overrides += [{"Creation": -1}, {"AtomCache": {}, "RegCache": {}, "ErrCache": {}}, {"MaxMessageSize": -1}]
    for more in overrides:
        dial = await ergo_context.dialed()
        acceptor = await dial.acceptor(HandshakeState.ACCEPTED)
        acceptor.send(acceptor.introduce(**more))
        await acceptor.expect(Accept)
        await dial.connected()
