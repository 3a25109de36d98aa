"""Frames of the handshake: header, length and payload, in every state in which an acceptor waits for a message."""

from dataclasses import dataclass

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Accept, HandshakeState, Hello
from ergo_conformance.testing import AGENTS, Context, Dialer, Peer, case, frame, payload_of

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
    await ergo_context.expect_refusal(
        lambda dialer: dialer.send_bytes(
            frame(payload_of(good_message(dialer, state)), magic=wrong.magic),
            f"a valid message with magic {wrong.magic}",
        ),
        state,
    )


@waiting
@pytest.mark.parametrize("wrong", [Header("0", version=0), Header("2", version=2)], ids=lambda h: h.label)
@case("EHS-FRAME-4", hostile=True)
async def test_version(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """An acceptor closes the socket without a reply when the version byte is {wrong} instead of 1."""
    await ergo_context.expect_refusal(
        lambda dialer: dialer.send_bytes(
            frame(payload_of(good_message(dialer, state)), version=wrong.version),
            f"a valid message with version {wrong.version}",
        ),
        state,
    )


@waiting
@pytest.mark.parametrize(
    "wrong", [Header("65536", length=65_536), Header("4294967295", length=2**32 - 1)], ids=lambda h: h.label
)
@case("EHS-FRAME-5", "ROB-EHS-2", hostile=True)
async def test_length_above_the_limit(ergo_context: Context, state: HandshakeState, wrong: Header) -> None:
    """An acceptor closes the socket at once, without waiting or allocating, when a header announces {wrong} bytes."""
    data = frame(b"", length=wrong.length)
    await ergo_context.expect_refusal(
        lambda dialer: dialer.send_bytes(data, f"a header with length {wrong.length}"), state
    )


HEADERS = {
    "magic": frame(b"", magic=78, length=200),
    "version": frame(b"", version=2, length=200),
    "length": frame(b"", length=65_536),
}


@waiting
@pytest.mark.parametrize("wrong", HEADERS)
@case("EHS-FRAME-3", "EHS-FRAME-4", "EHS-FRAME-5", hostile=True)
async def test_header_alone(ergo_context: Context, state: HandshakeState, wrong: str) -> None:
    """An acceptor closes the socket at once when a header has a wrong {wrong}: it does not wait for the payload."""
    description = f"a header with a wrong {wrong}, without the payload"
    await ergo_context.expect_refusal(lambda dialer: dialer.send_bytes(HEADERS[wrong], description), state)


@case("EHS-FRAME-5", "EHS-TIME-1", hostile=True)
async def test_length_at_the_limit(ergo_context: Context) -> None:
    """An acceptor waits for a payload of 65535 bytes until one second of silence has passed."""
    data = frame(b"", length=ehs.MAX_PAYLOAD)
    await ergo_context.expect_time_limit(send=lambda dialer: dialer.send_bytes(data, "a header with length 65535"))


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
    description = f"a frame whose payload is: {body.replace('_', ' ')}"
    await ergo_context.expect_refusal(lambda dialer: dialer.send_bytes(frame(BODIES[body]), description), state)


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
    await dialer.expect_silence(0.3, "no bytes after the last message")


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


@pytest.mark.parametrize("calls", [1, 3], ids=lambda n: f"{n}_calls")
@case("ROB-EHS-13", offers=AGENTS)
async def test_calls_behind_accept(ergo_context: Context, calls: int) -> None:
    """An acceptor answers calls that arrive in one segment with the final Accept ({calls}), in their order."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    peer = Peer([dialer], dialer.target_introduce)
    refs = [peer.new_ref() for _ in range(calls)]
    frames = [peer.data_of(peer.request("echo", f"call {number}", ref)) for number, ref in enumerate(refs)]
    data = frame(payload_of(Accept())) + b"".join(frames)
    peer.send_bytes(data, f"the final Accept and {calls} calls in one segment")
    for number, ref in enumerate(refs):
        answer = (await peer.answer(ref)).value
        peer.check(getattr(answer, "payload", None) == f"call {number}", answer, f"the answer 'call {number}'")


@case("ROB-EHS-13", offers=AGENTS)
async def test_part_of_a_frame_behind_accept(ergo_context: Context) -> None:
    """An acceptor handles a frame whose first half arrives in one segment with the final Accept."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    peer = Peer([dialer], dialer.target_introduce)
    ref = peer.new_ref()
    call = peer.data_of(peer.request("echo", "in two parts", ref))
    peer.send_bytes(frame(payload_of(Accept())) + call[:11], "the final Accept and the first bytes of a call")
    await dialer.expect_open(0.2)
    peer.send_bytes(call[11:], "the other bytes of the call")
    answer = (await peer.answer(ref)).value
    peer.check(getattr(answer, "payload", None) == "in two parts", answer, "the answer 'in two parts'")
