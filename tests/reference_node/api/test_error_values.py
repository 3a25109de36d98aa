"""The 43 error values (node-api §9): their texts, and how they travel (NAPI-ERR)."""

from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode
from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from tests.support.error_values import IDS, TEXTS, constant
from tests.support.network import at, dial, echo, failure, lan
from tests.support.nodes import run_as_process

pytestmark = pytest.mark.real_loop


@pytest.mark.covers("Errors: the texts")
def test_the_texts_are_these() -> None:
    """§9: 43 values; two have one text."""
    assert len(TEXTS) == 43
    assert {name: constant(name).text for name in TEXTS} == TEXTS
    ours = {value.text for value in vars(error_values).values() if isinstance(value, Error)}
    assert ours == set(TEXTS.values())
    assert len(ours) == 42


class Failing(Actor):
    """Fails with what it is asked with, or answers it."""

    async def handle_call(self, call: Call) -> Any:
        fails, error = call.payload
        if fails:
            raise ErgoError(error)
        return error

    async def handle_message(self, sender: PID, message: Any) -> None:
        raise Stop(message)


@pytest.mark.covers("NAPI-ERR-1")
async def test_a_node_announces_ids_for_15_of_them() -> None:
    """NAPI-ERR-1, with those registered by a node behind them."""
    async with lan() as start:
        a, b, c = await start("a"), await start("b"), await start("c", errors=(Error("own", registered=True),))
        await dial(a, b)
        await dial(a, c)
        assert a.network.connections[b.name].peer.caches.errors == IDS
        assert a.network.connections[c.name].peer.caches.errors == {**IDS, 0x800F: "own"}
        assert [error.text for error in error_values.REGISTERED] == list(IDS.values())


@pytest.mark.covers("NAPI-ERR-2")
async def test_all_of_them_travel_and_are_the_same_on_the_other_side() -> None:
    """NAPI-ERR-1, -2: as an error, as a value and as a reason. Upstream's own constants differ from those that came as text."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        b.spawn(Failing(), name="failing")

        async def asks(process: Process, error: Error) -> tuple[Error, Any]:
            value = await process.call(at(b, "failing"), [False, error])
            try:
                await process.call(at(b, "failing"), [True, error])
            except ErgoError as failed:
                return failed.error, value
            raise AssertionError("it did not fail")

        for name, text in TEXTS.items():
            error, value = await run_as_process(a, lambda it, name=name: asks(it, constant(name)))  # type: ignore[misc]
            assert (error.text, value.text) == (text, text)
            assert error == value == constant(name)


@pytest.mark.covers("NAPI-ERR-3")
@pytest.mark.parametrize("text", ["100%", "%s %d %!v(MISSING)", "ä €", "x" * 32_767])
async def test_a_text_is_not_a_format(text: str) -> None:
    """NAPI-ERR-3: upstream runs it through printf. The longest has 32,767 bytes."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        b.spawn(Failing(), name="failing")
        assert await failure(run_as_process(a, lambda it: it.call(at(b, "failing"), [True, Error(text)]))) == text


@pytest.mark.covers("Errors: texts above 32,767 bytes")
@pytest.mark.parametrize("value", ["x" * 65_536, Atom("x" * 256), Error("x" * 32_768)])
async def test_what_is_too_long_for_edf_is_not_sent(value: Any) -> None:
    """§9: upstream's limits, with texts of their own; here it is CannotEncode, and the process lives on."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        echo(b)

        async def tries(it: Process) -> Any:
            with pytest.raises(CannotEncode):
                await it.send(at(b), value)
            return await it.call(at(b), 1)

        assert await run_as_process(a, tries) == 1
