"""Messages by PID, name, cached name and alias: they are delivered completely and once, or dropped silently."""

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.ehs import Accept, HandshakeState
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.frames import UNKNOWN_ALIAS, UNKNOWN_NAME, UNKNOWN_PROCESS
from ergo_conformance.spec.ergo.ehs import write_frame
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, PROCESS, Address, Context, Peer, case

LAST_ID = 2**64 - 1
UNKNOWN: dict[str, tuple[Address, ...]] = {
    "pid": (UNKNOWN_PROCESS, 0, LAST_ID),
    "name": (str(UNKNOWN_NAME), "", "n" * enp.MAX_NAME, "\udcff\udcfe"),
    "alias": (UNKNOWN_ALIAS, (0, 0, 0), (LAST_ID, LAST_ID, LAST_ID)),
}
unknown = pytest.mark.parametrize("whom", list(UNKNOWN))


async def echoed(peer: Peer, payload: object, sender: int = PROCESS) -> enp.MessagePID:
    """Returns the message from `echo`, which must have the payload that was sent."""
    message: enp.MessagePID = (await peer.receive_message(to=sender)).value
    peer.check_equal(message.payload, payload, "the payload that was sent")
    return message


@case("ENP-T-102", "ENP-T-101", offers=AGENTS)
async def test_by_name(ergo_context: Context) -> None:
    """A target delivers a message by name to `echo`, which sends the value back to the sender's PID."""
    peer = await ergo_context.peer()
    peer.send("echo", "hello")
    message = await echoed(peer, "hello")
    peer.check(message.from_id == await peer.echo_id(), message, "a message from echo's PID")


@case("ENP-T-101", offers=AGENTS)
async def test_by_pid(ergo_context: Context) -> None:
    """A target delivers a message by PID to `echo`, which sends the value back to the sender's PID."""
    peer = await ergo_context.peer()
    peer.send(await peer.echo_id(), "hello")
    await echoed(peer, "hello")


@pytest.mark.parametrize("id_", [1, 256, 65_535], ids=lambda n: f"id_{n}")
@case("ENP-T-103", "ENP-NAME-2", "EHS-CACHE-5", offers=AGENTS)
async def test_by_cached_name(ergo_context: Context, id_: int) -> None:
    """A target delivers a message by the id {id_} that the tester announced for the name of `echo`."""
    peer = await ergo_context.peer(caches=Caches(atoms={id_: Atom("echo")}))
    peer.send_frame(enp.MessageNameCache(ORDER, PROCESS, 0, 0, Atom("echo"), "hello"))
    await echoed(peer, "hello")


@case("ENP-T-103", "ENP-T-102", offers=AGENTS)
async def test_announced_name_as_text(ergo_context: Context) -> None:
    """A target accepts a message by name as text even if the sender announced an id for the name."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    peer.send_frame(enp.MessageName(ORDER, PROCESS, 0, 0, Atom("echo"), "hello"))
    await echoed(peer, "hello")


@unknown
@case("ENP-DLV-1", "ENP-T-101", "ENP-T-102", "ENP-T-104", offers=AGENTS)
async def test_nobody_there(ergo_context: Context, whom: str) -> None:
    """A target drops a message to a process that does not exist (by {whom}) without a reply; the connection stays open."""
    peer = await ergo_context.peer()
    for to in UNKNOWN[whom]:
        peer.send_frame(peer.message(to, "hello", order=ORDER))
        await peer.expect_none(lambda frame: True, "frame about a message without a receiver")


@pytest.mark.parametrize("announced", [True, False], ids=["not_in_the_cache", "no_cache"])
@case("ENP-NAME-2", offers=AGENTS, hostile=True)
async def test_unknown_cached_name(ergo_context: Context, announced: bool) -> None:
    """A target drops a message by an id that was not announced, without a reply; the connection stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED if announced else Caches())
    frame = enp.MessageNameCache(ORDER, PROCESS, 0, 0, Atom("echo"), "hello")
    data = peer.data_of(frame, Caches(atoms={4000: Atom("echo")}))
    peer.send_bytes(data, "a message to the name id 4000, which was not announced")
    await peer.expect_none(lambda frame: isinstance(frame, enp.MessagePID), "message back")


@pytest.mark.parametrize("sender", [0, LAST_ID], ids=lambda n: f"from_{n}")
@case("ENP-T-101", "ENP-T-102", offers=AGENTS)
async def test_sender_of_any_number(ergo_context: Context, sender: int) -> None:
    """A target addresses the message from `echo` to the number {sender} of the sender."""
    peer = await ergo_context.peer()
    peer.send("echo", "hello", sender=sender)
    await echoed(peer, "hello", sender)


