"""Messages to processes by PID, name, cached name and alias: they arrive, whole and once, or vanish quietly."""

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.ehs import Accept, HandshakeState
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.frames import UNKNOWN_ALIAS, UNKNOWN_NAME, UNKNOWN_PROCESS
from ergo_conformance.peers.ergo.connection import ANNOUNCED, ORDER, PROCESS, Address, Peer
from ergo_conformance.spec.ergo.ehs import write_frame
from ergo_conformance.testing import AGENTS, Context, case

LAST_ID = 2**64 - 1
UNKNOWN: dict[str, tuple[Address, ...]] = {
    "pid": (UNKNOWN_PROCESS, 0, LAST_ID),
    "name": (str(UNKNOWN_NAME), "", "n" * enp.MAX_NAME, "\udcff\udcfe"),
    "alias": (UNKNOWN_ALIAS, (0, 0, 0), (LAST_ID, LAST_ID, LAST_ID)),
}
unknown = pytest.mark.parametrize("whom", list(UNKNOWN))


async def echoed(peer: Peer, payload: object, sender: int = PROCESS) -> enp.MessagePID:
    """The message that echo sends back, with the payload it was sent."""
    message: enp.MessagePID = (await peer.receive_message(to=sender)).value
    peer.check(message.payload == payload, repr(message.payload)[:80], f"the payload that was sent, {payload!r:.60}")
    return message


@case("ENP-T-102", "ENP-T-101", offers=AGENTS)
async def test_by_name(ergo_context: Context) -> None:
    """A message by name reaches echo, which sends the value back to the sender's PID."""
    peer = await ergo_context.peer()
    peer.send("echo", "hello")
    message = await echoed(peer, "hello")
    peer.check(message.from_id == await peer.echo_id(), message, "a message from echo's PID")


@case("ENP-T-101", offers=AGENTS)
async def test_by_pid(ergo_context: Context) -> None:
    """A message by PID reaches echo, which sends the value back to the sender's PID."""
    peer = await ergo_context.peer()
    peer.send(await peer.echo_id(), "hello")
    await echoed(peer, "hello")


@pytest.mark.parametrize("id_", [1, 256, 65_535], ids=lambda n: f"id_{n}")
@case("ENP-T-103", "ENP-NAME-2", offers=AGENTS)
async def test_by_cached_name(ergo_context: Context, id_: int) -> None:
    """A message by the id {id_}, announced for echo's name in our Introduce, reaches echo."""
    peer = await ergo_context.peer(caches=Caches(atoms={id_: Atom("echo")}))
    peer.send_frame(enp.MessageNameCache(ORDER, PROCESS, 0, 0, Atom("echo"), "hello"))
    await echoed(peer, "hello")


