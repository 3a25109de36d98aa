"""Calls: answers carry the reference of the call and reach the caller; errors; calls without an answer."""

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, enp, error_values
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.enp import Code, Words
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom, Error, Typed
from ergo_conformance.peers.corruption.frames import UNKNOWN_ALIAS, UNKNOWN_NAME, UNKNOWN_PROCESS
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, PROCESS, Address, Context, Peer, case, set_up

LAST = 2**64 - 1
UNKNOWN: dict[str, Address] = {
    "pid": UNKNOWN_PROCESS,
    "name": str(UNKNOWN_NAME),
    "cached_name": str(UNKNOWN_NAME),
    "alias": UNKNOWN_ALIAS,
}
unknown = pytest.mark.parametrize("whom", list(UNKNOWN))


async def response(peer: Peer, ref: Words, sender: int = PROCESS) -> enp.Response:
    """Returns the answer to a call, which must be a Response."""
    frame = (await peer.answer(ref, sender=sender)).value
    peer.check(isinstance(frame, enp.Response), frame, "a Response")
    answer: enp.Response = frame
    return answer


@pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
@case("ENP-T-121", "ENP-T-122", "ENP-T-123", "ENP-T-129", "ENP-REQ-1", offers=AGENTS)
async def test_call(ergo_context: Context, by: str) -> None:
    """A target answers a call to `echo` by {by} with the same value, from the PID of `echo`, with the call's reference."""
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES)
    pid = await peer.echo_id()
    ref = peer.ask(pid if by == "pid" else "echo", ["question", 1])
    answer = await response(peer, ref)
    peer.check(answer.payload == ["question", 1], answer.payload, "the value that was sent")
    peer.check(answer.from_id == pid, answer, f"an answer from echo's PID {pid}")


@case("ENP-T-122", "ENP-T-123", offers=AGENTS)
async def test_announced_name_as_text(ergo_context: Context) -> None:
    """A target accepts a call by name as text even if the caller announced an id for the name."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    ref = peer.new_ref()
    peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, ref, Atom("echo"), "question"))
    answer = await response(peer, ref)
    peer.check(answer.payload == "question", answer.payload, "the value that was sent")


REFERENCES: tuple[Words, ...] = ((0, 0, 0), (1, 2, 3), (LAST, LAST, LAST), (0, 0, LAST), (2**63, 0, 1))


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_reference(ergo_context: Context) -> None:
    """A target returns all three words of a reference unchanged, whatever their values."""
    peer = await ergo_context.peer()
    for words in REFERENCES:
        peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, words, Atom("echo"), "question"))
        answer = await response(peer, words)
        peer.check(answer.payload == "question", answer.payload, "the value that was sent")


@pytest.mark.parametrize("caller", [0, LAST], ids=lambda n: f"from_{n}")
@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_caller_of_any_number(ergo_context: Context, caller: int) -> None:
    """A target addresses the answer to a caller with the number {caller} to that number."""
    peer = await ergo_context.peer()
    answer = await response(peer, peer.ask("echo", "question", sender=caller), caller)
    peer.check(answer.payload == "question", answer.payload, "the value that was sent")


@case("ENP-ORD-2", offers=AGENTS)
async def test_order_byte_of_an_answer(ergo_context: Context) -> None:
    """Upstream writes the caller's number modulo 255 as the order byte of an answer."""
    peer = await ergo_context.peer()
    for caller in (1, 254, 255, 256, 1007, LAST):
        with set_up("ENP-REQ-1"):
            answer = await response(peer, peer.ask("echo", "question", sender=caller), caller)
        order = caller % enp.ORDER_MODULUS
        peer.check(answer.order == order, f"order byte {answer.order} for caller {caller}", f"order byte {order}")


@case("ENP-T-129", "ENP-REQ-1", offers=AGENTS)
async def test_own_pid(ergo_context: Context) -> None:
    """A target answers `!self` to `echo` with a callable PID of its node and of its introduced creation."""
    peer = await ergo_context.peer()
    pid = await peer.echo_id()
    answer = await response(peer, peer.ask(pid, "!self"))
    peer.check(answer.payload == peer.target_pid(pid), answer.payload, "the same PID")


