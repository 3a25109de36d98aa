"""The whole codec over the wire: what echo is asked comes back the same, whatever kind of value it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo import error_values, subject
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.json.values import value_from_json, value_to_json
from ergo_conformance.model.registry import Struct
from ergo_conformance.model.types import Array, Map, Reg, Slice
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed
from ergo_conformance.peers.ergo.connection import ANNOUNCED, REGISTRY, Peer
from ergo_conformance.testing import AGENTS, Context, case
from ergo_conformance.verdict.vectors.edf import golden

LARGE = 60_000
"""Bytes of a value whose frame comes near the 64 KB where releases before 3.1.1 give up (ENP-SIZE-3)."""
KINDS = (
    "bool", "integer", "float", "string", "binary", "atom", "pid", "process_id", "event", "ref", "alias", "time", "error",
    "slice", "any", "array", "map",
)  # fmt: skip
"""Groups of golden vectors that need no types but the built-in ones."""


@dataclass(frozen=True, slots=True)
class Values:
    """Golden values of one kind."""

    label: str
    rows: tuple[Any, ...]

    @property
    def requirements(self) -> tuple[str, ...]:
        """The ids that the rows show."""
        return tuple(dict.fromkeys(id_ for row in self.rows for id_ in row.get("requirements", ())))

    def __iter__(self) -> Any:
        return (value_from_json(row["value"], REGISTRY) for row in self.rows)


def can_travel(row: Any) -> bool:
    """Whether a message may hold the value: not nil, no types of the vectors' own, no ids or mappings."""
    if row["value"] is None or row["expect"] != "both" or row.get("options"):
        return False
    try:
        value_from_json(row["value"], REGISTRY)
    except ValueError:
        return False
    return "edfgold" not in json.dumps(row["value"])


ROWS = [row for row in golden("edf_vectors.json").rows if row["group"] in KINDS and can_travel(row)]


def is_unusual(row: Any) -> bool:
    """Whether the reader of some release fails, or reads something else."""
    return row["decode"] != "ok" or any(";decode:" in result for result in row["versions"].values())


ORDINARY = [row for row in ROWS if not is_unusual(row)]
USUAL = [Values(kind, tuple(r for r in ORDINARY if r["group"] == kind and r["len"] < LARGE)) for kind in KINDS]
LARGE_ONES = [row for row in ORDINARY if row["len"] >= LARGE]
UNUSUAL = [Values(row["id"].removeprefix("edf-"), (row,)) for row in ROWS if is_unusual(row)]


async def round_trip(peer: Peer, values: Sequence[Any]) -> None:
    """Asks echo for all of them at once; each has to come back the same."""
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
    """The golden values of kind {values} come back the same."""
    await round_trip(await ergo_context.peer(), list(values))


@case("ENP-SIZE-3", offers=AGENTS)
async def test_large(ergo_context: Context) -> None:
    """The golden values of more than 60,000 bytes come back the same."""
    await round_trip(await ergo_context.peer(), list(Values("large", tuple(LARGE_ONES))))


@labelled(UNUSUAL)
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_unusual(ergo_context: Context, values: Values) -> None:
    """A value that some release of upstream writes but does not read back ({values}) comes back the same."""
    await round_trip(await ergo_context.peer(), list(values))


@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_nested(ergo_context: Context) -> None:
    """Containers in containers, a hundred levels deep in types and in values, come back the same."""
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
    "Time": Time(1_709_210_096, 789_012_345, None), "Error": subject.CUSTOM_ERROR, "Any": "any", "SliceInt": [1, -1],
    "SliceString": ["a", ""], "SliceAny": [Typed(t.INT8, 1), "two", None, Atom("three")], "Array": (1, 2, 3),
    "Map": {"k": 1}, "MapAny": {"k": True}, "NamedInt": 7, "NamedString": "ns", "NamedBool": True, "NamedFloat": 0.5,
    "NamedSlice": ["x"], "NamedMap": {"m": 9}, "NamedArray": (7, 8, 9),
}  # fmt: skip
"""Fields of Everything: the sample of the protocol notes. Nested and SliceNested are made of it below."""


def make(row: Struct) -> Any:
    """What makes values of a struct."""
    return row.value_class


def everything(**other: Any) -> Any:
    """A filled Everything, some fields replaced."""
    nested = make(subject.NESTED)
    values = {**PLAIN, "SliceNested": [nested(1, "one")], "Nested": nested(2, "two"), **other}
    return make(subject.EVERYTHING)(*(values[name] for name, _ in subject.EVERYTHING.fields))


def empty() -> Any:
    """An Everything whose containers, errors and any slots are nil."""
    nothing = {
        name: None
        for name, type_ in subject.EVERYTHING.fields
        if isinstance(type_, Slice | Map) or type_ in (t.ANY, t.ERROR) or name in ("NamedSlice", "NamedMap")
    }
    return everything(**nothing)


def named(name: str, value: Any) -> Typed:
    """A value of a registered type that is no struct."""
    return Typed(Reg(subject.PREFIX + name), value)


