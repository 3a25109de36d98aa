"""Calls: the answer repeats the reference and reaches its caller; errors; calls that nobody answers."""

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import enp, error_values, subject
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.enp import Code, Words
from ergo_conformance.model.values import Atom, Error, Typed
from ergo_conformance.peers.corruption.frames import UNKNOWN_ALIAS, UNKNOWN_NAME, UNKNOWN_PROCESS
from ergo_conformance.peers.ergo.connection import ANNOUNCED, ORDER, PROCESS, Address, Peer
from ergo_conformance.testing import AGENTS, Context, case

LAST = 2**64 - 1
UNKNOWN: dict[str, Address] = {
    "pid": UNKNOWN_PROCESS,
    "name": str(UNKNOWN_NAME),
    "cached_name": str(UNKNOWN_NAME),
    "alias": UNKNOWN_ALIAS,
}
unknown = pytest.mark.parametrize("whom", list(UNKNOWN))


async def response(peer: Peer, ref: Words, sender: int = PROCESS) -> enp.Response:
    """The answer to a call, which has to be a Response."""
    frame = (await peer.answer(ref, sender=sender)).value
    peer.check(isinstance(frame, enp.Response), frame, "a Response")
    answer: enp.Response = frame
    return answer


@pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
@case("ENP-T-121", "ENP-T-122", "ENP-T-123", "ENP-T-129", "ENP-REQ-1", offers=AGENTS)
async def test_call(ergo_context: Context, by: str) -> None:
    """A call of echo by {by} is answered with the value that was sent, by echo's PID, with the reference of the call."""
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES)
    pid = await peer.echo_id()
    ref = peer.ask(pid if by == "pid" else "echo", ["question", 1])
    answer = await response(peer, ref)
    peer.check(answer.payload == ["question", 1], answer.payload, "the value that was sent")
    peer.check(answer.from_id == pid, answer, f"an answer from echo's PID {pid}")


@case("ENP-T-122", "ENP-T-123", offers=AGENTS)
async def test_announced_name_as_text(ergo_context: Context) -> None:
    """Who announced an id for a name may call by the name all the same."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    ref = peer.new_ref()
    peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, ref, Atom("echo"), "question"))
    answer = await response(peer, ref)
    peer.check(answer.payload == "question", answer.payload, "the value that was sent")


REFERENCES: tuple[Words, ...] = ((0, 0, 0), (1, 2, 3), (LAST, LAST, LAST), (0, 0, LAST), (2**63, 0, 1))


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_reference(ergo_context: Context) -> None:
    """All three words of a reference come back as they were sent, whatever is in them."""
    peer = await ergo_context.peer()
    for words in REFERENCES:
        peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, words, Atom("echo"), "question"))
        answer = await response(peer, words)
        peer.check(answer.payload == "question", answer.payload, "the value that was sent")


@pytest.mark.parametrize("caller", [0, LAST], ids=lambda n: f"from_{n}")
@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_caller_of_any_number(ergo_context: Context, caller: int) -> None:
    """The answer to a process with the number {caller} is addressed to that number."""
    peer = await ergo_context.peer()
    answer = await response(peer, peer.ask("echo", "question", sender=caller), caller)
    peer.check(answer.payload == "question", answer.payload, "the value that was sent")


@case("ENP-ORD-2", offers=AGENTS)
async def test_order_byte_of_an_answer(ergo_context: Context) -> None:
    """The order byte of an answer is the caller's number modulo 255."""
    peer = await ergo_context.peer()
    for caller in (1, 254, 255, 256, 1007, LAST):
        answer = await response(peer, peer.ask("echo", "question", sender=caller), caller)
        order = caller % enp.ORDER_MODULUS
        peer.check(answer.order == order, f"order byte {answer.order} for caller {caller}", f"order byte {order}")


@case("ENP-T-129", "ENP-REQ-1", offers=AGENTS)
async def test_own_pid(ergo_context: Context) -> None:
    """Asked for its PID echo answers one of its node, in the creation that the node introduced, and it can be called."""
    peer = await ergo_context.peer()
    pid = await peer.echo_id()
    answer = await response(peer, peer.ask(pid, "!self"))
    peer.check(answer.payload == peer.target_pid(pid), answer.payload, "the same PID")


# --- many -------------------------------------------------------------------------------------------------------------


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_many_callers(ergo_context: Context) -> None:
    """Two hundred calls at once, each of another process: every one gets its own answer, once."""
    peer = await ergo_context.peer()
    asked = {peer.ask("echo", f"question of {caller}", sender=caller): caller for caller in range(2000, 2200)}
    for answer in await peer.answers(len(asked)):
        caller = asked.pop(answer.ref, None)
        peer.check(caller is not None, answer, "one answer to each call")
        found = (answer.to_id, getattr(answer, "payload", None))
        peer.check(found == (caller, f"question of {caller}"), answer, f"the answer to caller {caller}")


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_many_calls_of_one(ergo_context: Context) -> None:
    """Two hundred calls of one process before the first answer is read: every one is answered, once."""
    peer = await ergo_context.peer()
    asked = {peer.ask("echo", i): i for i in range(200)}
    for answer in await peer.answers(len(asked)):
        wanted = asked.pop(answer.ref, None)
        peer.check(wanted is not None, answer, "one answer to each call")
        peer.check(getattr(answer, "payload", None) == wanted, answer, f"the value {wanted}")


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_same_reference_of_two_callers(ergo_context: Context) -> None:
    """Two processes that use the same reference at once are told apart by their numbers."""
    peer = await ergo_context.peer()
    for caller in (3001, 3002):
        peer.send_frame(enp.RequestName(ORDER, caller, 0, (7, 8, 9), Atom("echo"), caller))
    for caller in (3002, 3001):
        answer = await response(peer, (7, 8, 9), caller)
        peer.check(answer.payload == caller, answer, f"the value {caller}")


