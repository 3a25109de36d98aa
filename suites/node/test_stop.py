"""The target is stopped while we are connected: it tells what it will, and closes."""

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.peers.ergo.agents import add_relation
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.testing import AGENTS, Context, case

NOTICES = (enp.TerminatePID, enp.TerminateName, enp.TerminateAlias)
"""Frames 181 to 186; those about events are subclasses."""


async def stopped(ergo_context: Context) -> Peer:
    """A peer that monitors echo by PID and name, over two links, of a target that is being stopped."""
    if not ergo_context.target.ours:
        ergo_context.skip("needs a target that we start")
    peer = await ergo_context.peer_with_target_creation(sockets=2)
    for target in (peer.target_pid(await peer.echo_id()), ProcessID(peer.target, Atom("echo"))):
        await add_relation(peer, Verb.MONITOR, target)
    await ergo_context.target.stop()
    return peer


@case("ENP-DOWN-1", offers=AGENTS, dangerous=True)
async def test_links_are_closed(ergo_context: Context) -> None:
    """A target that ends closes all our links; before that it tells the ends of what we watch, or nothing."""
    peer = await stopped(ergo_context)
    for socket in range(2):
        await peer.expect_close(socket)
    while received := await peer.receive(0):
        peer.check(isinstance(received.value, NOTICES), received.value, "notices of what has ended, or nothing")


@case("ENP-DOWN-4", offers=AGENTS, dangerous=True)
async def test_notices_before(ergo_context: Context) -> None:
    """Upstream may still tell the end of its processes before it closes."""
    peer = await stopped(ergo_context)
    await peer.wait_for(lambda f: isinstance(f, NOTICES), "a notice of the end of echo")
