"""Links and monitors that a peer requests: the target reports the end of each target once, with the reason."""

import pytest

from ergo_conformance.model.ergo import agent_types, enp, error_values
from ergo_conformance.model.ergo.enp import Priority, Verb
from ergo_conformance.model.values import Alias, Atom, Error, ProcessID
from ergo_conformance.peers.ergo.agents import (
    ADDING_VERBS,
    REMOVING_VERBS,
    add_relation,
    crasher_pid,
    crasher_target,
    expect_end,
    expect_no_end,
    expect_one_end,
    request_relation,
)
from ergo_conformance.testing import AGENTS, PROCESS, Context, case, set_up

WORDS = ("PID", "ProcessID", "Alias")
TEXTS: dict[str, Error] = {
    "normal": error_values.NORMAL,
    "shutdown": error_values.SHUTDOWN,
    "kill": error_values.KILL,
    "panic": error_values.PANIC,
    "gopanic": error_values.PANIC,
    "timeout": error_values.TIMEOUT,
    "mailbox": error_values.MAILBOX_FULL,
    "custom": agent_types.CUSTOM_ERROR,
    "a custom reason, ünknown everywhere": Error("a custom reason, ünknown everywhere"),
}
"""Texts that are sent to crasher, and the reasons with which it terminates (docs/agents.md)."""
CACHED = {"atoms": ["crasher", "ev_cached"]}
"""Names that the announced atom cache must contain."""
OTHER = 2002
"""Number of a second process of the tester."""
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())
words = pytest.mark.parametrize("word", WORDS, ids=lambda w: w.lower())