# --- many calls -------------------------------------------------------------------------------------------------------


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_many_callers(ergo_context: Context) -> None:
    """A target answers two hundred concurrent calls of different processes exactly once each, with the right value."""
    peer = await ergo_context.peer()
    asked = {peer.ask("echo", f"question of {caller}", sender=caller): caller for caller in range(2000, 2200)}
    for answer in await peer.answers(len(asked)):
        caller = asked.pop(answer.ref, None)
        peer.check(caller is not None, answer, "one answer to each call")
        found = (answer.to_id, getattr(answer, "payload", None))
        peer.check(found == (caller, f"question of {caller}"), answer, f"the answer to caller {caller}")


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_many_calls_of_one(ergo_context: Context) -> None:
    """A target answers two hundred calls of one process exactly once each when no answer is read in between."""
    peer = await ergo_context.peer()
    asked = {peer.ask("echo", i): i for i in range(200)}
    for answer in await peer.answers(len(asked)):
        wanted = asked.pop(answer.ref, None)
        peer.check(wanted is not None, answer, "one answer to each call")
        peer.check(getattr(answer, "payload", None) == wanted, answer, f"the value {wanted}")


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_same_reference_of_two_callers(ergo_context: Context) -> None:
    """A target distinguishes two callers that use the same reference by their numbers."""
    peer = await ergo_context.peer()
    for caller in (3001, 3002):
        peer.send_frame(enp.RequestName(ORDER, caller, 0, (7, 8, 9), Atom("echo"), caller))
    for caller in (3002, 3001):
        answer = await response(peer, (7, 8, 9), caller)
        peer.check(answer.payload == caller, answer, f"the value {caller}")


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_same_reference_of_two_nodes(ergo_context: Context) -> None:
    """A target answers two nodes whose processes use the same number and the same reference separately."""
    peers = [await ergo_context.peer(), await ergo_context.peer()]
    for i, peer in enumerate(peers):
        peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, (7, 8, 9), Atom("echo"), i))
    for i, peer in enumerate(peers):
        answer = await response(peer, (7, 8, 9))
        peer.check(answer.payload == i, answer, f"the value {i}")


@case("ENP-T-129", "ENP-REQ-3", offers=AGENTS, exclusive=True)
async def test_late_answer(ergo_context: Context) -> None:
    """A target sends the answer of `echo` before the answer of `slow`, which takes 300 ms."""
    peer = await ergo_context.peer()
    late = peer.ask("slow", Typed(t.INT64, 300))
    soon = peer.ask("echo", "question")
    first, second = await peer.answers(2)
    peer.check((first.ref, second.ref) == (soon, late), [first, second], "the answer of echo, then the answer of slow")
    peer.check(second.payload == Typed(t.INT64, 300), second, "the value that was sent")


# --- errors -----------------------------------------------------------------------------------------------------------

ERRORS = {
    "unknown": (Code.PROCESS_UNKNOWN, None),
    "mailbox": (Code.MAILBOX_FULL, None),
    "terminated": (Code.PROCESS_TERMINATED, None),
    "timeout": (Code.OTHER, error_values.TIMEOUT),
    "normal": (Code.OTHER, error_values.NORMAL),
    "kill": (Code.OTHER, error_values.KILL),
    "something else": (Code.OTHER, Error("something else")),
}


@pytest.mark.parametrize("text", list(ERRORS), ids=lambda text: text.replace(" ", "_"))
@case("ENP-T-130", "ENP-ERR-1", "ENP-REQ-1", offers=AGENTS)
async def test_error(ergo_context: Context, text: str) -> None:
    """A target answers a call that fails with an error of `echo` ({text}) with a ResponseError with its code or text."""
    peer = await ergo_context.peer()
    code, error = ERRORS[text]
    frame = (await peer.answer(peer.ask("echo", f"!error:{text}"))).value
    found = (frame.code, frame.error and frame.error.text) if isinstance(frame, enp.ResponseError) else frame
    peer.check(found == (code, error and error.text), frame, f"a ResponseError with code {code:d}, {error}")


@case("ENP-T-130", offers=AGENTS)
async def test_registered_error(ergo_context: Context) -> None:
    """A target writes a registered error as its text, or as an id that it announced for it."""
    peer = await ergo_context.peer()
    frame = (await peer.answer(peer.ask("echo", "!error:custom"))).value
    found = frame.error.text if isinstance(frame, enp.ResponseError) and frame.error else frame
    peer.check(
        found == agent_types.CUSTOM_ERROR.text, frame, f"a ResponseError with {show(agent_types.CUSTOM_ERROR.text)}"
    )