@case("ENP-T-103", "ENP-T-102", offers=AGENTS)
async def test_announced_name_as_text(ergo_context: Context) -> None:
    """Who announced an id for a name may write the name all the same."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    peer.send_frame(enp.MessageName(ORDER, PROCESS, 0, 0, Atom("echo"), "hello"))
    await echoed(peer, "hello")


@unknown
@case("ENP-DLV-1", "ENP-T-101", "ENP-T-102", "ENP-T-104", offers=AGENTS)
async def test_nobody_there(ergo_context: Context, whom: str) -> None:
    """A message for nobody (by {whom}) is dropped without a word, and the connection lives on."""
    peer = await ergo_context.peer()
    for to in UNKNOWN[whom]:
        peer.send_frame(peer.message(to, "hello", order=ORDER))
        await peer.expect_none(lambda frame: True, "frame about a message that nobody gets")


@pytest.mark.parametrize("announced", [True, False], ids=["not_in_the_cache", "no_cache"])
@case("ENP-NAME-2", offers=AGENTS, hostile=True)
async def test_unknown_cached_name(ergo_context: Context, announced: bool) -> None:
    """A message by an id that we did not announce is dropped without a word, and the connection lives on."""
    peer = await ergo_context.peer(caches=ANNOUNCED if announced else Caches())
    frame = enp.MessageNameCache(ORDER, PROCESS, 0, 0, Atom("echo"), "hello")
    data = peer.data_of(frame, Caches(atoms={4000: Atom("echo")}))
    peer.send_bytes(data, "a message to the cached name 4000, which is not announced")
    await peer.expect_none(lambda frame: isinstance(frame, enp.MessagePID), "message back")


@pytest.mark.parametrize("sender", [0, LAST_ID], ids=lambda n: f"from_{n}")
@case("ENP-T-101", "ENP-T-102", offers=AGENTS)
async def test_sender_of_any_number(ergo_context: Context, sender: int) -> None:
    """What a process with the number {sender} sent to echo comes back to that number."""
    peer = await ergo_context.peer()
    peer.send("echo", "hello", sender=sender)
    await echoed(peer, "hello", sender)


@case("ENP-T-101", offers=AGENTS)
async def test_back_to_the_right_node(ergo_context: Context) -> None:
    """What two nodes send to echo from processes of the same number comes back to each of them."""
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
    """Whatever stands in bytes 17 to 24 of a plain message (by {by}), it is delivered and not acknowledged."""
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
    """Binaries of no, a thousand, and sixty thousand bytes go to echo and come back the same."""
    peer = await ergo_context.peer()
    for size in (0, 1_000, 60_000):
        payload = ergo_context.rng.randbytes(size)
        peer.send("echo", payload)
        await echoed(peer, payload)


@pytest.mark.parametrize("size", [65_536, 70_000, 1_048_576], ids=lambda n: f"{n}_bytes")
@case("ENP-SIZE-3", offers=AGENTS)
async def test_large(ergo_context: Context, size: int) -> None:
    """A binary of {size} bytes, around and above the 64 KB where releases before 3.1.1 give up, comes back the same."""
    peer = await ergo_context.peer()
    payload = ergo_context.rng.randbytes(size)
    peer.send("echo", payload)
    await echoed(peer, payload)


# --- the stream -------------------------------------------------------------------------------------------------------


def twenty(peer: Peer) -> bytes:
    """Twenty messages to echo, the bytes of one behind those of the other."""
    return b"".join(peer.data_of(peer.message("echo", f"message {i}")) for i in range(20))


async def all_twenty(peer: Peer) -> None:
    """They come back, in order."""
    for i in range(20):
        await echoed(peer, f"message {i}")


@pytest.mark.parametrize("piece", [1, 7, 8, 1_000], ids=lambda n: f"by_{n}")
@case("ENP-HDR-1", offers=AGENTS)
async def test_split(ergo_context: Context, piece: int) -> None:
    """Twenty messages sent in pieces of {piece} bytes all arrive."""
    peer = await ergo_context.peer()
    data = twenty(peer)
    for at in range(0, len(data), piece):
        peer.send_bytes(data[at : at + piece], f"twenty messages in pieces of {piece} bytes")
    await all_twenty(peer)


@case("ENP-HDR-1", offers=AGENTS)
async def test_joined(ergo_context: Context) -> None:
    """Twenty messages in one segment all arrive."""
    peer = await ergo_context.peer()
    peer.send_bytes(twenty(peer), "twenty messages in one segment")
    await all_twenty(peer)


@case("ENP-HDR-1", offers=AGENTS)
async def test_slowly(ergo_context: Context) -> None:
    """A message whose bytes come one at a time, with pauses between them, arrives."""
    peer = await ergo_context.peer()
    await peer.sockets[0].drip(peer.data_of(peer.message("echo", "hello")), 1, 0.01)
    await echoed(peer, "hello")


@case("ENP-HDR-1", offers=AGENTS)
async def test_behind_the_handshake(ergo_context: Context) -> None:
    """A message in the segment of the last handshake message arrives."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    peer = Peer([dialer], dialer.target_introduce)
    data = write_frame(Accept()) + peer.data_of(peer.message("echo", "hello"))
    peer.send_bytes(data, "the final Accept and a message in one segment")
    await echoed(peer, "hello")