@words
@verbs
@case("ENP-TERM-2", "ENP-TERM-3", "ENP-ANY-1", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_end_is_told(ergo_context: Context, verb: Verb, word: str) -> None:
    """A target reports the end of `crasher` after a {verb.value} by {word} once, with the reason."""
    peer = await ergo_context.peer()
    pid = await crasher_pid(peer)
    target = await crasher_target(peer, word, pid)
    await add_relation(peer, verb, target)
    peer.send(pid.id, "shutdown")
    await expect_one_end(peer, target, error_values.SHUTDOWN)


@pytest.mark.parametrize("text", list(TEXTS), ids=lambda text: text.split(" ")[0])
@case("ENP-TERM-2", "ENP-T-181", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_reason(ergo_context: Context, text: str) -> None:
    """A target reports the end of a process that terminated with the reason {text} with that reason."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.send(pid.id, text)
    await expect_end(peer, pid, TEXTS[text])


@case("ENP-TERM-2", "ENP-T-181", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_error_as_a_reason(ergo_context: Context) -> None:
    """A target reports the end of a process that terminated with an error value that was sent to it with that error."""
    peer = await ergo_context.peer_with_target_creation()
    for error in (Error("sent as an error"), error_values.PROCESS_UNKNOWN):
        pid = await crasher_pid(peer)
        await add_relation(peer, Verb.LINK, pid)
        peer.send(pid.id, error)
        await expect_end(peer, pid, error)


@words
@case("ENP-TERM-3", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_once_for_all(ergo_context: Context, word: str) -> None:
    """A target reports the end to a peer in one frame when three processes of the peer link and monitor it (by {word})."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    target = await crasher_target(peer, word, pid)
    for source in (PROCESS, OTHER, OTHER + 1):
        for verb in ADDING_VERBS:
            await add_relation(peer, verb, target, source)
    peer.send(pid.id, "kill")
    await expect_one_end(peer, target, error_values.KILL)


@case("ENP-TERM-3", "ENP-T-181", "ENP-T-182", "ENP-T-184", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_each_address(ergo_context: Context) -> None:
    """A target reports the end of a process once for each of its monitored addresses: PID, name and alias."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    targets = [await crasher_target(peer, word, pid) for word in WORDS]
    for target in targets:
        await add_relation(peer, Verb.MONITOR, target)
    peer.send(pid.id, "kill")
    for target in targets:
        await expect_end(peer, target, error_values.KILL)
    for target in targets:
        await expect_no_end(peer, target, "second report")


@case("ENP-TERM-3", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_each_node(ergo_context: Context) -> None:
    """A target reports the end of a process to both nodes that link or monitor it."""
    one, two = await ergo_context.peer_with_target_creation(), await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(one)
    await add_relation(one, Verb.LINK, pid)
    await add_relation(two, Verb.MONITOR, pid)
    one.send(pid.id, "kill")
    for peer in (one, two):
        await expect_one_end(peer, pid, error_values.KILL)


@case("ENP-TERM-4", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_not_watched(ergo_context: Context) -> None:
    """A target does not report the end of a process to a peer that neither links nor monitors it."""
    one, two = await ergo_context.peer_with_target_creation(), await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(one)
    await add_relation(one, Verb.MONITOR, pid)
    one.send(pid.id, "kill")
    await expect_end(one, pid)
    name = ProcessID(one.target, Atom("crasher"))
    for peer, target in ((two, pid), (two, name), (one, name)):
        await expect_no_end(peer, target, "report of a target that is not monitored")


@words
@verbs
@case("ENP-TERM-4", "ENP-LINK-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_given_back(ergo_context: Context, verb: Verb, word: str) -> None:
    """A target does not report the end of `crasher` after the {verb.value} by {word} was removed."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    target = await crasher_target(peer, word, pid)
    for step in (verb, REMOVING_VERBS[verb]):
        await add_relation(peer, step, target)
    peer.send(pid.id, "kill")
    await crasher_pid(peer)
    await expect_no_end(peer, target, f"report after the {REMOVING_VERBS[verb].value}")


@verbs
@case("ENP-TERM-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_one_of_two_given_back(ergo_context: Context, verb: Verb) -> None:
    """A target reports the end to a process that linked and monitored the target and removed only the {verb.value}."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    for step in (*ADDING_VERBS, REMOVING_VERBS[verb]):
        await add_relation(peer, step, pid)
    peer.send(pid.id, "kill")
    await expect_one_end(peer, pid, error_values.KILL)


@case("ENP-TERM-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_other_process_still_watches(ergo_context: Context) -> None:
    """A target keeps the monitor of one process when another process of the same node removes its own."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    for source in (PROCESS, OTHER):
        await add_relation(peer, Verb.MONITOR, pid, source)
    await add_relation(peer, Verb.DEMONITOR, pid, PROCESS)
    peer.send(pid.id, "kill")
    await expect_one_end(peer, pid, error_values.KILL)


@pytest.mark.parametrize("first", [True, False], ids=["the_first", "the_second"])
@case("ENP-TERM-4", "ENP-TERM-3", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_one_of_two_nodes_gives_back(ergo_context: Context, first: bool) -> None:
    """A target reports the end only to the node that kept its monitor (the first node removed its own: {first})."""
    stays, leaves = await ergo_context.peer_with_target_creation(), await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(stays)
    for peer in (leaves, stays) if first else (stays, leaves):
        await add_relation(peer, Verb.MONITOR, pid)
    await add_relation(leaves, Verb.DEMONITOR, pid)
    stays.send(pid.id, "kill")
    await expect_one_end(stays, pid, error_values.KILL)
    await expect_no_end(leaves, pid, "report after the Demonitor")


@verbs
@case("ENP-TERM-3", "ENP-ANY-1", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_asked_twice(ergo_context: Context, verb: Verb) -> None:
    """A target answers a repeated {verb.value} with a second Result, with or without an error, and reports the end once."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    await add_relation(peer, verb, pid)
    await request_relation(peer, verb, pid)
    peer.send(pid.id, "kill")
    await expect_one_end(peer, pid, error_values.KILL)


@case("ENP-TERM-4", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_second_life(ergo_context: Context) -> None:
    """A monitor of a name ends with the process; a new process under that name is not monitored."""
    peer = await ergo_context.peer_with_target_creation()
    first = await crasher_pid(peer)
    name = ProcessID(peer.target, Atom("crasher"))
    await add_relation(peer, Verb.MONITOR, name)
    peer.send(first.id, "kill")
    await expect_end(peer, name)
    second = await crasher_pid(peer)
    peer.check(second != first, second, "another PID")
    peer.send(second.id, "kill")
    await crasher_pid(peer)
    await expect_no_end(peer, name, "report of the end of the second process")


@case("ENP-TERM-2", "ENP-T-182", offers=AGENTS, exclusive=True)
async def test_regular_end(ergo_context: Context) -> None:
    """A target reports the end of a process that terminates by itself with the reason "normal"."""
    peer = await ergo_context.peer_with_target_creation()
    name = ProcessID(peer.target, Atom("echo_cached"))
    await add_relation(peer, Verb.MONITOR, name)
    await peer.call("echo_cached", "!terminate")
    await expect_one_end(peer, name, error_values.NORMAL)


@case("ENP-TERM-2", "ENP-T-183", offers=AGENTS, agents=("crasher",), exclusive=True, config=CACHED)
async def test_cached_name(ergo_context: Context) -> None:
    """A target reports the end of a name in its announced atom cache by id or by name."""
    peer = await ergo_context.peer_with_target_creation()
    atoms = (peer.introduce.AtomCache or {}).values()
    peer.check("crasher" in atoms, f"the atoms {sorted(atoms)}", "an atom cache with crasher, as configured")
    pid = await crasher_pid(peer)
    name = ProcessID(peer.target, Atom("crasher"))
    await add_relation(peer, Verb.LINK, name)
    peer.send(pid.id, "kill")
    await expect_one_end(peer, name, error_values.KILL)


@words
@case("ENP-ORD-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_shape(ergo_context: Context, word: str) -> None:
    """Upstream writes the report of an end (by {word}) with order byte 0 and priority high."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    target = await crasher_target(peer, word, pid)
    await add_relation(peer, Verb.MONITOR, target)
    peer.send(pid.id, "kill")
    with set_up("ENP-TERM-2"):
        frame = await expect_end(peer, target)
    found = (frame.order, frame.priority)
    peer.check(found == (0, Priority.HIGH), frame, f"order byte 0 and priority {Priority.HIGH:d}")


# --- connections ------------------------------------------------------------------------------------------------------


@case("ENP-TERM-7", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_told_to_contemporaries_only(ergo_context: Context) -> None:
    """Upstream does not report the end of a PID to a peer whose creation differs from its own."""
    peer = await ergo_context.peer()
    pid = await crasher_pid(peer)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.send(pid.id, "kill")
    await expect_no_end(peer, pid, "report for a peer of another creation")


@case("ENP-TERM-4", "ENP-DOWN-1", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_relations_end_with_the_connection(ergo_context: Context) -> None:
    """A target drops a node's relations with its connection: after a reconnect under the same name nothing is reported."""
    first = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(first)
    await add_relation(first, Verb.MONITOR, pid)
    first.sockets[0].close()
    await first.expect_close()
    back = await ergo_context.peer_with_target_creation(first.name)
    back.send(pid.id, "kill")
    await crasher_pid(back)
    await expect_no_end(back, pid, "report of a target that an earlier connection monitored")


@case("ENP-TERM-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_over_a_pool(ergo_context: Context) -> None:
    """A target reports the end over one socket of a pool, once."""
    peer = await ergo_context.peer_with_target_creation(sockets=0)
    pid = await crasher_pid(peer)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.send(pid.id, "kill")
    await expect_one_end(peer, pid, error_values.KILL)


@case("ENP-TERM-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_link_lost_meanwhile(ergo_context: Context) -> None:
    """A relation survives the loss of the socket that carried its request while another socket is open."""
    peer = await ergo_context.peer_with_target_creation(sockets=2)
    pid = await crasher_pid(peer)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.sockets[0].close()
    await peer.expect_close(0)
    peer.send_frame(peer.message(pid.id, "kill"), 1)
    await expect_end(peer, pid, error_values.KILL)


# --- aliases ----------------------------------------------------------------------------------------------------------


@verbs
@case("ENP-TERM-5", "ENP-T-184", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_alias_given_up(ergo_context: Context, verb: Verb) -> None:
    """A target reports the end of an alias after a {verb.value} once, with "unregistered", when its owner deletes it."""
    peer = await ergo_context.peer_with_target_creation()
    alias = await peer.call("pub", "alias")
    await add_relation(peer, verb, alias)
    peer.check_equal(await peer.call("pub", "delete_alias"), alias, "the deleted alias")
    await expect_one_end(peer, alias, error_values.UNREGISTERED)


@case("ENP-T-104", "ENP-T-124", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_reached_by_alias(ergo_context: Context) -> None:
    """A process can be called and terminated by its alias."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    alias = await peer.call(pid.id, "alias")
    found = await peer.call(alias.id, "pid")
    peer.check_equal(found, pid, "the answer of crasher called by alias")
    await add_relation(peer, Verb.MONITOR, pid)
    peer.send(alias.id, "kill")
    await expect_end(peer, pid, error_values.KILL)


@case("ENP-DLV-1", "ENP-ANY-1", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_alias_is_gone(ergo_context: Context) -> None:
    """A deleted alias does not exist any more: a call is not answered, a monitor request gets an error."""
    peer = await ergo_context.peer_with_target_creation()
    alias = await peer.call("pub", "alias")
    await peer.call("pub", "delete_alias")
    await peer.expect_no_answer(peer.ask(alias.id, "starts"))
    result = await request_relation(peer, Verb.MONITOR, Alias(*alias))
    peer.check(isinstance(result.Error, Error), result, "a Result with an error")


@case("ENP-IMP-2", "ENP-T-104", offers=AGENTS, agents=("pub",))
async def test_important_by_alias(ergo_context: Context) -> None:
    """A target acknowledges an important message by alias with code 0."""
    peer = await ergo_context.peer_with_target_creation()
    alias = await peer.call("pub", "create_alias")
    ack = await peer.acknowledgement(peer.send_important(alias.id, "starts"))
    peer.check(ack.code == enp.Code.DELIVERED, ack, "code 0")
