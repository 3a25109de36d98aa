"""Names that resemble each other: only equal names of processes and of nodes are the same."""

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import Atom
from ergo_conformance.testing import AGENTS, ORDER, PROCESS, Context, case

SIMILAR = ("ech", "echoo", "Echo", "ECHO", " echo", "echo ", "echo\x00", "echo_cache", "echo@localhost", "\u0435cho")
"""Names that resemble `echo`: its prefix, another case, further characters, a Cyrillic letter."""


@case("ENP-DLV-1", "ENP-IMP-4", "ENP-T-102", "ENP-T-122", offers=AGENTS)
async def test_similar_process_names(ergo_context: Context) -> None:
    """A target delivers neither a message nor a call to a name that only resembles that of a process."""
    peer = await ergo_context.peer()
    for name in SIMILAR:
        peer.send(name, "hello", order=ORDER)
        peer.ask(name, "question", order=ORDER)
        await peer.expect_none(lambda frame: True, f"frame about the name {name!r}", within=0.05)


@case("ENP-IMP-2", "ENP-IMP-5", offers=AGENTS)
async def test_important_to_similar_names(ergo_context: Context) -> None:
    """A target answers an important message to a name that only resembles that of a process with code 1."""
    peer = await ergo_context.peer()
    for name in SIMILAR:
        ack = await peer.acknowledgement(peer.send_important(name, "hello"))
        peer.check(ack.code == enp.Code.PROCESS_UNKNOWN, ack, f"code 1 for the name {name!r}")


@case("ENP-REQ-1", "ENP-T-101", "ENP-T-129", offers=AGENTS)
async def test_similar_node_names(ergo_context: Context) -> None:
    """A target serves nodes concurrently whose names differ only in their case, in one letter, or in the host."""
    first = await ergo_context.peer()
    short, _, host = first.name.partition("@")
    others = (f"{short.upper()}@{host}", f"{short}x@{host}", f"{short[:-1]}@{host}", f"{short}@{host}x", f"{short}@x")
    peers = [first, *[await ergo_context.peer(name) for name in others]]
    for peer in peers:
        peer.send("echo", f"message of {peer.name}")
        peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, (1, 2, 3), Atom("echo"), peer.name))
    for peer in peers:
        answer = (await peer.answer((1, 2, 3))).value
        peer.check(getattr(answer, "payload", None) == peer.name, answer, f"the answer to {peer.name}")
        message = (await peer.receive_message()).value
        peer.check(message.payload == f"message of {peer.name}", message, f"the message of {peer.name}")
