"""The target is stopped while peers are connected: it may report terminated processes and closes its sockets."""

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.peers.ergo.agents import add_relation
from ergo_conformance.testing import AGENTS, Context, Peer, case, set_up

NOTICES = (enp.TerminatePID, enp.TerminateName, enp.TerminateAlias)
"""Frames 181 to 186; those about events are subclasses."""


async def stopped(ergo_context: Context) -> Peer:
    """Returns a peer that monitors `echo` by PID and name, over two sockets, of a target that is being stopped."""
    if not ergo_context.target.stoppable:
        ergo_context.skip("the case must start and stop the target itself")
    peer = await ergo_context.peer_with_target_creation(sockets=2)
    with set_up("ENP-REQ-1"):
        echo = await peer.echo_id()
    for target in (peer.target_pid(echo), ProcessID(peer.target, Atom("echo"))):
        await add_relation(peer, Verb.MONITOR, target)
    await ergo_context.target.stop()
    return peer


@case("ENP-DOWN-1", offers=AGENTS, dangerous=True)
async def test_links_are_closed(ergo_context: Context) -> None:
    """A target that stops closes all sockets and sends before that only reports of monitored targets, or nothing."""
    peer = await stopped(ergo_context)
    for socket in range(2):
        await peer.expect_close(socket)
    while received := await peer.receive(0):
        peer.check(isinstance(received.value, NOTICES), received.value, "reports of terminated targets, or no frame")


@case("ENP-DOWN-4", offers=AGENTS, dangerous=True)
async def test_notices_before(ergo_context: Context) -> None:
    """Upstream may report the end of its processes before it closes its sockets."""
    peer = await stopped(ergo_context)
    await peer.wait_for(lambda f: isinstance(f, NOTICES), "a report of the end of echo")
