"""docs/agents.md against the agents of the reference node: every operation, answer, error text and default is stated there."""

import asyncio
import random
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, Ref, Typed
from ergo_conformance.peers.ergo.agents import AgentDriver
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.reference_node.target.agent_operations import Agent
from ergo_conformance.reference_node.target.config import DEFAULTS
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.run.context import Context

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
TEXTS = {value.text for value in vars(error_values).values() if isinstance(value, Error)}


def table(heading: str) -> list[list[str]]:
    """Returns the cells of the first table below a heading, without its head."""
    rows = [line for line in PAGE.partition(heading)[2].splitlines() if line.startswith("|")]
    end = next((i for i, row in enumerate(rows) if i > 1 and row.startswith("|---")), len(rows) + 1)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2 : end - 1]]


OPS = {row[0].strip("`"): row for row in table("### The ops of `agent`")}
PUB = {row[0]: row for row in table("### The requests of `pub`")}


def test_the_page_states_every_operation_of_the_agent_and_no_other() -> None:
    implemented = {name.removeprefix("op_") for name in vars(Agent) if name.startswith("op_")}
    assert OPS.keys() == implemented


def test_every_error_of_an_operation_is_an_error_value_of_the_framework() -> None:
    quoted = [text for row in (*OPS.values(), *PUB.values()) for text in re.findall(r"`([a-z ID]+)`", row[-1])]
    errors = set(quoted) - OPS.keys()  # "as `call`" refers to the errors of another operation
    assert len(errors) > 10
    assert errors <= TEXTS


@pytest.mark.parametrize("text", ["too large", "process ID belongs to the previous incarnation"])
def test_the_page_has_the_texts_that_cases_demand(text: str) -> None:
    assert f"`{text}`" in PAGE


def test_the_page_states_the_default_of_the_permitted_node() -> None:
    assert f"its default is `{DEFAULTS['allowed']}`" in PAGE


# --- answers ----------------------------------------------------------------------------------------------------------


def in_memory(script: Callable[[Peer], Coroutine[Any, Any, Any]]) -> Any:
    """Returns the result of a script with a peer of the embedded node."""

    async def run() -> Any:
        running = await SelfTarget().start({})
        context = Context(running, random.Random(0))
        try:
            return await script(await context.peer(caches=NO_CACHES))
        finally:
            context.close()
            await running.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


TYPES: dict[str, Any] = {
    "alias": Alias,
    "int": int,
    "event": Event,
    "ref": Ref,
    "bool": bool,
    "pid": PID,
    "string": str,
}


@pytest.mark.parametrize(
    ("request_", "row"),
    [
        ("publish", "`publish`, `publish:EVENT`, `publish:EVENT:TEXT`"),
        ("publish:nothing", "`publish`, `publish:EVENT`, `publish:EVENT:TEXT`"),
        ("alias", "`alias`"),
        ("create_alias", "`create_alias`"),
        ("delete_alias", "`delete_alias`"),
        ("event", "`event`"),
        ("register_event:new", "`register_event:NAME`"),
        ("register_event:ev", "`register_event:NAME`"),
        ("unregister_event:ev", "`unregister_event:NAME`"),
        ("unregister_event:nothing", "`unregister_event:NAME`"),
        ("starts", "`starts`, `stops`"),
        ("stops", "`starts`, `stops`"),
        ("what?", "anything else"),
    ],
)
def test_pub_answers_with_the_stated_type_or_error(request_: str, row: str) -> None:
    async def script(peer: Peer) -> Any:
        return await peer.call("pub", request_)

    answer = in_memory(script)
    stated, errors = PUB[row][2], PUB[row][3]
    if isinstance(answer, Error):
        assert f"`{answer.text}`" in errors
    else:
        assert type(answer) is TYPES[re.split(r"[,:]", stated)[0]]


STRINGS = Typed(Slice(t.STRING), [])
ANSWERS: dict[str, tuple[list[Any], Any]] = {
    "pid": ([], PID),
    "received": ([], STRINGS.type),
    "nodes": ([], STRINGS.type),
    "send": (["echo", 1], True),
    "send_high": (["echo", 1], True),
    "send_max": (["echo", 1], True),
    "call": (["echo", "hello"], "hello"),
    "call_high": (["echo", "hello"], "hello"),
    "call_max": (["echo", "hello"], "hello"),
    "link": (["echo"], True),
    "monitor": (["echo"], True),
    "unlink": (["echo"], "unknown target"),
    "demonitor": (["echo"], "unknown target"),
    "app_info": ([Atom("test_app")], "loaded transient"),
    "app_stop": ([Atom("test_app")], True),
    "compression": (["gzip", 0], True),
    "priority": ([1], True),
    "keep_order": ([True], True),
    "trap_exit": ([True], True),
    "disconnect": ([Atom("nowhere@localhost")], "no connection"),
    "send_important": (["nobody", 1], "unknown process"),
}
"""Arguments of operations, and their answers: a value, a type, or the text of an error."""


@pytest.mark.parametrize("op", list(ANSWERS))
def test_an_operation_answers_as_stated(op: str) -> None:
    arguments, wanted = ANSWERS[op]

    async def script(peer: Peer) -> Any:
        return await AgentDriver(peer).run(op, *arguments)

    answer = in_memory(script)
    if isinstance(answer, Error):
        assert answer.text == wanted
    elif isinstance(answer, Typed):
        assert answer.type == wanted
    else:
        assert answer == wanted or type(answer) is wanted


@pytest.mark.parametrize("op", ["app_info", "app_stop"])
def test_an_unknown_application_is_answered_with_the_stated_error(op: str) -> None:
    async def script(peer: Peer) -> Any:
        return await AgentDriver(peer).run(op, "nothing")

    assert f"`{in_memory(script).text}`" in OPS[op][-1]


def test_an_unknown_operation_is_answered_with_the_stated_text() -> None:
    async def script(peer: Peer) -> Any:
        return await AgentDriver(peer).run("sing")

    assert in_memory(script).text == 'unknown op "sing"'
    assert '`unknown op "NAME"`' in PAGE


def test_sample_answers_with_an_everything() -> None:
    async def script(peer: Peer) -> Any:
        return await AgentDriver(peer).run("sample")

    assert isinstance(in_memory(script), agent_types.EVERYTHING.value_class)
