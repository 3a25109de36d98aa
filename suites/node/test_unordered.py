"""Senders whose numbers give no order."""

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.ergo.gen import ProcessOptionsExtra, RemoteProcessOptions
from ergo_conformance.model.values import PID, Atom
from ergo_conformance.testing import AGENTS, Context, Peer, case, set_up

MESSAGES = 30


async def spawned(peer: Peer) -> PID:
    """Returns the PID of an echo process that the target spawns for the tester."""
    extra = ProcessOptionsExtra(RemoteProcessOptions(), peer.pid(), peer.pid())
    message = enp.Spawn(Atom("echo_factory"), extra, peer.control_ref())
    peer.send_frame(enp.Control(0, message))
    with set_up("ENP-SPAWN-1"):
        result = await peer.result(message.Ref)
        peer.check(isinstance(result.Result, PID), result, "a Result with a PID")
    pid: PID = result.Result
    return pid


@case("ENP-ORD-5", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_multiple_of_255(ergo_context: Context) -> None:
    """Upstream distributes the frames of a process whose number is a multiple of 255 over the sockets of the pool."""
    peer = await ergo_context.peer(sockets=0)
    ergo_context.needs_flag(peer, Flags.REMOTE_SPAWN)
    if len(peer.sockets) < 2:
        ergo_context.skip("the target announces a pool of one socket")
    pid = first = await spawned(peer)
    while pid.id % enp.ORDER_MODULUS and pid.id // enp.ORDER_MODULUS == first.id // enp.ORDER_MODULUS:
        peer.ask(pid.id, "!terminate")
        pid = await spawned(peer)
    if pid.id % enp.ORDER_MODULUS:
        ergo_context.skip("the target gives no process a number that is a multiple of 255")
    for i in range(MESSAGES):
        peer.send(pid.id, i)
    with set_up("ENP-T-101"):
        sockets = {(await peer.receive_message()).socket for _ in range(MESSAGES)}
    peer.check(len(sockets) > 1, f"{MESSAGES} messages over socket {sockets}", "messages over several sockets")
