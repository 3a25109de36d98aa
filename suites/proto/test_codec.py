"""The codec over the wire: `echo` returns every kind of value unchanged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.json.values import value_from_json, value_to_json
from ergo_conformance.model.registry import Struct
from ergo_conformance.model.types import Array, Map, Reg, Slice
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed
from ergo_conformance.testing import AGENTS, ANNOUNCED, REGISTRY, Context, Peer, case
from ergo_conformance.verdict.vectors.golden import golden_file

LARGE = 60_000
"""Bytes of a value whose frame is close to 64 KB, the size at which releases before 3.1.1 fail (ENP-SIZE-3)."""
KINDS = (
    "bool", "integer", "float", "string", "binary", "atom", "pid", "process_id", "event", "ref", "alias", "time", "error",
    "slice", "any", "array", "map",
)  # fmt: skip
"""Groups of golden vectors that need only built-in types."""


@dataclass(frozen=True, slots=True)
class Values:
    """Golden values of one kind."""

    label: str
    rows: tuple[Any, ...]

    @property
    def requirements(self) -> tuple[str, ...]:
        """Requirement ids that the rows show."""
        return tuple(dict.fromkeys(id_ for row in self.rows for id_ in row.get("requirements", ())))

    def __iter__(self) -> Any:
        return (value_from_json(row["value"], REGISTRY) for row in self.rows)


def can_travel(row: Any) -> bool:
    """Returns whether a message can contain the value: not nil, no types that only the vectors have, no ids or mappings."""
    if row["value"] is None or row["expect"] != "both" or row.get("options"):
        return False
    try:
        value_from_json(row["value"], REGISTRY)
    except ValueError:
        return False
    return "edfgold" not in json.dumps(row["value"])


ROWS = [row for row in golden_file("edf_vectors.json").rows if row["group"] in KINDS and can_travel(row)]


def is_unusual(row: Any) -> bool:
    """Returns whether the reader of some release fails on the row or reads another value."""
    return row["decode"] != "ok" or any(";decode:" in result for result in row["versions"].values())


ORDINARY = [row for row in ROWS if not is_unusual(row)]
USUAL = [Values(kind, tuple(r for r in ORDINARY if r["group"] == kind and r["len"] < LARGE)) for kind in KINDS]
LARGE_ONES = [row for row in ORDINARY if row["len"] >= LARGE]
UNUSUAL = [Values(row["id"].removeprefix("edf-"), (row,)) for row in ROWS if is_unusual(row)]


async def round_trip(peer: Peer, values: Sequence[Any]) -> None:
    """Calls `echo` with all values at once; each answer must equal its value."""
    asked = {peer.ask("echo", value): value for value in values}
    while asked:
        answer = (await peer.answers(1))[0]
        peer.check(answer.ref in asked, answer, "one answer to each call")
        value, found = asked.pop(answer.ref), getattr(answer, "payload", answer)
        if not same(value, found, REGISTRY):
            peer.fail(_short(found), f"the value that was sent, {_short(value)}")


def _short(value: Any) -> str:
    try:
        return json.dumps(value_to_json(value, REGISTRY))[:200]
    except (RecursionError, TypeError, ValueError):
        return f"a {type(value).__name__}"


def labelled(found: list[Values]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("values", found, ids=lambda values: values.label.replace("-", "_"))


@labelled(USUAL)
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_built_in(ergo_context: Context, values: Values) -> None:
    """A target returns the golden values of kind {values} unchanged."""
    await round_trip(await ergo_context.peer(), list(values))


@case("ENP-SIZE-3", offers=AGENTS)
async def test_large(ergo_context: Context) -> None:
    """A target returns the golden values of more than 60,000 bytes unchanged."""
    await round_trip(await ergo_context.peer(), list(Values("large", tuple(LARGE_ONES))))


@labelled(UNUSUAL)
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_unusual(ergo_context: Context, values: Values) -> None:
    """A target returns a value unchanged that some upstream release writes but cannot read back ({values})."""
    await round_trip(await ergo_context.peer(), list(values))


@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_nested(ergo_context: Context) -> None:
    """A target returns containers unchanged that are nested a hundred levels deep, in types and in values."""
    folded: t.Type = t.INT8
    for _ in range(100):
        folded = Slice(folded)
    deep: Any = "leaf"
    for i in range(100):
        deep = [deep] if i % 2 else {"key": deep}
    nested: Any = [1]
    for _ in range(99):
        nested = [nested]
    await round_trip(await ergo_context.peer(), [Typed(folded, nested), deep])


# --- the agents' registered types -------------------------------------------------------------------------------------

PLAIN = {
    "Bool": True, "Int": -5, "Int8": -8, "Int16": -16, "Int32": -32, "Int64": -64, "Uint": 5, "Uint8": 8,
    "Uint16": 16, "Uint32": 32, "Uint64": 2**64 - 1, "Float32": 1.5, "Float64": -2.25, "String": "string",
    "Binary": bytes.fromhex("0001feff"), "Atom": Atom("an_atom"), "PID": PID(Atom("b@localhost"), 1004, 1_700_000_000),
    "ProcessID": ProcessID(Atom("b@localhost"), Atom("echo")), "Ref": Ref(Atom("b@localhost"), 1_700_000_000, (1, 2, 3)),
    "Alias": Alias(Atom("b@localhost"), 1_700_000_000, (4, 5, 6)), "Event": Event(Atom("b@localhost"), Atom("ev")),
    "Time": Time(1_709_210_096, 789_012_345, None), "Error": agent_types.CUSTOM_ERROR, "Any": "any", "SliceInt": [1, -1],
    "SliceString": ["a", ""], "SliceAny": [Typed(t.INT8, 1), "two", None, Atom("three")], "Array": (1, 2, 3),
    "Map": {"k": 1}, "MapAny": {"k": True}, "NamedInt": 7, "NamedString": "ns", "NamedBool": True, "NamedFloat": 0.5,
    "NamedSlice": ["x"], "NamedMap": {"m": 9}, "NamedArray": (7, 8, 9),
}  # fmt: skip
"""Fields of Everything: the sample of the protocol notes. `everything` adds Nested and SliceNested."""


def make(row: Struct) -> Any:
    """Returns the class of the struct's values."""
    return row.value_class


