"""A pool that grows while processes send: nothing is lost, and the socket of a sender."""

from ergo_conformance.model.ergo import enp
from ergo_conformance.testing import AGENTS, Context, Peer, case, set_up

LINKS = 3


async def grow(ergo_context: Context, peer: Peer) -> None:
    """Adds a socket to the pool of a peer. Skips the case if the target's pool has only one."""
    accept = peer.endpoints[0].target_accept
    assert accept is not None
    if accept.PoolSize < LINKS:
        ergo_context.skip(f"the target announces a pool of {accept.PoolSize} sockets, the case needs {LINKS}")
    await ergo_context.add_socket(peer, accept.ID)


@case("ENP-REQ-1", "EHS-JOIN-8", offers=AGENTS)
async def test_nothing_is_lost(ergo_context: Context) -> None:
    """A target answers each call once while two sockets join: calls before, between and after them."""
    peer = await ergo_context.peer()
    asked = {}
    for i in range(60):
        if i in (20, 40):
            await grow(ergo_context, peer)
        asked[peer.ask("echo", i, sender=7_000 + i)] = i
    for answer in await peer.answers(len(asked)):
        wanted = asked.pop(answer.ref, None)
        peer.check(wanted is not None, answer, "one answer to each call")
        peer.check(getattr(answer, "payload", None) == wanted, answer, f"the value {wanted}")


@case("ENP-ORD-8", offers=AGENTS)
async def test_sender_moves(ergo_context: Context) -> None:
    """Upstream sends the frames of a process over another socket as soon as the size of the pool gives another index."""
    peer = await ergo_context.peer()
    with set_up("ENP-REQ-1"):
        before = {name: (await peer.answer(peer.ask(name, "!self"))).socket for name in ("echo", "echo_cached")}
        for _ in range(1, LINKS):
            await grow(ergo_context, peer)
        after = {name: await peer.answer(peer.ask(name, "!self")) for name in before}
    for received in after.values():
        order = received.value.from_id % enp.ORDER_MODULUS
        wanted = f"socket {order % LINKS + 1} for {received.value.from_id}"
        peer.check(not order or received.socket == order % LINKS, f"socket {received.socket + 1}", wanted)