@case("ENP-T-101", offers=AGENTS)
async def test_back_to_the_right_node(ergo_context: Context) -> None:
    """A target sends the messages of `echo` to the right one of two nodes whose processes have the same number."""
    one, two = await ergo_context.peer(), await ergo_context.peer()
    for i in range(20):
        one.send("echo", f"one {i}")
        two.send("echo", f"two {i}")
    for i in range(20):
        await echoed(one, f"one {i}")
        await echoed(two, f"two {i}")


@pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
@case("ENP-PID-1", offers=AGENTS)
async def test_mid_without_the_important_bit(ergo_context: Context, by: str) -> None:
    """A target ignores the message id of a plain message (by {by}): it delivers and does not acknowledge it."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    good: dict[str, enp.Frame] = {
        "pid": enp.MessagePID(ORDER, PROCESS, 0, LAST_ID, await peer.echo_id(), "hello"),
        "name": enp.MessageName(ORDER, PROCESS, 0, 0xED00646060D0FA90, Atom("echo"), "hello"),
        "cached_name": enp.MessageNameCache(ORDER, PROCESS, 0, 1, Atom("echo"), "hello"),
    }
    peer.send_frame(good[by])
    await echoed(peer, "hello")
    await peer.expect_none(lambda frame: isinstance(frame, enp.ResponseError), "acknowledgement of a plain message")


@case("ENP-T-101", "ENP-HDR-1", offers=AGENTS)
async def test_sizes(ergo_context: Context) -> None:
    """A target delivers binaries of 0, 1,000 and 60,000 bytes to `echo` and returns them unchanged."""
    peer = await ergo_context.peer()
    for size in (0, 1_000, 60_000):
        payload = ergo_context.rng.randbytes(size)
        peer.send("echo", payload)
        await echoed(peer, payload)


@pytest.mark.parametrize("size", [65_536, 70_000, 1_048_576], ids=lambda n: f"{n}_bytes")
@case("ENP-SIZE-3", offers=AGENTS)
async def test_large(ergo_context: Context, size: int) -> None:
    """A target returns a binary of {size} bytes unchanged, a size at which releases before 3.1.1 fail."""
    peer = await ergo_context.peer()
    payload = ergo_context.rng.randbytes(size)
    peer.send("echo", payload)
    await echoed(peer, payload)


# --- the stream -------------------------------------------------------------------------------------------------------


def twenty(peer: Peer) -> bytes:
    """Returns the bytes of twenty messages to `echo`, one after another."""
    return b"".join(peer.data_of(peer.message("echo", f"message {i}")) for i in range(20))


async def all_twenty(peer: Peer) -> None:
    """Checks that the twenty messages come back in order."""
    for i in range(20):
        await echoed(peer, f"message {i}")


@pytest.mark.parametrize("piece", [1, 7, 8, 1_000], ids=lambda n: f"by_{n}")
@case("ENP-HDR-1", offers=AGENTS)
async def test_split(ergo_context: Context, piece: int) -> None:
    """A target delivers twenty messages that are sent in pieces of {piece} bytes."""
    peer = await ergo_context.peer()
    data = twenty(peer)
    for at in range(0, len(data), piece):
        peer.send_bytes(data[at : at + piece], f"twenty messages in pieces of {piece} bytes")
    await all_twenty(peer)


@case("ENP-HDR-1", offers=AGENTS)
async def test_joined(ergo_context: Context) -> None:
    """A target delivers twenty messages that are sent in one segment."""
    peer = await ergo_context.peer()
    peer.send_bytes(twenty(peer), "twenty messages in one segment")
    await all_twenty(peer)


@case("ENP-HDR-1", offers=AGENTS)
async def test_slowly(ergo_context: Context) -> None:
    """A target delivers a message whose bytes arrive one at a time with pauses."""
    peer = await ergo_context.peer()
    await peer.sockets[0].drip(peer.data_of(peer.message("echo", "hello")), 1, 0.01)
    await echoed(peer, "hello")


@case("ENP-HDR-1", offers=AGENTS)
async def test_behind_the_handshake(ergo_context: Context) -> None:
    """A target delivers a message that is sent in the segment of the final handshake message."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    peer = Peer([dialer], dialer.target_introduce)
    data = write_frame(Accept()) + peer.data_of(peer.message("echo", "hello"))
    peer.send_bytes(data, "the final Accept and a message in one segment")
    await echoed(peer, "hello")
