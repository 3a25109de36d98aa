"""Statements of the protocol document about bytes that are not a row of value_rows.py, by requirement id."""

from typing import Any

import pytest

from ergo_conformance.errors import Reason
from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.registry import Marshaler, Newtype, Registry
from ergo_conformance.model.types import Map, Slice
from ergo_conformance.model.values import PID, Atom, Error, Time, Typed

from .codecs import agreed, both_readers, both_writers, folded, judged, spec_reads
from .value_rows import REGISTRY, Foo

R = Reason

# statement, bytes, value
READ: list[tuple[str, str, Any]] = [
    ("EDF-TOP-3", "ff", None),
    ("EDF-BOOL-1", "9102", False),
    ("EDF-BOOL-1", "91ff", False),
    ("EDF-FLOAT-1", "908000000000000000", -0.0),
    ("EDF-ERR-2", "9cffff", None),
    ("EDF-ANY-1", "848d000161", "a"),
    ("EDF-ANY-1", "84848494" + "00000005", Typed(t.INT32, 5)),
    ("EDF-ANY-1", "84ff", None),
    ("EDF-ANY-1", "8200029d84" + "9d00000002" + "848d000161" + "8484ff", ["a", None]),
    ("EDF-ANY-1", "8200029d84" + "9d00000001" + "8200029d94ff", [Typed(Slice(t.INT32), None)]),
    ("EDF-MAP-1", "8200039f8d92" + "9f00000002" + "00016101" + "00016102", Typed(Map(t.STRING, t.INT8), {"a": 2})),
    ("EDF-MAP-2", "8200039f8492" + "9f00000001" + "ff01", Typed(Map(t.ANY, t.INT8), {None: 1})),
    ("EDF-MAP-2", "8200039f8492" + "9f00000001" + "9cffff01", Typed(Map(t.ANY, t.INT8), {None: 1})),
    ("EDF-TIME-1", "af0f010000000e7791f70000000000ffff", Time(0, 0, None)),
    ("EDF-TIME-3", "af10020000000e7791f70000000000fed9c2", Time(0, 0, -17762)),
    ("EDF-TIME-3", "af10020000000e7791f70000000000ffff05", Time(0, 0, -55)),
    ("EDF-TIME-3", "af10020000000e7791f700000000000000c4", Time(0, 0, None)),
    ("EDF-REG-3", "83000623782f466f6f" + "00000007" + "000162", Foo(7, "b")),
]

# statement, bytes, reason of the refusal, offset
REFUSED: list[tuple[str, str, Reason, int]] = [
    ("EDF-TOP-5", "", R.END_OF_DATA, 0),
    ("EDF-TAG-1", "00", R.UNKNOWN_TAG, 0),
    ("EDF-TAG-1", "a0", R.UNKNOWN_TAG, 0),
    ("EDF-TAG-2", "9d", R.UNKNOWN_TAG, 0),
    ("EDF-STR-1", "8d0002" + "61", R.END_OF_DATA, 3),
    ("EDF-STR-2", "8dfffe", R.END_OF_DATA, 3),
    ("EDF-BIN-2", "8efffffffc", R.END_OF_DATA, 5),
    ("EDF-BIN-2", "8effffffff", R.END_OF_DATA, 5),
    ("EDF-FOLD-4", "820000", R.END_OF_DATA, 3),
    ("EDF-FOLD-4", "8200019d", R.END_OF_DATA, 4),
    ("EDF-FOLD-4", "8200039d9494", R.FOLDED, 5),
    ("EDF-FOLD-4", "8200029d82", R.UNKNOWN_TAG, 4),
    ("EDF-FOLD-4", "8200029dff", R.UNKNOWN_TAG, 4),
    ("EDF-FOLD-4", "8200029da0", R.UNKNOWN_TAG, 4),
    ("EDF-FOLD-4", "8200049e000000", R.END_OF_DATA, 4),
    ("EDF-FOLD-4", "8200049d83000161", R.END_OF_DATA, 7),
    ("EDF-FOLD-6", "82000196", R.FOLDED, 3),
    ("EDF-FOLD-6", "82000183", R.FOLDED, 3),
    ("EDF-SLICE-3", "8200029d92" + "9d00000002" + "01", R.COUNT, 6),
    ("EDF-SLICE-4", "8200029d92" + "8300000000", R.MARKER, 5),
    ("EDF-SLICE-4", "8200029d92" + "9f00000000", R.MARKER, 5),
    ("EDF-ARR-2", "8200069e0000000292" + "01", R.COUNT, 9),
    ("EDF-MAP-1", "8200039f9292" + "9f00000002" + "010101", R.COUNT, 7),
    ("EDF-MAP-1", "8200039f9292" + "9d00000000", R.MARKER, 6),
    ("EDF-REG-10", "83000423782f5a", R.UNKNOWN_TYPE, 1),
    ("EDF-REG-10", "830000", R.UNKNOWN_TYPE, 1),
    ("EDF-REG-10", "83000423", R.END_OF_DATA, 3),
    ("EDF-REG-10", "831000", R.UNKNOWN_ID, 1),
    ("EDF-REG-10", "83ffff", R.UNKNOWN_ID, 1),
    ("EDF-REG-11", "83000823782f4e616d6573" + "9d00000000", R.MARKER, 11),
    ("EDF-REG-11", "83000923782f436f756e7473" + "8300000009" + "0000", R.COUNT, 13),
    ("EDF-MAR-2", "83000623782f4d6172" + "fffffffc", R.END_OF_DATA, 13),
    ("EDF-ATOM-3", "8c0100", R.UNKNOWN_ID, 1),
    ("EDF-ERR-6", "9c8000", R.UNKNOWN_ID, 1),
    ("EDF-TIME-3", "af00", R.TIME, 1),
    ("EDF-TIME-3", "af0f03" + "00" * 14, R.TIME, 1),
    ("EDF-TIME-3", "af1001" + "00" * 15, R.TIME, 1),
    ("EDF-TIME-3", "af0f02" + "00" * 14, R.TIME, 1),
    ("EDF-FOLD-8", "8200049f9d9792" + "9f00000001" + "9d00000000" + "01", R.UNHASHABLE_KEY, 12),
]


