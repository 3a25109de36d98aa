"""Hypothesis strategies for EDF types and their values."""

import struct
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import edf
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.inferred import INTEGERS, to_any_slot
from ergo_conformance.model.payloads import Decimal
from ergo_conformance.model.registry import Marshaler, Newtype, Registry, Row, Struct
from ergo_conformance.model.text import bytes_to_text
from ergo_conformance.model.types import ANY, AnyType, Array, Map, Reg, Scalar, Slice, Type
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed

Values = st.SearchStrategy[Any]


def fixed(examples: int) -> settings:
    """Settings with reproducible examples and no deadline."""
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


# --- registered types -------------------------------------------------------------------------------------------------

ROWS: tuple[Row, ...] = (
    *(Newtype(f"#any/My{t.describe(base)}", base) for base in (t.BOOL, t.STRING, t.FLOAT32, t.FLOAT64, *INTEGERS)),
    Newtype("#any/Names", Slice(t.ATOM)),
    Newtype("#any/Bytes", Slice(t.UINT8)),
    Newtype("#any/Anys", Slice(ANY)),
    Newtype("#any/Table", Map(t.STRING, ANY)),
    Newtype("#any/Pair", Array(2, t.INT16)),
    Newtype("#any/None", Array(0, t.STRING)),
    Marshaler("#any/Mar"),
    Marshaler("#any/Dec", Decimal()),
    Struct("#any/Empty", ()),
    Struct("#any/Point", (("X", t.FLOAT64), ("Y", t.FLOAT32), ("Name", t.ATOM), ("On", t.BOOL))),
    Struct("#any/Holder", (("In", Reg("#any/Point")), ("X", ANY), ("E", t.ERROR), ("M", Reg("#any/Mar")))),
    Struct("#any/Lists", (("A", Slice(Reg("#any/Point"))), ("B", Map(t.ATOM, ANY)), ("C", Array(2, Slice(t.INT8))))),
    Struct("#any/Deep[int]", (("a-b", Slice(Slice(Reg("#any/Names")))), ("class", Reg("#any/Empty")), ("_t", t.TIME))),
)
REGISTRY = Registry(ROWS)
KEY_NAMES = ("#any/Point", "#any/Pair", "#any/Mystring", "#any/Myfloat32", "#any/Mybool", "#any/None", "#any/Empty")

ATOMS = tuple(Atom(name) for name in ("", "a@b", "node@host", "x" * 255, "\udcff", "é"))
CACHES = Caches(
    atoms={256 + i: atom for i, atom in enumerate(ATOMS[:4])},
    types={4096 + i: row.name for i, row in enumerate(ROWS[::2])},
    errors={32768: "normal", 65534: "", 40000: "100% \udcfe"},
)
MAPPING = {
    Atom("a@b"): Atom("node@host"),
    Atom("node@host"): Atom("a@b"),
    Atom("é"): Atom("\udcff"),
    Atom("\udcff"): Atom("é"),
}
"""A permutation, so mapping and reverse mapping restore the atom."""
MAPPED = Caches(CACHES.atoms, CACHES.types, CACHES.errors, MAPPING)
TABLES = {"plain": Caches(), "caches": CACHES, "mapping": Caches(atom_mapping=MAPPING), "caches and mapping": MAPPED}

# --- scalars ----------------------------------------------------------------------------------------------------------

characters = st.characters(exclude_categories=["Cs"])
"""All of UTF-8, as the default of st.text(), for which Hypothesis would try each code point (8 s where it has no cache)."""
texts = st.one_of(st.text(characters, max_size=12), st.binary(max_size=12).map(bytes_to_text))
atoms = st.one_of(st.sampled_from(ATOMS), texts.map(Atom))
errors = st.one_of(
    st.none(),
    texts.map(Error),
    st.sampled_from(["normal", "", "100% \udcfe", "unknown"]).map(lambda text: Error(text, registered=True)),
)


def _integers(type_: Type) -> Values:
    bits, signed = INTEGERS[type_]
    least = -(1 << bits - 1) if signed else 0
    return st.integers(least, least + (1 << bits) - 1)


_u64, _i64 = _integers(t.UINT64), _integers(t.INT64)
_words = st.tuples(_u64, _u64, _u64)
_offsets = st.integers(-32768 * 60 - 59, 32767 * 60 + 59).filter(lambda offset: not -120 < offset <= -60)
_seconds = st.integers(-(2**63), 2**63 - 1 - edf.TIME_EPOCH)
_any_float32 = st.binary(min_size=4, max_size=4).map(lambda raw: struct.unpack(">f", raw)[0])

