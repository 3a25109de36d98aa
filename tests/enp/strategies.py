"""Hypothesis strategies for frames of every type, control messages included; and one simple frame of each type."""

from typing import Any

from hypothesis import strategies as st

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import CLASSES, FrameType
from ergo_conformance.model.ergo.records import framework
from ergo_conformance.model.registry import Marshaler, Newtype, Registry, Struct
from ergo_conformance.model.text import text_to_bytes
from ergo_conformance.model.types import Map, Reg, Slice, Type
from ergo_conformance.model.values import PID, Atom, Error, Ref
from tests.edf import strategies as edf

Values = st.SearchStrategy[Any]

REGISTRY = Registry([*framework(), *edf.ROWS])
CACHES = Caches(
    atoms={**edf.CACHES.atoms, 3: Atom("low"), 65_535: Atom("a" * 64)},
    types={**edf.CACHES.types, **{5000 + i: row.name for i, row in enumerate(enp.CONTROL)}},
    errors=edf.CACHES.errors,
)
TABLES = {"plain": Caches(atoms={256: Atom("only")}), "caches": CACHES}

# --- parts ------------------------------------------------------------------------------------------------------------

u8 = st.integers(0, 0xFF)
u64 = edf.SCALAR_VALUES[t.UINT64]
words = st.tuples(u64, u64, u64)
names = st.one_of(edf.atoms, st.just(Atom("x" * 255))).filter(lambda name: len(text_to_bytes(name)) <= enp.MAX_NAME)
errors = edf.errors.filter(lambda error: error is not None)
outcomes = st.one_of(
    st.tuples(st.sampled_from([code for code in enp.Code if code is not enp.Code.OTHER]), st.none()),
    st.tuples(st.just(enp.Code.OTHER), errors),
)


def slots(type_: Type, depth: int = 1) -> Values:
    """Strategy for values in a slot of a type, framework types included."""
    row = REGISTRY.get(type_.name) if isinstance(type_, Reg) else None
    match row:
        case Struct():
            return st.tuples(*(slots(field, depth) for _, field in row.fields)).map(lambda v: row.value_class(*v))
        case Newtype():
            return slots(row.base, depth)
        case Marshaler():
            return st.binary(min_size=8, max_size=8)
    match type_:
        case Slice():
            return st.one_of(st.none(), st.lists(slots(type_.item, depth), max_size=2))
        case Map(key=key):
            keys = slots(key) if isinstance(key, Reg) else edf.keys(key, depth)
            return st.one_of(st.none(), st.dictionaries(keys, slots(type_.value, depth), max_size=2))
    return edf.values(type_, depth)


controls = {row.value_class.__name__: slots(Reg(row.name)) for row in enp.CONTROL}
"""Strategies for control messages, by class name."""

FIELDS: dict[str, Values] = {
    "order": u8, "from_id": u64, "to_id": u64, "id": u64, "priority": u8, "mid": u64,
    "timestamp": edf.SCALAR_VALUES[t.INT64], "ref": words, "to_alias": words, "alias": words,
    "to_name": names, "name": names, "payload": edf.tops, "reason": errors,
    "message": st.one_of(*controls.values()),
    "algorithm": u8, "length": st.integers(0, 0xFFFF_FFFF), "stream": st.binary(max_size=40),
}  # fmt: skip
CACHED = frozenset(type_ for type_ in FrameType if type_.name.endswith("_CACHE"))
"""Frame types with a cached name."""


def frames(type_: FrameType, caches: Caches = CACHES) -> Values:
    """Strategy for frames of a type; cached names are taken from the caches."""
    parts = dict(FIELDS)
    if type_ in CACHED:
        parts["name"] = parts["to_name"] = st.sampled_from([*caches.atoms.values()])
    fields = CLASSES[type_]._fields
    if type_ is FrameType.RESPONSE_ERROR:
        made = st.tuples(*(parts[name] for name in fields[:-2]), outcomes).map(lambda v: (*v[:-1], *v[-1]))
    else:
        made = st.tuples(*(parts[name] for name in fields))
    return made.map(lambda values: CLASSES[type_](*values))


# --- one of each ------------------------------------------------------------------------------------------------------

_REF = Ref(Atom("a@b"), 5, (1, 2, 3))
_PLAIN: dict[str, Any] = {
    "order": 7, "from_id": 1001, "to_id": 1004, "id": 1005, "priority": 0x81, "mid": 9, "timestamp": -1,
    "ref": (1, 2, 3), "to_alias": (4, 5, 6), "alias": (4, 5, 6), "to_name": Atom("only"), "name": Atom("only"),
    "payload": "hi", "reason": Error("gone"), "code": enp.Code.OTHER, "error": Error("late"),
    "message": enp.Result(Error("no"), PID(Atom("a@b"), 1, 2), _REF),
    "algorithm": enp.Algorithm.ZLIB, "length": 40, "stream": b"stream",
}  # fmt: skip
PLAIN: dict[FrameType, Any] = {type_: cls(*(_PLAIN[name] for name in cls._fields)) for type_, cls in CLASSES.items()}
"""One frame of each type, for the caches `plain`."""
