"""Frames of the handshake: header, length, body, in every state in which an acceptor waits for one."""

from dataclasses import dataclass

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Accept, HandshakeState, Hello
from ergo_conformance.peers.ergo.dialer import Dialer
from ergo_conformance.peers.ergo.handshake import frame, payload_of
from ergo_conformance.testing import Context, case

WAITING = (HandshakeState.AWAIT_HELLO, HandshakeState.HELLO_ANSWERED, HandshakeState.AWAIT_ACCEPT)
waiting = pytest.mark.parametrize("state", WAITING, ids=lambda state: state.name.lower())


def good_message(dialer: Dialer, state: HandshakeState) -> ehs.Message:
    """What a good dialer sends in this state."""
    if state is HandshakeState.AWAIT_HELLO:
        return dialer.hello()
    return dialer.introduce() if state is HandshakeState.HELLO_ANSWERED else Accept()


@dataclass(frozen=True)
class Header:
    """One wrong header field."""

    label: str
    magic: int = ehs.MAGIC
    version: int = ehs.VERSION
    length: int | None = None


@waiting
@pytest.mark.parametrize("wrong", [Header("78", magic=78), Header("0", magic=0)], ids=lambda h: h.label)
@case("EHS-FRAME-3", "EHS-AST-1", hostile=True)
async def test_magic(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """A first byte of {wrong} instead of 87 ends the handshake without an answer."""
    dialer = await ergo_context.dial(state=state)
    payload = payload_of(good_message(dialer, state))
    dialer.send_bytes(frame(payload, magic=wrong.magic), f"a good message behind magic {wrong.magic}")
    await dialer.expect_close()


@waiting
@pytest.mark.parametrize("wrong", [Header("0", version=0), Header("2", version=2)], ids=lambda h: h.label)
@case("EHS-FRAME-4", hostile=True)
async def test_version(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """A version of {wrong} instead of 1 ends the handshake without an answer."""
    dialer = await ergo_context.dial(state=state)
    payload = payload_of(good_message(dialer, state))
    dialer.send_bytes(frame(payload, version=wrong.version), f"a good message behind version {wrong.version}")
    await dialer.expect_close()


@waiting
@pytest.mark.parametrize(
    "wrong", [Header("65536", length=65_536), Header("4294967295", length=2**32 - 1)], ids=lambda h: h.label
)
@case("EHS-FRAME-5", "ROB-EHS-2", hostile=True)
async def test_length_above_the_limit(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """A length of {wrong} is refused at once: nobody waits for the bytes, nothing is reserved for them."""
    dialer = await ergo_context.dial(state=state)
    dialer.send_bytes(frame(b"", length=wrong.length), f"a header with length {wrong.length}")
    await dialer.expect_close(within=0.7)


@case("EHS-FRAME-5", "EHS-TIME-1", hostile=True)
async def test_length_at_the_limit(ergo_context: Context) -> None:
    """A length of 65535 is waited for, until the second of silence is over."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(b"", length=ehs.MAX_PAYLOAD), "a header with length 65535")
    await dialer.expect_close(at_least=0.6)


@case("EHS-FRAME-5", "EHS-DIG-1")
async def test_message_of_full_length(ergo_context: Context) -> None:
    """A Hello whose payload has all of 65535 bytes is served."""
    dialer = await ergo_context.dial()
    room = ehs.MAX_PAYLOAD - len(payload_of(dialer.hello(Salt="")))
    hello = dialer.hello(Salt="s" * room)
    dialer.send(hello)
    dialer.check_hello(await dialer.expect(Hello))


HELLO = payload_of(Hello("", "", ""))
BODIES = {
    "empty": b"",
    "tag_unassigned": b"\x00",
    "cut": HELLO[:-1],
    "type_unknown": HELLO.replace(b"MessageHello", b"MessageHallo"),
    "type_cached": bytes.fromhex("831000") + b"\x00" * 6,
    "atom_cached": bytes.fromhex("8c0100"),
    "nil": b"\xff",
    "string": bytes.fromhex("8d000568656c6c6f"),
    "other_struct": bytes.fromhex("830025") + b"#ergo.services/ergo/gen/MailboxQueues" + b"\x00" * 32,
    "count_too_large": bytes.fromhex("8200029d8d9dffffffff"),
}
BOMBS = {
    "array_of_4g": bytes.fromhex("8200069effffffff9700"),
    "depth_60000": b"\x84" * 60_000,
    "map_of_4g": bytes.fromhex("8200039f98989fffffffff"),
    "folded_depth_60000": bytes.fromhex("82ea60") + b"\x9d" * 60_000,
    "array_of_4g_empty": bytes.fromhex("82000b9effffffff9e000000009400"),
}
"""Small inputs that ask for much: gigabytes, endless loops, deep recursion."""


@waiting
@pytest.mark.parametrize("body", list(BODIES))
@case("EHS-FRAME-8", "EHS-FRAME-2", "ROB-EHS-1", hostile=True)
async def test_body(ergo_context: Context, state: HandshakeState, body: str) -> None:
    """A payload that is no message ({body}) ends the handshake without an answer."""
    dialer = await ergo_context.dial(state=state)
    dialer.send_bytes(frame(BODIES[body]), f"a frame whose payload is: {body.replace('_', ' ')}")
    await dialer.expect_close()


@pytest.mark.parametrize("bomb", list(BOMBS))
@case("ROB-EHS-9", "ROB-EHS-1", "ROB-EHS-2", hostile=True, dangerous=True)
async def test_bomb(ergo_context: Context, bomb: str) -> None:
    """A payload that asks for much with few bytes ({bomb}) ends the handshake in time; the node lives on."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(BOMBS[bomb]), f"a frame whose payload is: {bomb.replace('_', ' ')}")
    await dialer.expect_close()


@waiting
@case("EHS-FRAME-7", "EHS-FRAME-1")
async def test_answers_are_exact(ergo_context: Context, state: HandshakeState) -> None:
    """Every frame of the acceptor states its exact length: nothing is left over in it or behind it."""
    dialer = await ergo_context.dial(state=state)  # reads each frame with the schema, to the last byte
    if state is not HandshakeState.AWAIT_HELLO:
        chunk = await dialer.socket.read(0.3)
        dialer.check(not chunk, f"{chunk!r} behind the last message", "nothing behind the last message")


@pytest.mark.parametrize("off", [-1, 1], ids=["short_by_one", "long_by_one"])
@case("EHS-FRAME-6")
async def test_length_off_by_one(ergo_context: Context, off: int) -> None:
    """A Hello whose length is off by one: upstream takes the shorter one, an exact reader closes."""
    dialer = await ergo_context.dial()
    payload = payload_of(dialer.hello())
    dialer.send_bytes(frame(payload, length=len(payload) + off), f"a good Hello with length {off:+d}")
    if off < 0:
        await dialer.expect(Hello)
    else:
        await dialer.expect_close()


@case("EHS-FRAME-6")
async def test_byte_behind_the_value(ergo_context: Context) -> None:
    """A Hello with a byte behind its value inside the frame: upstream takes it, an exact reader closes."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(payload_of(dialer.hello()) + b"\x00"), "a good Hello with a byte behind it in the frame")
    await dialer.expect(Hello)


@pytest.mark.parametrize("size", [1, 7, 100], ids=lambda n: f"by_{n}")
@case("ROB-EHS-8", "EHS-FRAME-1")
async def test_split(ergo_context: Context, size: int) -> None:
    """A Hello and an Introduce sent in pieces of {size} bytes are read as if they came whole."""
    dialer = await ergo_context.dial()
    for message in (dialer.hello(), None):
        data = frame(payload_of(message or dialer.introduce()))
        for start in range(0, len(data), size):
            dialer.socket.write(data[start : start + size])
        if message is not None:
            await dialer.expect(Hello)
    await dialer.expect(Accept)
    await dialer.expect(ehs.Introduce)


@case("EHS-FRAME-9")
async def test_bytes_behind_hello(ergo_context: Context) -> None:
    """Bytes pipelined behind Hello: upstream drops them, a reader that keeps them finds no magic and closes."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(payload_of(dialer.hello())) + b"\x00" * 6, "a good Hello and six zero bytes in one segment")
    await dialer.expect(Hello)
    dialer.send(dialer.introduce())
    await dialer.expect(Accept)


@case("EHS-FRAME-9", "EHS-AST-5", "EHS-TIME-5")
async def test_protocol_behind_accept(ergo_context: Context) -> None:
    """The next protocol's bytes may stand in the segment of the final Accept: the link stays."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    dialer.send_bytes(frame(payload_of(Accept())) + b"\x4e\x01", "the final Accept and the beginning of an ENP frame")
    await dialer.expect_open(0.5)
