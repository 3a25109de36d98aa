"""Frames of the handshake: header, length and payload, in every state in which an acceptor waits for a message."""

from dataclasses import dataclass

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Accept, HandshakeState, Hello
from ergo_conformance.model.show import show
from ergo_conformance.testing import Context, Dialer, case, frame, payload_of

WAITING = (HandshakeState.AWAIT_HELLO, HandshakeState.HELLO_ANSWERED, HandshakeState.AWAIT_ACCEPT)
waiting = pytest.mark.parametrize("state", WAITING, ids=lambda state: state.name.lower())


def good_message(dialer: Dialer, state: HandshakeState) -> ehs.Message:
    """Returns the message that a conforming dialer sends in this state."""
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
    """An acceptor closes the socket without a reply when the first byte is {wrong} instead of 87."""
    dialer = await ergo_context.dial(state=state)
    payload = payload_of(good_message(dialer, state))
    dialer.send_bytes(frame(payload, magic=wrong.magic), f"a valid message with magic {wrong.magic}")
    await dialer.expect_close()


@waiting
@pytest.mark.parametrize("wrong", [Header("0", version=0), Header("2", version=2)], ids=lambda h: h.label)
@case("EHS-FRAME-4", hostile=True)
async def test_version(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """An acceptor closes the socket without a reply when the version byte is {wrong} instead of 1."""
    dialer = await ergo_context.dial(state=state)
    payload = payload_of(good_message(dialer, state))
    dialer.send_bytes(frame(payload, version=wrong.version), f"a valid message with version {wrong.version}")
    await dialer.expect_close()


@waiting
@pytest.mark.parametrize(
    "wrong", [Header("65536", length=65_536), Header("4294967295", length=2**32 - 1)], ids=lambda h: h.label
)
@case("EHS-FRAME-5", "ROB-EHS-2", hostile=True)
async def test_length_above_the_limit(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """An acceptor closes the socket at once, without waiting or allocating, when a header announces {wrong} bytes."""
    dialer = await ergo_context.dial(state=state)
    dialer.send_bytes(frame(b"", length=wrong.length), f"a header with length {wrong.length}")
    await dialer.expect_close(within=0.7)


@case("EHS-FRAME-5", "EHS-TIME-1", hostile=True)
async def test_length_at_the_limit(ergo_context: Context) -> None:
    """An acceptor waits for a payload of 65535 bytes until one second of silence has passed."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(b"", length=ehs.MAX_PAYLOAD), "a header with length 65535")
    await dialer.expect_close(at_least=0.6)


@case("EHS-FRAME-5", "EHS-DIG-1")
async def test_message_of_full_length(ergo_context: Context) -> None:
    """An acceptor answers a Hello whose payload has the maximum length of 65535 bytes."""
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
"""Small inputs that request huge resources: gigabytes, endless loops, deep recursion."""


@waiting
@pytest.mark.parametrize("body", list(BODIES))
@case("EHS-FRAME-8", "EHS-FRAME-2", "ROB-EHS-1", hostile=True)
async def test_body(ergo_context: Context, state: HandshakeState, body: str) -> None:
    """An acceptor closes the socket without a reply when the payload is not a valid message ({body})."""
    dialer = await ergo_context.dial(state=state)
    dialer.send_bytes(frame(BODIES[body]), f"a frame whose payload is: {body.replace('_', ' ')}")
    await dialer.expect_close()


@pytest.mark.parametrize("bomb", list(BOMBS))
@case("ROB-EHS-9", "ROB-EHS-1", "ROB-EHS-2", hostile=True, dangerous=True)
async def test_bomb(ergo_context: Context, bomb: str) -> None:
    """An acceptor closes the socket in time and keeps running when a small payload requests huge resources ({bomb})."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(BOMBS[bomb]), f"a frame whose payload is: {bomb.replace('_', ' ')}")
    await dialer.expect_close()


@waiting
@case("EHS-FRAME-7", "EHS-FRAME-1")
async def test_answers_are_exact(ergo_context: Context, state: HandshakeState) -> None:
    """Every frame of the acceptor states its exact length: no bytes are left over inside the frame or after it."""
    dialer = await ergo_context.dial(state=state)  # reads each frame with the schema, up to its last byte
    if state is not HandshakeState.AWAIT_HELLO:
        chunk = await dialer.socket.read(0.3)
        dialer.check(not chunk, f"{show(chunk)} after the last message", "no bytes after the last message")


@pytest.mark.parametrize("off", [-1, 1], ids=["short_by_one", "long_by_one"])
@case("EHS-FRAME-6")
async def test_length_off_by_one(ergo_context: Context, off: int) -> None:
    """Upstream accepts a Hello whose stated length is one byte too small and closes the socket if it is one too large."""
    dialer = await ergo_context.dial()
    payload = payload_of(dialer.hello())
    dialer.send_bytes(frame(payload, length=len(payload) + off), f"a valid Hello, its length changed by {off:+d}")
    if off < 0:
        await dialer.expect(Hello)
    else:
        await dialer.expect_close()


@case("EHS-FRAME-6")
async def test_byte_behind_the_value(ergo_context: Context) -> None:
    """Upstream accepts a Hello with one byte after its value inside the frame; an exact reader closes the socket."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(frame(payload_of(dialer.hello()) + b"\x00"), "a valid Hello with one more byte in the frame")
    await dialer.expect(Hello)


@pytest.mark.parametrize("size", [1, 7, 100], ids=lambda n: f"by_{n}")
@case("ROB-EHS-8", "EHS-FRAME-1")
async def test_split(ergo_context: Context, size: int) -> None:
    """An acceptor reads a Hello and an Introduce sent in pieces of {size} bytes as if they had arrived whole."""
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
    """Upstream drops bytes sent after Hello in one segment; a reader that keeps them finds no magic and closes the socket."""
    dialer = await ergo_context.dial()
    dialer.send_bytes(
        frame(payload_of(dialer.hello())) + b"\x00" * 6, "a valid Hello and six zero bytes in one segment"
    )
    await dialer.expect(Hello)
    dialer.send(dialer.introduce())
    await dialer.expect(Accept)


@case("EHS-FRAME-9", "EHS-AST-5", "EHS-TIME-5")
async def test_protocol_behind_accept(ergo_context: Context) -> None:
    """An acceptor keeps the socket open when bytes of the next protocol arrive in the segment of the final Accept."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    dialer.send_bytes(frame(payload_of(Accept())) + b"\x4e\x01", "the final Accept and the first bytes of an ENP frame")
    await dialer.expect_open(0.5)