@case("ENP-REQ-1", "ENP-T-129", offers=AGENTS)
async def test_same_reference_of_two_nodes(ergo_context: Context) -> None:
    """Two nodes whose processes use the same number and the same reference get each its own answer."""
    peers = [await ergo_context.peer(), await ergo_context.peer()]
    for i, peer in enumerate(peers):
        peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, (7, 8, 9), Atom("echo"), i))
    for i, peer in enumerate(peers):
        answer = await response(peer, (7, 8, 9))
        peer.check(answer.payload == i, answer, f"the value {i}")


@case("ENP-T-129", "ENP-REQ-3", offers=AGENTS, exclusive=True)
async def test_late_answer(ergo_context: Context) -> None:
    """An answer may take its time, and others overtake it: slow answers after 300 ms, echo before it."""
    peer = await ergo_context.peer()
    late = peer.ask("slow", Typed(t.INT64, 300))
    soon = peer.ask("echo", "question")
    first, second = await peer.answers(2)
    peer.check((first.ref, second.ref) == (soon, late), [first, second], "the answer of echo, then that of slow")
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
    """A call that fails with an error of echo's ({text}) is answered by a ResponseError with its code or its text."""
    peer = await ergo_context.peer()
    code, error = ERRORS[text]
    frame = (await peer.answer(peer.ask("echo", f"!error:{text}"))).value
    found = (frame.code, frame.error and frame.error.text) if isinstance(frame, enp.ResponseError) else frame
    peer.check(found == (code, error and error.text), frame, f"a ResponseError with code {code:d}, {error}")


@case("ENP-T-130", offers=AGENTS)
async def test_registered_error(ergo_context: Context) -> None:
    """An error that the target registered comes as its text, or as an id that the target announced for it."""
    peer = await ergo_context.peer()
    frame = (await peer.answer(peer.ask("echo", "!error:custom"))).value
    found = frame.error.text if isinstance(frame, enp.ResponseError) and frame.error else frame
    peer.check(found == subject.CUSTOM_ERROR.text, frame, f"a ResponseError with {subject.CUSTOM_ERROR.text!r}")


@case("ENP-T-129", offers=AGENTS)
async def test_error_as_a_value(ergo_context: Context) -> None:
    """An error may also be the value of a good answer."""
    peer = await ergo_context.peer()
    for error in (Error("an error of ours"), error_values.TIMEOUT):
        answer = await response(peer, peer.ask("echo", error))
        peer.check(getattr(answer.payload, "text", None) == error.text, answer, f"a Response with {error}")


# --- no answer --------------------------------------------------------------------------------------------------------


@unknown
@case("ENP-IMP-4", offers=AGENTS)
async def test_nobody_there(ergo_context: Context, whom: str) -> None:
    """A plain call of nobody (by {whom}) is not answered at all, and the connection lives on."""
    peer = await ergo_context.peer(caches=ANNOUNCED if whom == "cached_name" else NO_CACHES)
    ref = peer.new_ref()
    peer.send_frame(peer.request(UNKNOWN[whom], "question", ref, order=ORDER))
    await peer.expect_no_answer(ref, within=1.0)


@case("ENP-REQ-4", offers=AGENTS)
async def test_deadline_in_the_past(ergo_context: Context) -> None:
    """A request whose third reference word is a deadline long past, as newer releases write it, is answered."""
    peer = await ergo_context.peer()
    ref = (*peer.new_ref()[:2], 1_700_000_000)
    peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, ref, Atom("echo"), "question"))
    await response(peer, ref)


@case("ENP-T-122", offers=AGENTS)
async def test_no_reply(ergo_context: Context) -> None:
    """A call that the process does not answer stays without an answer, and the next one is answered."""
    peer = await ergo_context.peer()
    await peer.expect_no_answer(peer.ask("echo", "!noreply"), within=0.5)


@case("ENP-REQ-5", offers=AGENTS)
async def test_nil(ergo_context: Context) -> None:
    """nil as a message or a request gets no answer, since there is no way to say nil, and the connection lives on."""
    peer = await ergo_context.peer()
    peer.send_frame(enp.MessageName(ORDER, PROCESS, 0, 0, Atom("echo"), None))
    ref = peer.new_ref()
    peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, ref, Atom("echo"), None))
    await peer.expect_none(lambda frame: True, "answer to nil")


# --- answers that nobody waits for ------------------------------------------------------------------------------------

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
    """An answer to a call that nobody made (of kind {kind}) is ignored without a word."""
    peer = await ergo_context.peer()
    for frame in UNASKED[kind]:
        peer.send_frame(frame)
        await peer.expect_none(lambda frame: True, "frame about an answer that nobody waits for")


@case("ENP-REQ-3", "ENP-T-129", offers=AGENTS, hostile=True)
async def test_unasked_to_an_agent(ergo_context: Context) -> None:
    """An answer to a process that did not ask (echo) is ignored, and the process works on."""
    peer = await ergo_context.peer()
    pid = await peer.echo_id()
    peer.send_frame(enp.Response(ORDER, PROCESS, 0, pid, (1, 2, 3), "an answer"))
    peer.send_frame(enp.ResponseError(ORDER, PROCESS, 0, pid, (1, 2, 3), Code.PROCESS_UNKNOWN, None))
    await peer.expect_none(lambda frame: True, "frame about an answer that nobody waits for")
    peer.check(await peer.echo_id() == pid, "another echo", f"echo as before, {pid}")
