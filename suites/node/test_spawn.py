"""Remote spawn: permissions, options and lifetime of spawned processes, and the target's requests to the tester."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.enp import IMPORTANT, ORDER_MODULUS, Code, Priority, Verb
from ergo_conformance.model.ergo.gen import ProcessOptionsExtra, RemoteProcessOptions
from ergo_conformance.model.show import show
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.peers.ergo.agents import OWN_PROCESS, add_relation, expect_end, expect_no_end, expect_one_end
from ergo_conformance.testing import AGENTS, ORDER, PROCESS, AgentDriver, Context, Peer, case, set_up

ECHO, CRASHER, RESTRICTED = Atom("echo_factory"), Atom("crasher_factory"), Atom("restricted_factory")
TEXT = "The quick brown fox jumps over the lazy dog. " * 100
DEFAULT = RemoteProcessOptions()
OFF = {"flags": {"spawn": False, "application_start": False}}


async def spawner(ergo_context: Context, name: str | None = None) -> Peer:
    """Returns a peer of a target that announces remote spawn."""
    peer = await ergo_context.peer_with_target_creation(name)
    ergo_context.needs_flag(peer, Flags.REMOTE_SPAWN)
    return peer


def request(peer: Peer, factory: Atom, options: RemoteProcessOptions = DEFAULT, **extra: Any) -> enp.Spawn:
    """Returns a valid request of the tester's process; `extra` replaces fields that the parent's node adds."""
    good = ProcessOptionsExtra(options, peer.pid(), peer.pid())
    return enp.Spawn(factory, good._replace(**extra), peer.control_ref())


async def asked(peer: Peer, message: enp.Spawn) -> enp.Result:
    """Returns the Result of a request."""
    peer.send_frame(enp.Control(0, message))
    return await peer.result(message.Ref)


async def spawned(peer: Peer, factory: Atom, options: RemoteProcessOptions = DEFAULT, **extra: Any) -> PID:
    """Returns the PID of a process that the target spawned at the tester's request."""
    with set_up("ENP-SPAWN-1"):
        result = await asked(peer, request(peer, factory, options, **extra))
        peer.check(result.Error is None, result, "a Result without an error")
        pid = result.Result
        good = isinstance(pid, PID) and pid[::2] == (peer.target, peer.introduce.Creation)
        peer.check(good, show(pid), f"a PID of {peer.target} in its creation")
    found: PID = pid
    return found


async def refused(peer: Peer, message: enp.Spawn, error: Error) -> None:
    """Checks that the Result of a request is the zero PID with this error."""
    result = await asked(peer, message)
    good = result.Error is not None and result.Error.text == error.text and result.Result in (None, gen.NO_PID)
    peer.check(good, result, f"a Result with {show(error.text)} and no PID")


async def environment(peer: Peer, pid: PID) -> set[str]:
    """Returns the environment of an `echo` process as strings `KEY=value`."""
    value = await peer.call(pid.id, "!env")
    texts = getattr(value, "value", value)
    peer.check(isinstance(texts, list), show(value), "a list of strings")
    return set(texts)


# --- granted requests -------------------------------------------------------------------------------------------------


@case("ENP-SPAWN-1", "ENP-C-Spawn", offers=AGENTS, agents=("agent",))
async def test_spawned(ergo_context: Context) -> None:
    """A spawned process can be called, and gets messages, by the PID of the Result."""
    peer = await spawner(ergo_context)
    pid = await spawned(peer, ECHO)
    peer.check_equal(await peer.call(pid.id, "!self"), pid, "its own PID")
    peer.send(pid.id, "hello")
    message = (await peer.receive_message()).value
    peer.check((message.from_id, message.payload) == (pid.id, "hello"), message, f"'hello' from {pid.id}")


@case("ENP-SPAWN-1", "ENP-ANY-1", offers=AGENTS, agents=("agent",))
async def test_many(ergo_context: Context) -> None:
    """A target answers fifty concurrent spawn requests with fifty different PIDs of running processes."""
    peer = await spawner(ergo_context)
    messages = [request(peer, ECHO) for _ in range(50)]
    for message in messages:
        peer.send_frame(enp.Control(0, message))
    results = [await peer.result(message.Ref) for message in messages]
    pids = {result.Result for result in results}
    peer.check(len(pids) == len(messages), f"{len(pids)} PIDs", f"{len(messages)} PIDs")
    for pid in pids:
        await peer.call(pid.id, "hello")


@case("ENP-SPAWN-1", "ENP-TERM-2", offers=AGENTS, agents=("agent",))
async def test_watched(ergo_context: Context) -> None:
    """A target reports the end of a spawned process like that of any other process."""
    peer = await spawner(ergo_context)
    pid = await spawned(peer, CRASHER)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.send(pid.id, "timeout")
    await expect_one_end(peer, pid, error_values.TIMEOUT)