@pytest.mark.parametrize(("id_", "digits", "value"), READ)
@both_readers
def test_bytes_are_read_as_the_requirement_states(read: Any, id_: str, digits: str, value: Any) -> None:
    data = bytes.fromhex(digits)
    found, end = read(data, REGISTRY)
    assert same(found, value, REGISTRY)
    assert end == len(data)


@pytest.mark.parametrize(("id_", "digits", "reason", "offset"), REFUSED)
@pytest.mark.parametrize("name", ["node", "spec"])
def test_bytes_are_refused_as_the_requirement_states(
    name: str, id_: str, digits: str, reason: Reason, offset: int
) -> None:
    (found, at), _ = judged(name, bytes.fromhex(digits), REGISTRY)
    assert found is reason
    assert at == offset


def test_fold_5_bytes_after_the_type_of_a_folded_type_are_refused() -> None:
    assert agreed(folded("9d9400") + b"\xff").reason is Reason.FOLDED


@both_writers
def test_err_4_only_a_registered_error_is_written_as_an_id(write: Any) -> None:
    caches = Caches(errors={32768: "bad", 32767: "low", 65535: "nil"})
    assert write(Error("bad", registered=True), REGISTRY, caches).hex() == "9c8000"
    assert write(Error("bad"), REGISTRY, caches).hex() == "9c0003626164"
    assert write(Error("low", registered=True), REGISTRY, caches).hex() == "9c00036c6f77"
    assert write(Error("nil", registered=True), REGISTRY, caches).hex() == "9c00036e696c"


@both_readers
@both_writers
def test_atom_2_the_mapping_is_applied_before_caching_and_after_lookup(read: Any, write: Any) -> None:
    caches = Caches(atoms={300: Atom("there"), 255: Atom("low")}, atom_mapping={Atom("here"): Atom("there")})
    pid = PID(Atom("here"), 1, 2)
    data = write(pid, REGISTRY, caches)
    assert data.hex() == "aa012c" + f"{1:016x}{2:016x}"
    assert read(data, REGISTRY, caches)[0] == pid
    assert write(Atom("low"), REGISTRY, caches).hex() == "8c00036c6f77"
    assert read(bytes.fromhex("8c00057468657265"), REGISTRY, caches)[0] == "here"
    assert write("here", REGISTRY, caches).hex() == "8d000468657265"


@both_readers
@both_writers
def test_reg_3_and_cache_10_a_type_id_replaces_the_name_in_every_position(read: Any, write: Any) -> None:
    caches = Caches(types={4096: "#x/Foo", 65535: "#x/Level", 4095: "#x/Text"})
    for value, digits in (
        (Foo(1, ""), "831000" + "000000010000"),
        (Typed(t.Reg("#x/Level"), 1), "83ffff" + "0001"),
        (Typed(Slice(t.Reg("#x/Foo")), []), "8200049d831000" + "9d00000000"),
        (Typed(t.Reg("#x/Text"), ""), "83000723782f54657874" + "0000"),
    ):
        assert write(value, REGISTRY, caches).hex() == digits
        assert same(read(bytes.fromhex(digits), REGISTRY, caches)[0], value, REGISTRY)


def test_cache_6_an_announced_type_that_is_not_registered_is_refused() -> None:
    caches = Caches(types={5000: "#x/Nobody"})
    assert agreed(bytes.fromhex("831388"), REGISTRY, caches) == (Reason.UNKNOWN_TYPE, 1)


def test_mar_1_a_payload_that_its_type_refuses_is_refused() -> None:
    from ergo_conformance.model.payloads import Opaque

    registry = Registry([Marshaler("#x/M", Opaque(b"\xee")), Newtype("#x/N", Slice(t.Reg("#x/M")))])
    assert agreed(b"\x83\0\4#x/M\0\0\0\1\xef", registry).reason is None
    assert agreed(b"\x83\0\4#x/M\0\0\0\1\xee", registry) == (Reason.PAYLOAD, 11)
    assert agreed(b"\x83\0\4#x/N\x83\0\0\0\1\0\0\0\1\xee", registry) == (Reason.PAYLOAD, 16)


def test_a_type_name_of_4095_bytes_is_read() -> None:
    longest = "#" + "n" * 4094
    registry = Registry([Newtype(longest, t.BOOL)])
    data = b"\x83\x0f\xff" + longest.encode() + b"\1"
    assert agreed(data, registry).reason is None
    assert spec_reads(data, registry)[0] == Typed(t.Reg(longest), value=True)