def everything(**other: Any) -> Any:
    """Returns a filled Everything with some fields replaced."""
    nested = make(agent_types.NESTED)
    values = {**PLAIN, "SliceNested": [nested(1, "one")], "Nested": nested(2, "two"), **other}
    return make(agent_types.EVERYTHING)(*(values[name] for name, _ in agent_types.EVERYTHING.fields))


def empty() -> Any:
    """Returns an Everything whose containers, errors and `any` slots are nil."""
    nothing = {
        name: None
        for name, type_ in agent_types.EVERYTHING.fields
        if isinstance(type_, Slice | Map) or type_ in (t.ANY, t.ERROR) or name in ("NamedSlice", "NamedMap")
    }
    return everything(**nothing)


def named(name: str, value: Any) -> Typed:
    """Returns a value of a registered type that is not a struct."""
    return Typed(Reg(agent_types.PREFIX + name), value)


SAMPLES: dict[str, list[Any]] = {
    "NamedInt": [named("NamedInt", n) for n in (0, -1, 2**63 - 1, -(2**63))],
    "NamedString": [named("NamedString", text) for text in ("", "text", "\udcff")],
    "NamedBool": [named("NamedBool", flag) for flag in (True, False)],
    "NamedFloat": [named("NamedFloat", x) for x in (0.5, float("inf"), -0.0)],
    "NamedSlice": [named("NamedSlice", items) for items in ([], ["a", "", "b"])],
    "NamedMap": [named("NamedMap", items) for items in ({}, {"k": 1, "": -1})],
    "NamedArray": [named("NamedArray", (1, 2, 65_535))],
    "Nested": [make(agent_types.NESTED)(2**32 - 1, "one")],
    "Everything": [everything(), empty()],
    "Custom": [named("Custom", payload) for payload in (b"\x00\x01", b"\x00\x01bee")],
    "BinCustom": [named("BinCustom", payload) for payload in (b"\x00\x00\x00\x07", b"\xff\xff\xff\xff")],
    "Small": [agent_types.Small(1, "s"), agent_types.Small(-(2**63), "")],
    "Empty": [make(agent_types.EMPTY)()],
}
"""Values of each of the agents' types."""
assert list(SAMPLES) == [row.name.removeprefix(agent_types.PREFIX) for row in agent_types.ROWS]
INSIDE = {
    "slice": Typed(Slice(Reg(agent_types.PREFIX + "Small")), [agent_types.Small(1, "a"), agent_types.Small(2, "b")]),
    "array": Typed(Array(2, Reg(agent_types.PREFIX + "NamedInt")), (1, 2)),
    "map": Typed(Map(Reg(agent_types.PREFIX + "NamedString"), Reg(agent_types.PREFIX + "Custom")), {"k": b"\x00\x01x"}),
    "any": [named("NamedInt", 1), agent_types.Small(1, "s"), named("Custom", b"\x00\x01"), everything()],
    "any_of_everything": everything(Any=everything(), SliceAny=[everything(), None]),
}


