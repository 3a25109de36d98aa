"""Messages out of order: for each state of the acceptor, every message that the state table does not allow."""

from collections.abc import Callable

import pytest

from ergo_conformance.model.ergo.ehs import STEPS, Accept, HandshakeState, Hello, Introduce, Join, Message, Role
from ergo_conformance.testing import Context, Dialer, case

MESSAGES: tuple[type[Message], ...] = (Hello, Join, Introduce, Accept)
ILLEGAL = [
    (state, message)
    for (role, state), row in STEPS.items()
    if role is Role.ACCEPTOR and state is not HandshakeState.DONE
    for message in MESSAGES
    if message not in row
]


@pytest.mark.parametrize(
    ("state", "message"), ILLEGAL, ids=[f"{message.__name__}-{state.name}".lower() for state, message in ILLEGAL]
)
@case("EHS-FRAME-8", "EHS-AST-1", "EHS-AST-3", "EHS-AST-5", "ROB-EHS-4", hostile=True)
async def test_illegal(ergo_context: Context, state: HandshakeState, message: type[Message]) -> None:
    """An acceptor closes the socket without a reply when a valid message arrives in a state that does not expect it."""
    good: dict[type[Message], Callable[[Dialer], Message]] = {
        Hello: Dialer.hello,
        Join: lambda dialer: dialer.join(dialer.token(32)),
        Introduce: Dialer.introduce,
        Accept: lambda _: Accept(),
    }
    await ergo_context.expect_refusal(lambda dialer: dialer.send(good[message](dialer)), state)


@case("EHS-AST-4", "EHS-FRAME-9")
async def test_accept_comes_before_introduce(ergo_context: Context) -> None:
    """An acceptor answers a valid Introduce first with Accept and then with its own Introduce."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    dialer.send(dialer.introduce())
    await dialer.expect(Accept)
    await dialer.expect(Introduce)


@case("EHS-AST-2", "ROB-EHS-4")
async def test_acceptor_waits_for_the_dialer(ergo_context: Context) -> None:
    """An acceptor sends nothing before the dialer's first message."""
    dialer = await ergo_context.dial()
    await dialer.expect_silence(0.4, "no bytes before Hello or Join")


@case("EHS-AST-3", "ROB-EHS-4")
async def test_acceptor_waits_for_introduce(ergo_context: Context) -> None:
    """After its Hello, an acceptor sends nothing before the dialer's Introduce."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    await dialer.expect_silence(0.4, "no bytes between Hello and Introduce")


@case("EHS-AST-5", "ROB-EHS-10")
async def test_final_accept_may_hold_anything(ergo_context: Context) -> None:
    """An acceptor ignores the contents of the dialer's final Accept: an Accept with filled fields completes the handshake."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    dialer.send(Accept("an id", 99, ["127.0.0.1:1"], "a digest", "another"))
    await dialer.expect_open(1.6)
