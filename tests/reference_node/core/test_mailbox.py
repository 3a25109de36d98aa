"""Mailboxes: queues by priority with a size limit each; a busy process yields to others."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.values import PID, Atom
from ergo_conformance.reference_node.api.messages import Message
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.mailbox import Mailbox
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.turns import MOST
from tests.support.nodes import node, settle

SENDER = PID(Atom("x@y"), 1, 1)
NORMAL, HIGH, MAX = Priority.NORMAL, Priority.HIGH, Priority.MAX


def message(payload: Any) -> Message:
    return Message(SENDER, payload)


def take_all(mailbox: Mailbox) -> list[Any]:
    found = []
    while (envelope := mailbox.take()) is not None:
        assert isinstance(envelope, Message)
        found.append(envelope.payload)
    return found


def test_messages_are_taken_by_priority_and_then_in_order() -> None:
    mailbox = Mailbox(0)
    for i, priority in enumerate([NORMAL, HIGH, MAX, NORMAL, HIGH, MAX]):
        assert mailbox.put(message(i), priority)
    assert len(mailbox) == 6
    assert take_all(mailbox) == [2, 5, 1, 4, 0, 3]
    assert len(mailbox) == 0


def test_the_limit_applies_to_each_queue() -> None:
    mailbox = Mailbox(2)
    for priority in (NORMAL, MAX, HIGH):
        assert [mailbox.put(message(i), priority) for i in range(3)] == [True, True, False]
    assert take_all(mailbox) == [0, 1] * 3
    assert mailbox.put(message("again"), NORMAL)


def test_a_signal_is_queued_above_the_limit() -> None:
    mailbox = Mailbox(1)
    for i in range(3):
        mailbox.put_signal(message(i), MAX)
    assert not mailbox.put(message(3), MAX)
    assert take_all(mailbox) == [0, 1, 2]


def test_a_mailbox_with_size_0_has_no_limit() -> None:
    mailbox = Mailbox(0)
    assert all(mailbox.put(message(i), NORMAL) for i in range(10_000))


@pytest.mark.parametrize("priority", list(Priority))
async def test_a_message_wakes_a_waiting_get(priority: Priority) -> None:
    mailbox = Mailbox(1)
    waiting = asyncio.create_task(mailbox.get())
    await settle()
    assert not waiting.done()
    assert mailbox.put(message("now"), priority)
    assert (await waiting) == message("now")


async def test_a_cancelled_get_loses_no_message() -> None:
    mailbox = Mailbox(0)
    waiting = asyncio.create_task(mailbox.get())
    await settle()
    waiting.cancel()
    await settle()
    assert mailbox.put(message("kept"), NORMAL)
    assert await mailbox.get() == message("kept")


# --- fairness ---------------------------------------------------------------------------------------------------------


class CountingActor(Actor):
    """An actor whose handlers never wait."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.count += 1


async def count_messages(process: Process, counts: list[int]) -> None:
    """Counts messages, as a coroutine."""
    while True:
        await process.receive()
        counts[0] += 1


@pytest.mark.parametrize("kind", ["actor", "coroutine"])
async def test_a_busy_process_yields_to_others(kind: str) -> None:
    b = node()
    actor, counts = CountingActor(), [0]
    process = b.spawn(actor) if kind == "actor" else b.spawn(count_messages, counts)
    await settle()
    many = 10 * MOST
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