SAMPLES: dict[str, list[Any]] = {
    "NamedInt": [named("NamedInt", n) for n in (0, -1, 2**63 - 1, -(2**63))],
    "NamedString": [named("NamedString", text) for text in ("", "text", "\udcff")],
    "NamedBool": [named("NamedBool", flag) for flag in (True, False)],
    "NamedFloat": [named("NamedFloat", x) for x in (0.5, float("inf"), -0.0)],
    "NamedSlice": [named("NamedSlice", items) for items in ([], ["a", "", "b"])],
    "NamedMap": [named("NamedMap", items) for items in ({}, {"k": 1, "": -1})],
    "NamedArray": [named("NamedArray", (1, 2, 65_535))],
    "Nested": [make(subject.NESTED)(2**32 - 1, "one")],
    "Everything": [everything(), empty()],
    "Custom": [named("Custom", payload) for payload in (b"\x00\x01", b"\x00\x01bee")],
    "BinCustom": [named("BinCustom", payload) for payload in (b"\x00\x00\x00\x07", b"\xff\xff\xff\xff")],
    "Small": [subject.Small(1, "s"), subject.Small(-(2**63), "")],
    "Empty": [make(subject.EMPTY)()],
}
"""Values of each of the agents' types."""
assert list(SAMPLES) == [row.name.removeprefix(subject.PREFIX) for row in subject.ROWS]
INSIDE = {
    "slice": Typed(Slice(Reg(subject.PREFIX + "Small")), [subject.Small(1, "a"), subject.Small(2, "b")]),
    "array": Typed(Array(2, Reg(subject.PREFIX + "NamedInt")), (1, 2)),
    "map": Typed(Map(Reg(subject.PREFIX + "NamedString"), Reg(subject.PREFIX + "Custom")), {"k": b"\x00\x01x"}),
    "any": [named("NamedInt", 1), subject.Small(1, "s"), named("Custom", b"\x00\x01"), everything()],
    "any_of_everything": everything(Any=everything(), SliceAny=[everything(), None]),
}


def needs_types(ergo_context: Context) -> None:
    """Skips the case if the target does not know the agents' types."""
    if not ergo_context.target.types:
        ergo_context.skip(
            "the target does not know the types of the agents"
            if ergo_context.target.types is False
            else "types unknown"
        )


async def by_name_and_id(ergo_context: Context, values: Sequence[Any]) -> None:
    """The same values, from a peer that announced no ids and from one that did."""
    for caches in (NO_CACHES, ANNOUNCED):
        await round_trip(await ergo_context.peer(caches=caches), values)


@pytest.mark.parametrize("kind", list(SAMPLES))
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_registered(ergo_context: Context, kind: str) -> None:
    """Values of the registered type {kind} come back the same, whether we announced an id for it or not."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, SAMPLES[kind])


@case("EDF-SLICE-2", "ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_registered_nil(ergo_context: Context) -> None:
    """The nil values of registered slices and maps come back as nil, not as empty ones."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, [named("NamedSlice", None), named("NamedMap", None)])


@pytest.mark.parametrize("where", list(INSIDE))
@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_registered_inside(ergo_context: Context, where: str) -> None:
    """Values of registered types inside others ({where}) come back the same, whether we announced ids or not."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, [INSIDE[where]])


# --- ids --------------------------------------------------------------------------------------------------------------

ATOMS = [Atom("echo"), Atom("not announced"), [Atom("sink"), Atom("nobody")], PID(Atom("echo"), 1, 2)]
ERRORS: list[Any] = [subject.CUSTOM_ERROR, *error_values.REGISTERED, Error("not registered"), Error("timed out")]


@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_errors(ergo_context: Context) -> None:
    """Registered and other errors come back the same, whether we announced ids for them or not."""
    needs_types(ergo_context)
    await by_name_and_id(ergo_context, [*ERRORS, ERRORS])


@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_atoms_by_id(ergo_context: Context) -> None:
    """Atoms that we announced ids for, and others beside them, come back the same."""
    await round_trip(await ergo_context.peer(caches=ANNOUNCED), [*ATOMS, ATOMS])


@case("ENP-T-121", "ENP-T-129", offers=AGENTS)
async def test_each_peer_has_its_own_ids(ergo_context: Context) -> None:
    """Two peers that announced one id for different names are each understood by their own table."""
    one = await ergo_context.peer(caches=Caches(atoms={256: Atom("one"), 257: Atom("two")}))
    two = await ergo_context.peer(caches=Caches(atoms={256: Atom("two"), 257: Atom("one")}))
    for peer in (one, two):
        await round_trip(peer, [Atom("one"), Atom("two"), Atom("three")])


@case("ENP-T-129", offers=AGENTS)
async def test_target_writes_only_ids_it_announced(ergo_context: Context) -> None:
    """Whatever ids a target uses for atoms, types and errors, it announced them: its answers can be read."""
    needs_types(ergo_context)
    peer = await ergo_context.peer()
    atoms = [*peer.target_caches.atoms.values(), peer.target, Atom("echo")]
    await round_trip(peer, [atoms, [everything()], ERRORS, peer.target_pid(1), peer.pid()])
