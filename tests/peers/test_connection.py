"""Scripted ENP peer against the embedded node in memory: waits, answers, violations and descriptions."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.model.values import Atom, Typed
from ergo_conformance.peers.corruption import frames as damage
from ergo_conformance.peers.ergo.connection import ANNOUNCED, Peer
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.peers.violation import ViolationError
from ergo_conformance.spec.ergo.stream import read_one
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.run.context import Context


def run_script(script: Callable[[Context, Peer], Coroutine[Any, Any, None]]) -> None:
    """Runs a script with a peer of the embedded node that has announced ids for all names."""

    async def run() -> None:
        running = await SelfTarget().start({})
        context = Context(running, random.Random(0))
        try:
            await script(context, await context.peer(caches=ANNOUNCED))
        finally:
            context.close()
            await running.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_waits_end_at_once_on_a_closed_connection() -> None:
    async def script(_: Context, peer: Peer) -> None:
        peer.send_bytes(bytes(16), "sixteen zero bytes")
        started = now()
        assert await peer.receive(5.0) is None
        assert await peer.find(lambda _: True, 5.0) is None
        await peer.expect_close()
        assert now() - started < 1.0
        with pytest.raises(ViolationError, match="the target closed the connection"):
            await peer.call("echo", 1)

    run_script(script)


def test_messages_received_during_check_alive_are_kept() -> None:
    async def script(_: Context, peer: Peer) -> None:
        for i in range(3):
            peer.send("echo", i)
        await peer.check_alive()
        assert [(await peer.receive_message()).value.payload for _ in range(3)] == [0, 1, 2]
        assert peer.skipped == []

    run_script(script)


def test_fewer_answers_than_expected_is_a_violation() -> None:
    async def script(_: Context, peer: Peer) -> None:
        peer.ask("echo", 1)
        with pytest.raises(ViolationError) as caught:
            await peer.answers(2, within=1.0)
        assert caught.value.actual.startswith("1 answers: ")
        assert caught.value.sent.startswith("RequestNameCache{")

    run_script(script)


def test_an_unexpected_answer_is_a_violation() -> None:
    async def script(_: Context, peer: Peer) -> None:
        with pytest.raises(ViolationError, match="no answer with ref"):
            await peer.expect_no_answer(peer.ask("echo", 1))
        await peer.expect_no_answer(peer.ask("echo", "!noreply"))

    run_script(script)


def test_while_busy_repeats_a_round_that_took_too_long() -> None:
    async def script(ctx: Context, peer: Peer) -> None:
        rounds = 0
        async for _ in peer.while_busy("slow"):
            rounds += 1
            await asyncio.sleep(0.1 if rounds > 1 else 0.5)
        assert rounds == 2
        started = now()
        assert await peer.call("slow", Typed(t.INT64, 0)) == Typed(t.INT64, 0)
        assert now() == started

    run_script(script)


@pytest.mark.parametrize("type_", list(FrameType), ids=lambda t: t.name.lower())
def test_the_schema_refuses_every_truncated_frame(type_: FrameType) -> None:
    async def script(_: Context, peer: Peer) -> None:
        frame = damage.valid_frame(type_, peer)
        assert not isinstance(read_one(peer.data_of(frame), 0, peer.context), Rejected)
        cuts = damage.truncated_frames(frame, peer)
        assert cuts[0].data[2:6] == enp.HEADER_LENGTH.to_bytes(4, "big")
        assert len({cut.data for cut in cuts}) == len(cuts) >= len(damage.fields_of(frame, peer))
        for cut in cuts:
            assert int.from_bytes(cut.data[2:6], "big") == len(cut.data)
            assert isinstance(read_one(cut.data, 0, peer.context), Rejected)

    run_script(script)


# --- frames of other releases -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False], ids=["one_segment", "two_segments"])
def test_a_frame_of_an_unknown_type_from_the_target_is_dropped(at_once: bool) -> None:
    async def script(_: Context, peer: Peer) -> None:
        extend, keep_alive = damage.header(99, order=0), damage.header(208, order=0)
        known = peer.data_of(enp.MessagePID(0, 1, 0, 0, 1007, "hello"))
        for chunk in (extend + keep_alive + known,) if at_once else (extend, keep_alive[:5], keep_alive[5:] + known):
            peer.sockets[0].data_received(chunk)
        assert (await peer.receive_message()).value.payload == "hello"
        assert peer.skipped == []
        await peer.expect_none(lambda _: True, "frame")

    run_script(script)


def test_an_update_of_the_testers_caches_counts_in_the_transcript() -> None:
    async def script(_: Context, peer: Peer) -> None:
        update = enp.UpdateCache({400: Atom("later")}, None, None, None, peer.control_ref())
        peer.send_frame(enp.Control(0, update))
        await peer.result(update.Ref)
        frame = enp.MessageNameCache(0, 1, 0, 0, Atom("later"), "hi")
        peer.send_bytes(peer.data_of(frame, Caches(atoms={400: Atom("later")})), "a name of the update")
        text = peer.sockets[0].transcript.lines()[-1].text
        assert text == "MessageNameCache{order: 0, from_id: 1, priority: 0, mid: 0, to_name: 'later', payload: \"hi\"}"

    run_script(script)


def test_a_frame_of_an_unknown_type_with_a_wrong_magic_is_a_violation() -> None:
    async def script(_: Context, peer: Peer) -> None:
        peer.sockets[0].data_received(b"\x4f" + damage.header(99)[1:])
        with pytest.raises(ViolationError, match="bytes that are not a frame"):
            await peer.receive(1.0)

    run_script(script)


def test_a_violation_has_the_exchange_before_the_last_sent_message() -> None:
    async def script(_: Context, peer: Peer) -> None:
        assert await peer.call("echo", "first") == "first"
        with pytest.raises(ViolationError) as raised:
            peer.check_equal(await peer.call("echo", [1, "second"]), [1, "third"], "the answer")
        violation = raised.value
        assert [line[:9] for line in violation.before] == ["> Request", "< Respons"]
        assert '"first"' in violation.before[1]
        assert '"second"' in violation.sent
        assert (violation.actual, violation.expected) == ('[1, "second"]', ('[1, "third"], the answer',))
        assert violation.difference == '[1]: expected "third", received "second"'

    run_script(script)


def test_a_frame_that_ends_early_is_described_by_what_its_header_announces() -> None:
    async def script(_: Context, peer: Peer) -> None:
        peer.sockets[0].data_received(bytes.fromhex("4e01 000000bd 00 65 0011"))
        with pytest.raises(ViolationError, match="no such frame within 1 s; the header announces 189 bytes, 10 came"):
            await peer.wait_for(lambda _: False, "anything", 1.0)

    run_script(script)
