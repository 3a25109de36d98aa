"""Factories and applications for one node: names that only resemble its name are other nodes."""

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.ergo.gen import (
    ApplicationOptions,
    ApplicationOptionsExtra,
    ProcessOptionsExtra,
    RemoteProcessOptions,
)
from ergo_conformance.model.values import Atom
from ergo_conformance.testing import AGENTS, Context, Peer, case

FACTORY, APPLICATION = Atom("restricted_factory"), Atom("restricted_app")


def similar(name: str) -> dict[str, str]:
    """Returns names that resemble the name of the permitted node."""
    short, _, host = name.partition("@")
    return {
        "another_host": f"{short}@another",
        "longer_host": f"{short}@{host}x",
        "shorter_host": f"{short}@{host[:-1]}",
        "upper_case": f"{short.upper()}@{host}",
        "longer_name": f"{short}x@{host}",
        "shorter_name": f"{short[:-1]}@{host}",
        "prefixed_name": f"x{short}@{host}",
    }


names = pytest.mark.parametrize("how", list(similar("allowed@localhost")))


async def peer_named(ergo_context: Context, how: str, flag: Flags) -> Peer:
    """Returns a peer whose name resembles that of the permitted node."""
    allowed = ergo_context.config.get("allowed", "allowed@localhost")
    peer = await ergo_context.peer(similar(allowed)[how])
    ergo_context.needs_flag(peer, flag)
    return peer


async def not_allowed(peer: Peer, message: enp.Spawn | enp.ApplicationStart) -> None:
    """Checks that a request is refused with "not allowed"."""
    peer.send_frame(enp.Control(0, message))
    result = await peer.result(message.Ref)
    good = result.Error is not None and result.Error.text == error_values.NOT_ALLOWED.text
    peer.check(good, result, f"a Result with {error_values.NOT_ALLOWED.text!r} for {peer.name}")


@names
@case("ENP-SPAWN-2", "ENP-SPAWN-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_factory(ergo_context: Context, how: str) -> None:
    """A target refuses a factory that is enabled for one node to a node whose name only resembles it ({how})."""
    peer = await peer_named(ergo_context, how, Flags.REMOTE_SPAWN)
    extra = ProcessOptionsExtra(RemoteProcessOptions(), peer.pid(), peer.pid())
    await not_allowed(peer, enp.Spawn(FACTORY, extra, peer.control_ref()))


@names
@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_application(ergo_context: Context, how: str) -> None:
    """A target refuses an application that is enabled for one node to a node whose name only resembles it ({how})."""
    peer = await peer_named(ergo_context, how, Flags.REMOTE_APPLICATION_START)
    options = ApplicationOptionsExtra(ApplicationOptions(), peer.pid(1))
    await not_allowed(peer, enp.ApplicationStart(APPLICATION, 1, options, peer.control_ref()))


@case("ENP-SPAWN-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_after_a_refusal(ergo_context: Context) -> None:
    """A target that has refused other nodes lets the permitted node use its factory, also the second time."""
    allowed = ergo_context.config.get("allowed", "allowed@localhost")
    other = await peer_named(ergo_context, "longer_name", Flags.REMOTE_SPAWN)
    extra = ProcessOptionsExtra(RemoteProcessOptions(), other.pid(), other.pid())
    await not_allowed(other, enp.Spawn(FACTORY, extra, other.control_ref()))
    for _ in range(2):
        peer = await ergo_context.peer(allowed)
        message = enp.Spawn(FACTORY, extra._replace(ParentPID=peer.pid(), ParentLeader=peer.pid()), peer.control_ref())
        peer.send_frame(enp.Control(0, message))
        result = await peer.result(message.Ref)
        peer.check(result.Error is None, result, "a Result without an error")
        peer.sockets[0].close()
        await peer.expect_close()
    await not_allowed(other, enp.Spawn(FACTORY, extra, other.control_ref()))