def needs_types(ergo_context: Context) -> None:
    """Skips the case if the target does not know the agents' types."""
    if not ergo_context.target.types:
        ergo_context.skip(
            "the target does not know the types of the agents"
            if ergo_context.target.types is False
            else "the target does not state whether it knows the types of the agents"
        )


async def by_name_and_id(ergo_context: Context, values: Sequence[Any]) -> None:
    """Sends the values from a peer that announced no ids and from a peer that announced ids."""
    for caches in (NO_CACHES, ANNOUNCED):
        await round_trip(await ergo_context.peer(caches=caches), values)


@pytest.mark.parametrize("kind", list(SAMPLES))
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_registered(ergo_context: Context, kind: str) -> None:
    """A target returns values of the registered type {kind} unchanged, whether or not the tester announced an id for it."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, SAMPLES[kind])


@pytest.mark.parametrize("length", [4_090, 4_096, 4_097, 20_000], ids=lambda n: f"{n}_bytes")
@case("EDF-MAR-3", "ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_long_marshaler(ergo_context: Context, length: int) -> None:
    """A target returns a value of a marshaler type whose payload has {length} bytes unchanged, alone and in a list."""
    needs_types(ergo_context)
    value = named("Custom", b"\x00\x01" + b"x" * (length - 2))
    await by_name_and_id(ergo_context, [value, [value, "behind", value]])


@case("EDF-SLICE-2", "ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_registered_nil(ergo_context: Context) -> None:
    """A target returns nil values of registered slices and maps as nil, not as empty values."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, [named("NamedSlice", None), named("NamedMap", None)])


@pytest.mark.parametrize("where", list(INSIDE))
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_registered_inside(ergo_context: Context, where: str) -> None:
    """A target returns registered types inside other values ({where}) unchanged, with and without announced ids."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, [INSIDE[where]])


# --- ids --------------------------------------------------------------------------------------------------------------

ATOMS = [Atom("echo"), Atom("not announced"), [Atom("sink"), Atom("nobody")], PID(Atom("echo"), 1, 2)]
ERRORS: list[Any] = [agent_types.CUSTOM_ERROR, *error_values.REGISTERED, Error("not registered"), Error("timed out")]


@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_errors(ergo_context: Context) -> None:
    """A target returns registered and other errors unchanged, whether or not the tester announced ids for them."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, [*ERRORS, ERRORS])


@case("EHS-CACHE-1", "ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_atoms_by_id(ergo_context: Context) -> None:
    """A target returns atoms unchanged, those with ids announced by the tester and others."""
    await round_trip(await ergo_context.peer(caches=ANNOUNCED), [*ATOMS, ATOMS])


@case("EHS-CACHE-1", "ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_each_peer_has_its_own_ids(ergo_context: Context) -> None:
    """A target reads the same id from two peers according to each peer's own announced table."""
    one = await ergo_context.peer(caches=Caches(atoms={256: Atom("one"), 257: Atom("two")}))
    two = await ergo_context.peer(caches=Caches(atoms={256: Atom("two"), 257: Atom("one")}))
    for peer in (one, two):
        await round_trip(peer, [Atom("one"), Atom("two"), Atom("three")])


@case("EHS-CACHE-1", "EHS-CACHE-7", "ENP-T-129", offers=AGENTS)
async def test_target_writes_only_ids_it_announced(ergo_context: Context) -> None:
    """A target writes ids for atoms, types and errors only if it announced them, so its answers can be read."""
    needs_types(ergo_context)
    peer = await ergo_context.peer()
    atoms = [*peer.target_caches.atoms.values(), peer.target, Atom("echo")]
    await round_trip(peer, [atoms, [everything()], ERRORS, peer.target_pid(1), peer.pid()])
