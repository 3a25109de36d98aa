"""Who may spawn and start applications here: the lists, and what happens to those who are not on them (NAPI-PL)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.core.permissions import Permission
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import MemoryNetwork

A, B, C = Atom("a@localhost"), Atom("b@localhost"), Atom("c@localhost")
ALL = (A, B, C)
NAME = "it"


def allowed(permission: Permission) -> set[Atom]:
    return {node for node in ALL if permission.allows(node)}


Steps = list[tuple[str, tuple[Atom, ...]]]
ROWS: list[tuple[Steps, set[Atom], list[Atom]]] = [
    ([], {A, B, C}, []),
    ([("enable", (A,))], {A}, [A]),
    ([("enable", (A,)), ("enable", (B,))], {A, B}, [A, B]),
    ([("enable", (A,)), ("enable", ())], {A, B, C}, []),
    ([("disable", (A,))], {B, C}, []),
    ([("disable", (A,)), ("enable", ())], {A, B, C}, []),
    ([("disable", (A,)), ("enable", (A,))], {A}, [A]),
    ([("disable", (A,)), ("enable", (B,))], {B}, [B]),
    ([("enable", (A, B)), ("disable", (A,))], {B}, [B]),
    ([("enable", (A,)), ("disable", (A,))], set(), []),
    ([("enable", (A,)), ("disable", (B,))], {A}, [A]),
    ([("enable", (A,)), ("disable", (A, B, C))], set(), []),
    ([("enable", (A,)), ("disable", (A,)), ("enable", (B,))], {B}, [B]),
    ([("enable", (A,)), ("disable", (A,)), ("enable", ())], {A, B, C}, []),
    ([("enable", (B, A)), ("disable", ())], {A, B}, [A, B]),
]


@pytest.mark.parametrize(("steps", "who", "named"), ROWS)
def test_a_list(steps: Steps, who: set[Atom], named: list[Atom]) -> None:
    permission = Permission()
    for verb, nodes in steps:
        getattr(permission, verb)(nodes)
    assert (allowed(permission), permission.nodes) == (who, named)


def test_a_list_that_begins_with_names() -> None:
    assert allowed(Permission((A, B))) == {A, B}
    assert allowed(Permission(iter(()))) == {A, B, C}


@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(ALL), unique=True))))
def test_who_was_enabled_or_disabled_last_may_or_may_not(steps: list[tuple[bool, list[Atom]]]) -> None:
    """Only to enable opens anything to anybody, and what was taken from a node comes back only by that (NAPI-PL-5)."""
    permission = Permission()
    for enable, nodes in steps:
        before = allowed(permission)
        (permission.enable if enable else permission.disable)(nodes)
        after = allowed(permission)
        if not enable:
            assert after == before - set(nodes)
        elif nodes:
            assert set(nodes) <= after <= before | set(nodes)
        else:
            assert after == set(ALL)


# --- on a node --------------------------------------------------------------------------------------------------------


class Thing:
    """One of the two things that others may start; its list under the name NAME on `there`."""

    def __init__(self, word: str, there: Node) -> None:
        remote = there.core.remote
        self.word, self.there = word, there
        if word == "spawn":
            self.enable: Callable[..., None] = lambda *nodes: remote.enable_spawn(NAME, Actor, *nodes)
            self.disable: Callable[..., None] = lambda *nodes: remote.disable_spawn(NAME, *nodes)
        else:
            there.core.applications.load(ApplicationSpec(NAME, (ApplicationMember(Actor),)))
            self.enable = lambda *nodes: remote.enable_application_start(NAME, *nodes)
            self.disable = lambda *nodes: remote.disable_application_start(NAME, *nodes)

    async def asked_by(self, node: Node) -> str:
        """The text of the error that a node gets, empty if it gets none."""
        try:
            if self.word == "spawn":
                await node.core.remote.spawn(None, self.there.name, Atom(NAME))
            else:
                await node.core.remote.start_application(self.there.name, Atom(NAME), 0)
                await self.there.core.applications.stop(NAME)
        except ErgoError as error:
            return error.error.text
        return ""


things = pytest.mark.parametrize("word", ["spawn", "application"])


@asynccontextmanager
async def scenario(word: str) -> AsyncIterator[tuple[Thing, Node, Node]]:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    a, c = net.node("a@localhost"), net.node("c@localhost")
    try:
        yield Thing(word, b), a, c
    finally:
        await net.stop()


@things
async def test_what_was_never_enabled(word: str) -> None:
    """NAPI-PL-1."""
    async with scenario(word) as (thing, a, _):
        assert await thing.asked_by(a) == "unknown name"


@things
async def test_what_is_enabled_for_all_and_for_some(word: str) -> None:
    """NAPI-PL-2, NAPI-PL-3."""
    async with scenario(word) as (thing, a, c):

        async def found() -> tuple[str, str]:
            return await thing.asked_by(a), await thing.asked_by(c)

        thing.enable()
        assert await found() == ("", "")
        thing.enable(A)
        assert await found() == ("", "not allowed")
        thing.enable(C)
        assert await found() == ("", "")
        thing.disable(A)
        assert await found() == ("not allowed", "")
        thing.enable()
        assert await found() == ("", "")


@things
async def test_the_last_node_is_taken_off(word: str) -> None:
    """Nobody may then (NAPI-PL-5, -6: upstream opens the one and closes the other)."""
    async with scenario(word) as (thing, a, c):
        thing.enable(A)
        thing.disable(A)
        assert await thing.asked_by(a) == await thing.asked_by(c) == "not allowed"


@things
async def test_one_node_is_taken_off_an_open_list(word: str) -> None:
    """The others still may (NAPI-PL-6: upstream shuts them out, too)."""
    async with scenario(word) as (thing, a, c):
        thing.enable()
        thing.disable(A)
        assert (await thing.asked_by(a), await thing.asked_by(c)) == ("not allowed", "")


@things
@pytest.mark.parametrize("nodes", [(), (A,)])
async def test_what_is_disabled_for_all_is_gone(word: str, nodes: tuple[Atom, ...]) -> None:
    """NAPI-PL-4."""
    async with scenario(word) as (thing, a, _):
        for _ in range(2):
            with pytest.raises(ErgoError, match=r"^unknown$"):
                thing.disable(*nodes)
            thing.enable(*nodes)
            assert await thing.asked_by(a) == ""
            thing.disable()
            assert await thing.asked_by(a) == "unknown name"


async def test_who_asks_is_known_by_the_name_of_its_node() -> None:
    """Not by what stands in the request: the parent may be of any node."""
    async with scenario("spawn") as (thing, a, c):
        thing.enable(A)
        parent: Any = a.spawn(Actor())
        assert await thing.asked_by(a) == ""
        with pytest.raises(ErgoError, match="not allowed"):
            await c.core.remote.spawn(parent, thing.there.name, Atom(NAME))


async def test_a_name_stands_for_one_factory() -> None:
    """NAPI-PL-8."""
    async with scenario("spawn") as (thing, a, c):

        class Other(Actor):
            pass

        thing.enable(A)
        with pytest.raises(ErgoError, match=r"^it associated with another process factory$"):
            thing.there.core.remote.enable_spawn(NAME, Other)
        assert (await thing.asked_by(a), await thing.asked_by(c)) == ("", "not allowed")
        thing.disable()
        thing.there.core.remote.enable_spawn(NAME, Other)
        assert await thing.asked_by(c) == ""


async def test_an_application_that_runs_or_is_not_loaded() -> None:
    """NAPI-PL-7."""
    async with scenario("application") as (thing, a, _):
        thing.enable()
        applications = thing.there.core.applications
        await applications.start(NAME)
        assert await thing.asked_by(a) == "application is still running"
        await applications.stop(NAME)
        applications.unload(NAME)
        assert await thing.asked_by(a) == "unknown application"
