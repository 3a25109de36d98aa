"""The target is stopped while we are connected: it tells what it will, and closes."""

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.peers.ergo.agents import watch
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.verdict.run.case import AGENTS, case
from ergo_conformance.verdict.run.context import Context

NOTICES = (enp.TerminatePID, enp.TerminateName, enp.TerminateAlias)
"""Frames 181 to 186; those about events are subclasses."""


async def stopped(ctx: Context) -> Peer:
    """A peer that monitors echo by PID and name, over two links, of a target that is being stopped."""
    if not ctx.running.ours:
        ctx.skip("needs a target that we start")
    peer = await ctx.contemporary(links=2)
    for target in (peer.target_pid(await peer.echo_id()), ProcessID(peer.target, Atom("echo"))):
        await watch(peer, Verb.MONITOR, target)
    await ctx.running.stop()
    return peer


@case("ENP-DOWN-1", offers=AGENTS, dangerous=True)
async def test_links_are_closed(ctx: Context) -> None:
    """A target that ends closes all our links; before that it tells the ends of what we watch, or nothing."""
    peer = await stopped(ctx)
    for line in range(2):
        await peer.closed(line)
    while received := await peer.receive(0):
        peer.check(isinstance(received.value, NOTICES), received.value, "notices of what has ended, or nothing")


@case("ENP-DOWN-4", offers=AGENTS, dangerous=True)
async def test_notices_before(ctx: Context) -> None:
    """Upstream may still tell the end of its processes before it closes."""
    peer = await stopped(ctx)
    await peer.wait_for(lambda f: isinstance(f, NOTICES), "a notice of the end of echo")