@pytest.mark.parametrize("text", ["normal", "shutdown", "kill", "a custom reason"], ids=lambda t: t.split(" ")[0])
@case("ENP-EXIT-2", "ENP-T-107", offers=AGENTS, agents=("agent",))
async def test_exit_signal(ergo_context: Context, text: str) -> None:
    """An exit signal ({text}) terminates a spawned process with that reason."""
    peer = await spawner(ergo_context)
    pid = await spawned(peer, ECHO)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.send_frame(enp.Exit(pid.id % ORDER_MODULUS, PROCESS, Priority.MAX, pid.id, Error(text)))
    await expect_one_end(peer, pid, Error(text))


@case("ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_arguments(ergo_context: Context) -> None:
    """A target spawns a process with arguments of any kind, with an empty list and with nil."""
    peer = await spawner(ergo_context)
    for arguments in (None, [], [1, "two", None, Atom("three"), ["four"], peer.pid()]):
        pid = await spawned(peer, ECHO, Args=arguments)
        await peer.call(pid.id, "hello")


@case("ENP-SPAWN-1", "ENP-C-Spawn", offers=AGENTS, agents=("agent",))
async def test_registered(ergo_context: Context) -> None:
    """A process that is spawned with a name is reached by it; the name is taken until the process terminates."""
    peer = await spawner(ergo_context)
    name = Atom(f"spawned_{peer.new_ref()[0]}")
    pid = await spawned(peer, ECHO, Register=name)
    peer.check_equal(await peer.call(name, "!self"), pid)
    await refused(peer, request(peer, ECHO, Register=name), error_values.TAKEN)
    await refused(peer, request(peer, ECHO, Register=Atom("echo")), error_values.TAKEN)
    await add_relation(peer, Verb.MONITOR, pid)
    await peer.call(name, "!terminate")
    await expect_end(peer, pid, error_values.NORMAL)
    await spawned(peer, ECHO, Register=name)


# --- refused requests -------------------------------------------------------------------------------------------------


@case("ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_unknown_factory(ergo_context: Context) -> None:
    """A target refuses an unknown factory with "unknown name"."""
    peer = await spawner(ergo_context)
    await refused(peer, request(peer, Atom("no_such_factory")), error_values.NAME_UNKNOWN)


@case("ENP-SPAWN-2", "ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_restricted(ergo_context: Context) -> None:
    """A target refuses a factory that is enabled for another node with "not allowed" and spawns nothing."""
    peer = await spawner(ergo_context)
    name = Atom(f"restricted_{peer.new_ref()[0]}")
    await refused(peer, request(peer, RESTRICTED, Register=name), error_values.NOT_ALLOWED)
    await peer.expect_no_answer(peer.ask(name, "hello"))


@case("ENP-SPAWN-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_allowed(ergo_context: Context) -> None:
    """A target lets only the node for which a factory is enabled use that factory."""
    allowed = await spawner(ergo_context, ergo_context.config.get("allowed", "allowed@localhost"))
    pid = await spawned(allowed, RESTRICTED)
    await allowed.call(pid.id, "hello")
    peer = await spawner(ergo_context)
    await refused(peer, request(peer, RESTRICTED), error_values.NOT_ALLOWED)


@pytest.mark.parametrize("field", ["ParentPID", "ParentLeader"])
@case("ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_no_parent(ergo_context: Context, field: str) -> None:
    """A target refuses a request whose {field} is the zero PID with "parent/leader is not set"."""
    peer = await spawner(ergo_context)
    extra: dict[str, Any] = {field: gen.NO_PID}
    await refused(peer, request(peer, ECHO, **extra), error_values.PARENT_UNKNOWN)


@case("ENP-SPAWN-3", offers=AGENTS, agents=("agent",), config=OFF)
async def test_target_without_the_flag(ergo_context: Context) -> None:
    """A target that does not announce remote spawn spawns nothing: it answers with an error, or not at all."""
    peer = await ergo_context.peer()
    name = Atom(f"forbidden_{peer.new_ref()[0]}")
    message = request(peer, ECHO, Register=name)
    peer.send_frame(enp.Control(0, message))
    received = await peer.find(lambda f: isinstance(f, enp.Control) and f.message.Ref == message.Ref, within=1.0)
    if received is not None:
        peer.check(received.value.message.Error is not None, received.value, "a Result with an error, or no Result")
    await peer.expect_no_answer(peer.ask(name, "hello"))


# --- options ----------------------------------------------------------------------------------------------------------


@case("ENP-SPAWN-4", offers=AGENTS, agents=("agent",))
async def test_environment(ergo_context: Context) -> None:
    """A spawned process has the environment of its parent's node overridden by that of its options."""
    peer = await spawner(ergo_context)
    pid = await spawned(
        peer, ECHO, RemoteProcessOptions(Env={"BOTH": "own", "OWN": "1"}), ParentEnv={"BOTH": "parent", "PARENT": "2"}
    )
    found = await environment(peer, pid)
    peer.check(found >= {"BOTH=own", "OWN=1", "PARENT=2"}, sorted(found), "BOTH=own, OWN=1 and PARENT=2")
    peer.check("BOTH=parent" not in found, sorted(found), "BOTH once")


@pytest.mark.parametrize("whose", ["own", "parent"])
@case("ENP-SPAWN-4", offers=AGENTS, agents=("agent",))
async def test_one_environment(ergo_context: Context, whose: str) -> None:
    """A spawned process has the environment that was sent if only one was sent (the {whose} one)."""
    peer = await spawner(ergo_context)
    env = {"KEY": whose}
    options = RemoteProcessOptions(Env=env if whose == "own" else None)
    pid = await spawned(peer, ECHO, options, ParentEnv=env if whose == "parent" else None)
    found = await environment(peer, pid)
    peer.check(f"KEY={whose}" in found, sorted(found), f"KEY={whose}")


@case("ENP-SPAWN-4", offers=AGENTS, agents=("agent",))
async def test_environments_of_two(ergo_context: Context) -> None:
    """The environment of one spawned process does not affect the next one."""
    peer = await spawner(ergo_context)
    first = await spawned(peer, ECHO, RemoteProcessOptions(Env={"KEY": "first"}))
    second = await spawned(peer, ECHO)
    found = await environment(peer, second)
    peer.check("KEY=first" not in found, sorted(found), "no variable of the first process")
    peer.check("KEY=first" in await environment(peer, first), "no such variable", "KEY=first in the first process")


@pytest.mark.parametrize("priority", [Priority.HIGH, Priority.MAX], ids=lambda p: p.name.lower())
@case("ENP-SPAWN-6", offers=AGENTS, agents=("agent",))
async def test_priority(ergo_context: Context, priority: Priority) -> None:
    """A spawned process sends with the priority of its options ({priority})."""
    peer = await spawner(ergo_context)
    pid = await spawned(peer, ECHO, RemoteProcessOptions(SendPriority=priority))
    peer.send(pid.id, "hello")
    with set_up("ENP-T-101"):
        message = (await peer.receive_message()).value
    peer.check(message.priority == priority, message, f"priority byte {priority:d}")


@case("ENP-SPAWN-6", offers=AGENTS, agents=("agent",))
async def test_importance(ergo_context: Context) -> None:
    """A spawned process sends important messages if its options request it."""
    peer = await spawner(ergo_context)
    pid = await spawned(peer, ECHO, RemoteProcessOptions(ImportantDelivery=True))
    peer.send(pid.id, "hello")
    with set_up("ENP-T-101"):
        message = (await peer.receive_message()).value
    peer.send_frame(enp.ResponseError(0, PROCESS, 0, pid.id, (message.mid, 0, 0), Code.DELIVERED, None))
    peer.check(message.priority == IMPORTANT, message, "priority byte 128")
    peer.check(await peer.call(pid.id, "hello") == "hello", "another answer", "an answer after the acknowledgement")


@pytest.mark.parametrize("algorithm", list(enp.Algorithm), ids=lambda a: a.name.lower())
@case("ENP-SPAWN-6", "ENP-Z-3", offers=AGENTS, agents=("agent",))
async def test_compression(ergo_context: Context, algorithm: enp.Algorithm) -> None:
    """A spawned process compresses its messages according to its options (by algorithm {algorithm})."""
    peer = await spawner(ergo_context)
    compression = gen.RemoteCompression(True, algorithm.name.lower(), 0, enp.MIN_THRESHOLD)
    pid = await spawned(peer, ECHO, RemoteProcessOptions(Compression=compression))
    peer.send(pid.id, TEXT)
    with set_up("ENP-T-101"):
        received = await peer.receive_message()
    found = received.outer and received.outer.algorithm
    peer.check(found == algorithm, f"algorithm {found}", f"a frame compressed by {algorithm:d}")
    peer.check_equal(received.value.payload, TEXT, "the text that was sent")


# --- parents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "not_linked"])
@case("ENP-SPAWN-5", offers=AGENTS, agents=("agent",))
async def test_parent_is_lost(ergo_context: Context, linked: bool) -> None:
    """A process ends with "no connection" with its parent's connection if and only if LinkParent is set (here {linked})."""
    parent, other = await spawner(ergo_context), await ergo_context.peer_with_target_creation()
    pid = await spawned(parent, ECHO, RemoteProcessOptions(LinkParent=linked))
    await add_relation(other, Verb.MONITOR, pid)
    parent.sockets[0].close()
    await parent.expect_close()
    if linked:
        await expect_one_end(other, pid, error_values.NO_CONNECTION)
    else:
        await expect_no_end(other, pid, "report of the end of a process that is not linked to its parent")
        await other.call(pid.id, "hello")


@case("ENP-SPAWN-5", offers=AGENTS, agents=("agent",))
async def test_other_connection_is_lost(ergo_context: Context) -> None:
    """A process that is linked to its parent keeps running when the connection of another node ends."""
    parent, other = await spawner(ergo_context), await ergo_context.peer()
    pid = await spawned(parent, ECHO, RemoteProcessOptions(LinkParent=True))
    other.sockets[0].close()
    await other.expect_close()
    await parent.call(pid.id, "hello")


# --- requests of the target to the tester -----------------------------------------------------------------------------


async def asked_of_us(agent: AgentDriver, op: str, *arguments: Any) -> tuple[enp.Words, enp.Spawn]:
    """Tells the agent to spawn at the tester's node; returns the reference of the op and the request."""
    ref = agent.start(op, agent.peer.name, *arguments)
    received = await agent.peer.wait_for(
        lambda f: isinstance(f, enp.Control) and isinstance(f.message, enp.Spawn), "a MessageSpawn of agent"
    )
    return ref, received.value.message


def result(peer: Peer, message: enp.Spawn, pid: PID = gen.NO_PID, error: Error | None = None) -> None:
    peer.send_frame(enp.Control(ORDER, enp.Result(error, pid, message.Ref)))


@pytest.mark.parametrize("register", ["", "a_name"], ids=["plain", "registered"])
@case("ENP-C-Spawn", "ENP-SPAWN-4", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_request(ergo_context: Context, register: str) -> None:
    """The agent's request has the factory, itself as parent, the arguments and the name {register!r}; it returns the PID."""
    agent = AgentDriver(await ergo_context.peer())
    peer, me = agent.peer, await agent.pid()
    arguments = [1, "two"]
    op = ("spawn_register", "a_factory", register) if register else ("spawn", "a_factory")
    ref, message = await asked_of_us(agent, *op, *arguments)
    extra = message.Options
    found = (message.Name, extra.ParentPID, extra.Register, extra.Args)
    wanted = (Atom("a_factory"), me, Atom(register), arguments)
    peer.check_equal(found, wanted, "factory, parent, name and arguments")
    peer.check(extra.ParentLeader != gen.NO_PID, extra.ParentLeader, "a leader")
    peer.check(not extra.ParentEnv, extra.ParentEnv, "no environment, because it is not exposed")
    result(peer, message, peer.pid(OWN_PROCESS))
    answer = await agent.result(ref)
    peer.check(
        answer == peer.pid(OWN_PROCESS), show(answer), f"{show(peer.pid(OWN_PROCESS))}, the PID in the tester's Result"
    )


@case("ENP-SPAWN-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_our_refusal(ergo_context: Context) -> None:
    """The agent returns the error of the tester's Result."""
    agent = AgentDriver(await ergo_context.peer())
    for error in (error_values.NOT_ALLOWED, Error("a custom error")):
        ref, message = await asked_of_us(agent, "spawn", "a_factory")
        result(agent.peer, message, error=error)
        await agent.expect_error(ref, error)


@case("ENP-ANY-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_no_result(ergo_context: Context) -> None:
    """A spawn request of the agent without a Result ends with "timed out" after five seconds."""
    agent = AgentDriver(await ergo_context.peer())
    ref, _ = await asked_of_us(agent, "spawn", "a_factory")
    await agent.expect_timeout(ref, enp.REQUEST_TIMEOUT)


@case("ENP-SPAWN-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_we_do_not_announce_it(ergo_context: Context) -> None:
    """A target refuses with "not allowed" and sends nothing if the peer did not announce remote spawn."""
    flags = (DEFAULT_FLAGS & ~Flags.REMOTE_SPAWN).to_bytes(FLAGS_WIDTH, "big")
    agent = AgentDriver(await ergo_context.peer(Flags=flags))
    await agent.expect_error(agent.start("spawn", agent.peer.name, "a_factory"), error_values.NOT_ALLOWED)
    await agent.peer.expect_none(lambda f: isinstance(f, enp.Control), "request to spawn")
