"""Scripted dialer: expected messages and closes, time limits, and the text of violations."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ergo_conformance.model.ergo.ehs import Accept, Hello
from ergo_conformance.peers.ergo.dialer import Dialer
from ergo_conformance.peers.ergo.handshake import TargetInfo, frame, payload_of
from ergo_conformance.peers.memory import VirtualLoop, connect_memory
from ergo_conformance.peers.violation import ViolationError

pytestmark = pytest.mark.real_loop

HELLO = frame(payload_of(Hello("salt", "digest")))


class Script(asyncio.Protocol):
    """Peer of the dialer. Executes each step at its time after the socket opens."""

    def __init__(self, *steps: tuple[float, Callable[[asyncio.Transport], None]]) -> None:
        self.steps = steps

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        for after, step in self.steps:
            asyncio.get_running_loop().call_later(after, step, transport)


def sends(data: bytes) -> Callable[[asyncio.Transport], None]:
    return lambda transport: transport.write(data)


def closes(transport: asyncio.Transport) -> None:
    transport.close()


def resets(transport: asyncio.Transport) -> None:
    transport.abort()


def run_script(script: Script, action: Callable[[Dialer], Coroutine[Any, Any, Any]]) -> tuple[Any, float]:
    """Runs an action of a dialer; returns its result or violation, and the time of its end."""

    async def run() -> tuple[Any, float]:
        dialer = Dialer(connect_memory(script), TargetInfo("a@b", "cookie"), random.Random(0))
        try:
            found = await action(dialer)
        except ViolationError as error:
            found = error
        return found, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


def actual_of(script: Script, action: Callable[[Dialer], Coroutine[Any, Any, Any]]) -> str:
    """Returns what the violation of an action reports as received."""
    found, _ = run_script(script, action)
    assert isinstance(found, ViolationError), found
    return found.actual


def test_a_message_in_pieces_is_one_message() -> None:
    pieces = [(0.1 * i, sends(HELLO[i : i + 1])) for i in range(len(HELLO))]
    found, _ = run_script(Script(*pieces), lambda d: d.expect(Hello, within=60))
    assert found == Hello("salt", "digest")


def test_two_messages_in_one_piece_are_two() -> None:
    async def both(dialer: Dialer) -> list[Any]:
        return [await dialer.expect(Hello), await dialer.expect(Accept)]

    found, _ = run_script(Script((0, sends(HELLO + frame(payload_of(Accept()))))), both)
    assert found == [Hello("salt", "digest"), Accept()]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([], "nothing within 5 s"),
        ([(0.0, sends(HELLO[:9]))], "nothing within 5 s; the header announces 71 bytes, 9 came"),
        ([(0.5, closes)], "the target closed the socket"),
        (
            [(0.5, sends(HELLO[:9])), (0.6, closes)],
            "the target closed the socket; the header announces 71 bytes, 9 came",
        ),
        ([(0.5, resets)], "the target reset the socket"),
        ([(0.0, sends(b"HTTP/1.1 400"))], "bytes that are not a handshake frame"),
        ([(0.0, sends(b"\x57\x01\xff\xff\xff\xff"))], "bytes that are not a handshake frame"),
        ([(0.0, sends(frame(b"\x00")))], "bytes that are not a handshake frame"),
        ([(0.0, sends(frame(payload_of(Accept()))))], "Accept{"),
        ([(0.0, sends(HELLO[:4])), (0.1, closes)], "the target closed the socket, after 4 bytes of a header"),
        (
            [(0.0, sends(frame(payload_of(Hello("salt", "digest")) + bytes(3))))],
            (
                "bytes that are not a handshake frame: bytes left over (3 bytes), offset 71; "
                "the header announces 68 bytes, the message has 65; 57010000 0044"
            ),
        ),
        (
            [(0.0, sends(frame(payload_of(Hello("salt", "digest")), length=60)))],
            (
                "bytes that are not a handshake frame: end of data (6 bytes needed, 3 left) at message.Digest, offset 63; "
                "the header announces 60 bytes, too few for the message; 57010000 003c8300 "
            ),
        ),
    ],
)
def test_expect_hello_reports_what_was_received_instead(steps: list[Any], text: str) -> None:
    assert actual_of(Script(*steps), lambda d: d.expect(Hello)).startswith(text)


def test_single_bytes_do_not_extend_the_limit_of_expect() -> None:
    drip = [(0.2 * i, sends(b"\x57\x01\x00\x00\xff\xff"[i : i + 1] or b"\x00")) for i in range(200)]
    found, when = run_script(Script(*drip), lambda d: d.expect(Hello))
    assert isinstance(found, ViolationError)
    assert when < 5.5


def test_expect_close_waits_for_the_close_and_returns_its_time() -> None:
    assert run_script(Script((2.0, closes)), lambda d: d.expect_close()) == (pytest.approx(2.0), pytest.approx(2.0))
    assert run_script(Script((2.0, resets)), lambda d: d.expect_close())[0] == pytest.approx(2.0)
    assert actual_of(Script(), lambda d: d.expect_close()) == "the socket is still open after 5 s"
    assert (
        actual_of(Script((2.0, closes)), lambda d: d.expect_close(at_least=3.0))
        == "the target closed the socket after 2.00 s"
    )


def test_bytes_before_the_close_fail_unless_they_are_allowed() -> None:
    script = [(1.0, sends(b"oh")), (2.0, closes)]
    assert actual_of(Script(*script), lambda d: d.expect_close()).startswith("the target sent 2 bytes: 6f68")
    assert run_script(Script(*script), lambda d: d.expect_close(bytes_allowed=True))[0] == pytest.approx(2.0)


class Flood(asyncio.Protocol):
    """Peer that sends a chunk in every turn of the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.more()

    def more(self) -> None:
        self.transport.write(b"more")
        self.turn = asyncio.get_running_loop().call_soon(self.more)


async def test_expect_close_fails_while_the_peer_keeps_sending() -> None:
    flood = Flood()
    dialer = Dialer(connect_memory(flood), TargetInfo("a@b", "cookie"), random.Random(0))
    started = asyncio.get_running_loop().time()
    with pytest.raises(ViolationError, match="still open"):
        async with asyncio.timeout(10):
            await dialer.expect_close(within=0.3, bytes_allowed=True)
    flood.turn.cancel()
    assert asyncio.get_running_loop().time() - started < 5.0


def test_expect_open_fails_if_the_socket_closes_within_the_period() -> None:
    assert run_script(Script((0.5, sends(b"anything"))), lambda d: d.expect_open(2.0)) == (None, pytest.approx(2.0))
    assert actual_of(Script((0.5, closes)), lambda d: d.expect_open(2.0)).startswith(
        "the target closed the socket after 0.50 s"
    )


def test_a_wrong_digest_gives_a_violation_with_requirement_and_expected_digest() -> None:
    async def checks(dialer: Dialer) -> None:
        dialer.send(dialer.hello())
        dialer.check_hello(Hello("salt", "\x1b[31m wrong"))

    found, _ = run_script(Script(), checks)
    assert isinstance(found, ViolationError)
    assert "EHS-DIG-2" in found.expected[0]
    assert "wrong" in found.actual
    assert found.sent.startswith("Hello{")
    assert found.requirement == "EHS-DIG-2"