@case("ENP-T-129", offers=AGENTS)
async def test_error_as_a_value(ergo_context: Context) -> None:
    """A target answers with a Response whose value is an error."""
    peer = await ergo_context.peer()
    for error in (Error("a custom error"), error_values.TIMEOUT):
        answer = await response(peer, peer.ask("echo", error))
        peer.check(getattr(answer.payload, "text", None) == error.text, answer, f"a Response with {error}")


# --- no answer --------------------------------------------------------------------------------------------------------


@unknown
@case("ENP-IMP-4", offers=AGENTS)
async def test_nobody_there(ergo_context: Context, whom: str) -> None:
    """A target does not answer a plain call to a process that does not exist (by {whom}); the connection stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED if whom == "cached_name" else NO_CACHES)
    ref = peer.new_ref()
    peer.send_frame(peer.request(UNKNOWN[whom], "question", ref, order=ORDER))
    await peer.expect_no_answer(ref, within=1.0)


@case("ENP-REQ-4", offers=AGENTS)
async def test_deadline_in_the_past(ergo_context: Context) -> None:
    """A target answers a request whose third reference word is a past deadline, as newer releases write it."""
    peer = await ergo_context.peer()
    ref = (*peer.new_ref()[:2], 1_700_000_000)
    peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, ref, Atom("echo"), "question"))
    await response(peer, ref)


@case("ENP-T-122", offers=AGENTS)
async def test_no_reply(ergo_context: Context) -> None:
    """A target sends no answer when the process does not answer, and answers the next call."""
    peer = await ergo_context.peer()
    await peer.expect_no_answer(peer.ask("echo", "!noreply"), within=0.5)


@case("ENP-REQ-5", offers=AGENTS)
async def test_nil(ergo_context: Context) -> None:
    """A target does not answer nil as a message or a request, because nil cannot be sent back; the connection stays open."""
    peer = await ergo_context.peer()
    peer.send_frame(enp.MessageName(ORDER, PROCESS, 0, 0, Atom("echo"), None))
    ref = peer.new_ref()
    peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, ref, Atom("echo"), None))
    await peer.expect_none(lambda frame: True, "answer to nil")


# --- answers that no caller waits for ---------------------------------------------------------------------------------

UNASKED: dict[str, list[enp.Frame]] = {
    "response": [enp.Response(ORDER, PROCESS, 0, number, (1, 2, 3), "an answer") for number in (0, 1, UNKNOWN_PROCESS)],
    "error": [
        enp.ResponseError(
            ORDER, PROCESS, 0, UNKNOWN_PROCESS, (1, 2, 3), code, Error("an error") if code == Code.OTHER else None
        )
        for code in Code
    ],
}


@pytest.mark.parametrize("kind", list(UNASKED))
@case("ENP-REQ-3", "ENP-T-129", "ENP-T-130", offers=AGENTS, hostile=True)
async def test_unasked(ergo_context: Context, kind: str) -> None:
    """A target ignores an answer to a call that was not made (of kind {kind}) and sends nothing."""
    peer = await ergo_context.peer()
    for frame in UNASKED[kind]:
        peer.send_frame(frame)
        await peer.expect_none(lambda frame: True, "frame about an answer that no caller waits for")


@case("ENP-REQ-3", "ENP-T-129", offers=AGENTS, hostile=True)
async def test_unasked_to_an_agent(ergo_context: Context) -> None:
    """A target ignores an answer to a process that made no call (`echo`), and the process keeps running."""
    peer = await ergo_context.peer()
    pid = await peer.echo_id()
    peer.send_frame(enp.Response(ORDER, PROCESS, 0, pid, (1, 2, 3), "an answer"))
    peer.send_frame(enp.ResponseError(ORDER, PROCESS, 0, pid, (1, 2, 3), Code.PROCESS_UNKNOWN, None))
    await peer.expect_none(lambda frame: True, "frame about an answer that no caller waits for")
    peer.check(await peer.echo_id() == pid, "echo with another PID", f"echo with its earlier PID {pid}")