SCALAR_VALUES: dict[Type, Values] = {
    t.ATOM: atoms,
    t.STRING: texts,
    t.BINARY: st.binary(max_size=12),
    t.FLOAT32: st.one_of(st.floats(width=32), _any_float32),
    t.FLOAT64: st.one_of(st.floats(), st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack(">d", raw)[0])),
    t.BOOL: st.booleans(),
    **{type_: _integers(type_) for type_ in INTEGERS},
    t.ERROR: errors,
    t.PID: st.builds(PID, atoms, _u64, _i64),
    t.PROCESS_ID: st.builds(ProcessID, atoms, atoms),
    t.ALIAS: st.builds(Alias, atoms, _i64, _words),
    t.EVENT: st.builds(Event, atoms, atoms),
    t.REF: st.builds(Ref, atoms, _i64, _words),
    t.TIME: st.builds(Time, _seconds, st.integers(0, edf.MAX_NANOS), st.one_of(st.none(), _offsets)),
}

# --- types ------------------------------------------------------------------------------------------------------------

scalar_types = st.sampled_from(list(t.SCALARS.values()))
leaf_types: st.SearchStrategy[Type] = st.one_of(
    scalar_types, st.sampled_from([Reg(row.name) for row in ROWS]), st.just(ANY)
)
_lengths = st.integers(0, 3)


def key_types() -> st.SearchStrategy[Type]:
    """Strategy for types whose values can be keys."""
    leaves = st.one_of(scalar_types, st.just(ANY), st.sampled_from(KEY_NAMES).map(Reg))
    return st.recursive(leaves, lambda inner: st.builds(Array, _lengths, inner), max_leaves=2)


def _constructed(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.one_of(st.builds(Slice, inner), st.builds(Array, _lengths, inner), st.builds(Map, key_types(), inner))


types = st.recursive(leaf_types, _constructed, max_leaves=4)
"""Every kind of type, folded ones nested a few levels deep."""

# --- values -----------------------------------------------------------------------------------------------------------


def values(type_: Type, depth: int = 3) -> Values:
    """Strategy for values in a slot of a type; `any` slots are filled `depth` levels deep."""
    match type_:
        case AnyType():
            return any_values(depth)
        case Scalar():
            return SCALAR_VALUES[type_]
        case Reg():
            return _registered(type_.name, depth)
        case Slice():
            return st.one_of(st.none(), st.lists(values(type_.item, depth), max_size=3))
        case Array():
            return st.tuples(*[values(type_.item, depth)] * type_.length)
        case Map():
            entries = st.dictionaries(keys(type_.key, depth), values(type_.value, depth), max_size=2)
            return st.one_of(st.none(), entries)
    raise TypeError(f"no values for {type_!r}")


def _registered(name: str, depth: int) -> Values:
    match REGISTRY.get(name):
        case Struct() as row:
            return st.tuples(*(values(field, depth) for _, field in row.fields)).map(
                lambda parts: row.value_class(*parts)
            )
        case Newtype(base=base):
            return values(base, depth)
        case Marshaler(payload=Decimal()):
            return _i64.map(lambda number: b"%d" % number)
    return st.binary(max_size=8)


def any_values(depth: int) -> Values:
    """Strategy for values in an `any` slot."""
    if depth <= 0:
        return st.one_of(st.none(), st.just(1), texts)
    return st.one_of(st.none(), types.flatmap(lambda type_: described(type_, depth - 1)))


def described(type_: Type, depth: int) -> Values:
    """Strategy for values of a type as represented in an `any` slot."""
    if type_ is ANY:
        return any_values(depth)
    return values(type_, depth).map(lambda value: to_any_slot(type_, value, REGISTRY))


def keys(type_: Type, depth: int) -> Values:
    """Strategy for map keys; keys in an `any` slot are Typed."""
    match type_:
        case AnyType():
            typed = key_types().filter(lambda inner: inner is not ANY)
            return st.one_of(st.none(), typed.flatmap(lambda inner: _typed_keys(inner, depth)))
        case Array():
            item = keys(type_.item, depth) if type_.item is not ANY else st.one_of(st.none(), st.integers(0, 9), texts)
            return st.tuples(*[item] * type_.length)
    return values(type_, depth)


def _typed_keys(type_: Type, depth: int) -> Values:
    return keys(type_, depth).map(lambda key: None if key is None else Typed(type_, key))


tops = types.flatmap(lambda type_: described(type_, 2)).filter(lambda value: value is not None)
"""Strategy for values allowed at top level."""
