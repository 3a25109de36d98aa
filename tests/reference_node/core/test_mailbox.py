"""Mailboxes: the urgent queues first, each of limited size; a process with much to do lets others run."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.values import PID, Atom
from ergo_conformance.reference_node.api.messages import Message
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.mailbox import YIELD_AFTER, Mailbox
from ergo_conformance.reference_node.core.process import Process
from tests.support.nodes import node, settle

SENDER = PID(Atom("x@y"), 1, 1)
NORMAL, HIGH, MAX = Priority.NORMAL, Priority.HIGH, Priority.MAX


def message(payload: Any) -> Message:
    return Message(SENDER, payload)


def emptied(mailbox: Mailbox) -> list[Any]:
    found = []
    while (envelope := mailbox.take()) is not None:
        assert isinstance(envelope, Message)
        found.append(envelope.payload)
    return found


def test_the_urgent_come_first_and_each_queue_in_its_order() -> None:
    mailbox = Mailbox(0)
    for i, priority in enumerate([NORMAL, HIGH, MAX, NORMAL, HIGH, MAX]):
        assert mailbox.put(message(i), priority)
    assert len(mailbox) == 6
    assert emptied(mailbox) == [2, 5, 1, 4, 0, 3]
    assert len(mailbox) == 0


def test_the_limit_holds_for_each_queue_alone() -> None:
    mailbox = Mailbox(2)
    for priority in (NORMAL, MAX, HIGH):
        assert [mailbox.put(message(i), priority) for i in range(3)] == [True, True, False]
    assert emptied(mailbox) == [0, 1] * 3
    assert mailbox.put(message("again"), NORMAL)


def test_a_signal_is_never_lost() -> None:
    mailbox = Mailbox(1)
    for i in range(3):
        mailbox.put_signal(message(i), MAX)
    assert not mailbox.put(message(3), MAX)
    assert emptied(mailbox) == [0, 1, 2]


def test_no_limit_is_no_limit() -> None:
    mailbox = Mailbox(0)
    assert all(mailbox.put(message(i), NORMAL) for i in range(10_000))


@pytest.mark.parametrize("priority", list(Priority))
async def test_a_message_wakes_who_waits(priority: Priority) -> None:
    mailbox = Mailbox(1)
    waiting = asyncio.create_task(mailbox.get())
    await settle()
    assert not waiting.done()
    assert mailbox.put(message("now"), priority)
    assert (await waiting) == message("now")


async def test_who_waits_may_give_up() -> None:
    mailbox = Mailbox(0)
    waiting = asyncio.create_task(mailbox.get())
    await settle()
    waiting.cancel()
    await settle()
    assert mailbox.put(message("kept"), NORMAL)
    assert await mailbox.get() == message("kept")


# --- fairness ---------------------------------------------------------------------------------------------------------


class Counting(Actor):
    """An actor whose handlers never wait."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.count += 1


async def counting(process: Process, counts: list[int]) -> None:
    """The same as a coroutine."""
    while True:
        await process.receive()
        counts[0] += 1


@pytest.mark.parametrize("kind", ["actor", "coroutine"])
async def test_a_busy_process_lets_others_run(kind: str) -> None:
    b = node()
    actor, counts = Counting(), [0]
    process = b.spawn(actor) if kind == "actor" else b.spawn(counting, counts)
    await settle()
    many = 10 * YIELD_AFTER
    for i in range(many):
        b.core.tables.deliver(process, message(i), NORMAL)
    seen = [0]
    while seen[-1] < many:
        await asyncio.sleep(0)
        seen.append(actor.count + counts[0])
    steps = [later - earlier for earlier, later in pairwise(seen)]
    assert max(steps) <= many // 2
    assert len([step for step in steps if step]) > 5
    await b.stop()


@pytest.mark.parametrize("kind", ["actor", "coroutine"])
async def test_a_flood_does_not_pile_up(kind: str) -> None:
    """More messages in each turn of the loop than TURNS: the mailbox stays short all the same."""
    b = node()
    actor, counts = Counting(), [0]
    process = b.spawn(actor) if kind == "actor" else b.spawn(counting, counts)
    longest, each = 0, 5 * YIELD_AFTER
    for _ in range(100):
        for i in range(each):
            b.core.tables.deliver(process, message(i), NORMAL)
        longest = max(longest, len(process.mailbox))
        await asyncio.sleep(0)
    assert longest <= 3 * each
    await settle()
    assert actor.count + counts[0] == 100 * each
    await b.stop()
