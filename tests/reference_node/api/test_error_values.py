"""The 43 error values (node-api §9): their texts, and their transfer between nodes (NAPI-ERR)."""

from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode
from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from tests.support.consumers import error_text
from tests.support.error_values import IDS, TEXTS, constant
from tests.support.loopback_nodes import dial, node_starter, process_id, spawn_echo
from tests.support.nodes import run_as_process

pytestmark = pytest.mark.real_loop


@pytest.mark.covers("Errors: the texts")
def test_error_values_have_the_texts_of_the_framework() -> None:
    """§9: 43 values; two have one text."""
    assert len(TEXTS) == 43
    assert {name: constant(name).text for name in TEXTS} == TEXTS
    ours = {value.text for value in vars(error_values).values() if isinstance(value, Error)}
    assert ours == set(TEXTS.values())
    assert len(ours) == 42


class Failing(Actor):
    """Fails a call with the error in its payload, or answers with that error."""

    async def handle_call(self, call: Call) -> Any:
        is_error, error = call.payload
        if is_error:
            raise ErgoError(error)
        return error

    async def handle_message(self, sender: PID, message: Any) -> None:
        raise Stop(message)


@pytest.mark.covers("NAPI-ERR-1")
async def test_a_node_announces_ids_of_15_error_values() -> None:
    """NAPI-ERR-1; ids of errors that a node registers follow."""
    async with node_starter() as start:
        a, b, c = await start("a"), await start("b"), await start("c", errors=(Error("own", registered=True),))
        await dial(a, b)
        await dial(a, c)
        assert a.network.connections[b.name].peer.caches.errors == IDS
        assert a.network.connections[c.name].peer.caches.errors == {**IDS, 0x800F: "own"}
        assert [error.text for error in error_values.REGISTERED] == list(IDS.values())


@pytest.mark.covers("NAPI-ERR-2")
async def test_each_error_value_equals_its_constant_on_the_other_node() -> None:
    """NAPI-ERR-1, -2: as error and as value of a call. Upstream's constants differ from errors received as text."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        b.spawn(Failing(), name="failing")

        async def call_failing(process: Process, error: Error) -> tuple[Error, Any]:
            value = await process.call(process_id(b, "failing"), [False, error])
            try:
                await process.call(process_id(b, "failing"), [True, error])
            except ErgoError as failed:
                return failed.error, value
            raise AssertionError("it did not fail")

        for name, text in TEXTS.items():
            error, value = await run_as_process(a, lambda it, name=name: call_failing(it, constant(name)))  # type: ignore[misc]
            assert (error.text, value.text) == (text, text)
            assert error == value == constant(name)


@pytest.mark.covers("NAPI-ERR-3")
@pytest.mark.parametrize("text", ["100%", "%s %d %!v(MISSING)", "ä €", "x" * 32_767])
async def test_an_error_text_is_not_interpreted_as_a_format(text: str) -> None:
    """NAPI-ERR-3: upstream runs it through printf. The longest has 32,767 bytes."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        b.spawn(Failing(), name="failing")
        assert (
            await error_text(run_as_process(a, lambda it: it.call(process_id(b, "failing"), [True, Error(text)])))
            == text
        )


@pytest.mark.covers("Errors: texts above 32,767 bytes")
@pytest.mark.parametrize("value", ["x" * 65_536, Atom("x" * 256), Error("x" * 32_768)])
async def test_a_value_too_long_for_edf_raises_cannot_encode(value: Any) -> None:
    """§9: upstream's limits, which have other texts there; the process goes on."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        spawn_echo(b)

        async def send_and_call(it: Process) -> Any:
            with pytest.raises(CannotEncode):
                await it.send(process_id(b), value)
            return await it.call(process_id(b), 1)

        assert await run_as_process(a, send_and_call) == 1
