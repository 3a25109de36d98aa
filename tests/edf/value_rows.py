"""Types, values and their bytes, one list for both readers and both writers."""

from typing import Any

from ergo_conformance.model import types as t
from ergo_conformance.model.registry import Marshaler, Newtype, Registry, Struct
from ergo_conformance.model.types import ANY, Array, Map, Reg, Slice, Type
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed

Row = tuple[Type, Any, str]

FOO = Struct("#x/Foo", (("A", t.INT32), ("B", t.STRING)))
EMPTY = Struct("#x/Empty", ())
HOLD = Struct(
    "#x/Hold",
    (
        ("F", Reg(FOO.name)),
        ("S", Slice(t.INT8)),
        ("R", Reg("#x/Names")),
        ("X", ANY),
        ("E", t.ERROR),
        ("M", Reg("#x/Mar")),
    ),
)
REGISTRY = Registry(
    [
        FOO,
        EMPTY,
        HOLD,
        Newtype("#x/Level", t.INT16),
        Newtype("#x/Text", t.STRING),
        Newtype("#x/On", t.BOOL),
        Newtype("#x/Names", Slice(t.ATOM)),
        Newtype("#x/Bytes", Slice(t.UINT8)),
        Newtype("#x/Counts", Map(t.STRING, t.INT8)),
        Newtype("#x/Pair", Array(2, t.INT8)),
        Marshaler("#x/Mar"),
        Marshaler("#x/Bin", binary=True),
    ]
)
Foo: Any = FOO.value_class
Empty: Any = EMPTY.value_class
Hold: Any = HOLD.value_class
NODE = Atom("a@b")
TWICE = "0003614062"  # the atom a@b

# descriptor and body separately: a typed slot has the body only
SCALARS: list[tuple[Type, Any, str, str]] = [
    (t.ATOM, Atom(""), "8c", "0000"),
    (t.ATOM, NODE, "8c", "0003614062"),
    (t.ATOM, Atom("x" * 255), "8c", "00ff" + "78" * 255),
    (t.STRING, "", "8d", "0000"),
    (t.STRING, "hi\0é", "8d", "0005686900c3a9"),
    (t.STRING, "\udcff\udc80", "8d", "0002ff80"),
    (t.STRING, "x" * 65533, "8d", "fffd" + "78" * 65533),
    (t.STRING, "x" * 65535, "8d", "ffff" + "78" * 65535),
    (t.BINARY, b"", "8e", "00000000"),
    (t.BINARY, b"\0\xff", "8e", "0000000200ff"),
    (t.FLOAT32, 1.5, "8f", "3fc00000"),
    (t.FLOAT32, float("-inf"), "8f", "ff800000"),
    (t.FLOAT64, -0.0, "90", "8000000000000000"),
    (t.FLOAT64, float("inf"), "90", "7ff0000000000000"),
    (t.FLOAT64, float("nan"), "90", "7ff8000000000000"),
    (t.BOOL, True, "91", "01"),
    (t.BOOL, False, "91", "00"),
    (t.INT8, -128, "92", "80"),
    (t.INT8, 127, "92", "7f"),
    (t.INT16, -2, "93", "fffe"),
    (t.INT32, -(2**31), "94", "80000000"),
    (t.INT64, 2**63 - 1, "95", "7fffffffffffffff"),
    (t.INT, -1, "96", "ffffffffffffffff"),
    (t.INT, 1, "96", "0000000000000001"),
    (t.UINT8, 255, "97", "ff"),
    (t.UINT16, 0x1234, "98", "1234"),
    (t.UINT32, 2**32 - 1, "99", "ffffffff"),
    (t.UINT64, 2**64 - 1, "9a", "ffffffffffffffff"),
    (t.UINT, 2**63, "9b", "8000000000000000"),
    (t.ERROR, Error("bad %d"), "9c", "0006626164202564"),
    (t.ERROR, Error(""), "9c", "0000"),
    (t.ERROR, Error("e" * 32767), "9c", "7fff" + "65" * 32767),
    (t.PID, PID(NODE, 1001, 1_700_000_000), "aa", "000361406200000000000003e9000000006553f100"),
    (t.PID, PID(Atom(""), 2**64 - 1, -1), "aa", "0000" + "ff" * 16),
    (t.PROCESS_ID, ProcessID(Atom("node@host"), Atom("proc")), "ab", "00096e6f646540686f7374000470726f63"),
    (t.ALIAS, Alias(NODE, 1, (1, 2, 3)), "ac", TWICE + "0000000000000001" + "".join(f"{i:016x}" for i in (1, 2, 3))),
    (t.EVENT, Event(NODE, Atom("e")), "ad", "0003614062" + "000165"),
    (t.REF, Ref(NODE, -2, (0, 2**64 - 1, 5)), "ae", TWICE + "fffffffffffffffe" + "00" * 8 + "ff" * 8 + f"{5:016x}"),
    (t.TIME, Time(0, 0, None), "af", "0f010000000e7791f70000000000ffff"),
    (t.TIME, Time(0, 0, 0), "af", "0f010000000e7791f700000000000000"),
    (t.TIME, Time(1, 999_999_999, 5400), "af", "0f010000000e7791f7013b9ac9ff005a"),
    (t.TIME, Time(-62_135_596_800, 0, -7200), "af", "0f01000000000000000000000000ff88"),
    (t.TIME, Time(0, 0, -17762), "af", "10020000000e7791f70000000000fed8fe"),
    (t.TIME, Time(0, 0, 32767 * 60 + 59), "af", "10020000000e7791f700000000007fff3b"),
    (t.TIME, Time(0, 0, -32768 * 60), "af", "0f010000000e7791f700000000008000"),
]

# descriptor and body in one
CONTAINERS: list[Row] = [
    (Slice(t.INT32), [], "8200029d94" + "9d00000000"),
    (Slice(t.INT32), None, "8200029d94" + "ff"),
    (Slice(t.INT32), [1, -1], "8200029d94" + "9d00000002" + "00000001ffffffff"),
    (Slice(t.BOOL), [True, False], "8200029d91" + "9d000000020100"),
    (Slice(t.STRING), ["a", ""], "8200029d8d" + "9d00000002" + "000161" + "0000"),
    (Slice(t.ERROR), [None, Error("x")], "8200029d9c" + "9d00000002" + "ffff" + "000178"),
    (
        Slice(Slice(t.INT32)),
        [[1, 2], [], None, [3]],
        "8200039d9d94" + "9d00000004" + "9d000000020000000100000002" + "9d00000000" + "ff" + "9d0000000100000003",
    ),
    (Slice(ANY), None, "8200029d84" + "ff"),
    (Array(3, t.STRING), ("a", "", "c"), "8200069e000000038d" + "000161" + "0000" + "000163"),
    (Array(0, t.STRING), (), "8200069e000000008d"),
    (Array(4, t.UINT8), (1, 2, 3, 4), "8200069e0000000497" + "01020304"),
    (Array(65, t.UINT8), tuple(range(65)), "8200069e0000004197" + bytes(range(65)).hex()),
    (Array(2, Slice(t.INT8)), (None, [1]), "8200079e000000029d92" + "ff" + "9d0000000101"),
    (Array(1, ANY), (None,), "8200069e0000000184" + "ff"),
    (Map(t.STRING, t.INT8), {}, "8200039f8d92" + "9f00000000"),
    (Map(t.STRING, t.INT8), None, "8200039f8d92" + "ff"),
    (Map(t.STRING, t.INT8), {"a": 1, "": -1}, "8200039f8d92" + "9f00000002" + "00016101" + "0000ff"),
    (Map(t.STRING, ANY), None, "8200039f8d84" + "ff"),
    (Map(ANY, ANY), {None: None, Typed(t.INT8, 1): "x"}, "8200039f8484" + "9f00000002" + "ffff" + "92018d000178"),
    (Map(Array(2, t.INT8), t.STRING), {(1, 2): "x"}, "8200089f9e00000002928d" + "9f00000001" + "0102000178"),
    (Map(t.PID, t.BOOL), {PID(NODE, 1, 2): True}, "8200039faa91" + "9f00000001" + TWICE + f"{1:016x}{2:016x}" + "01"),
    (
        Map(t.ATOM, Map(t.INT8, t.INT8)),
        {NODE: {1: 2}},
        "8200059f8c9f9292" + "9f00000001" + TWICE + "9f00000001" + "0102",
    ),
]


def _named(name: str) -> str:
    return f"83{len(name):04x}{name.encode().hex()}"


def _folded(inner: str) -> str:
    return f"82{len(inner) // 2:04x}{inner}"


REGISTERED: list[Row] = [
    (Slice(Reg("#x/Foo")), [Foo(1, "b")], _folded("9d" + _named("#x/Foo")) + "9d0000000100000001000162"),
    (Reg("#x/Level"), -2, _named("#x/Level") + "fffe"),
    (Reg("#x/Text"), "hi", _named("#x/Text") + "00026869"),
    (Reg("#x/On"), True, _named("#x/On") + "01"),
    (Reg("#x/Names"), None, _named("#x/Names") + "ff"),
    (Reg("#x/Names"), [], _named("#x/Names") + "8300000000"),
    (Reg("#x/Names"), [NODE], _named("#x/Names") + "8300000001" + TWICE),
    (Reg("#x/Bytes"), [1, 2], _named("#x/Bytes") + "83000000020102"),
    (Reg("#x/Counts"), {"a": 1}, _named("#x/Counts") + "8300000001" + "00016101"),
    (Reg("#x/Counts"), None, _named("#x/Counts") + "ff"),
    (Reg("#x/Pair"), (1, 2), _named("#x/Pair") + "0102"),
    (Reg("#x/Mar"), b"", _named("#x/Mar") + "00000000"),
    (Reg("#x/Mar"), b"abc", _named("#x/Mar") + "00000003616263"),
    (Reg("#x/Bin"), b"\xee", _named("#x/Bin") + "00000001ee"),
    (Reg("#x/Empty"), Empty(), _named("#x/Empty")),
    (Reg("#x/Foo"), Foo(7, "b"), _named("#x/Foo") + "00000007000162"),
    (
        Reg("#x/Hold"),
        Hold(Foo(1, ""), None, None, None, None, b""),
        _named("#x/Hold") + "000000010000" + "ff" + "ff" + "ff" + "ffff" + "00000000",
    ),
    (
        Reg("#x/Hold"),
        Hold(Foo(1, ""), [1], [NODE], Typed(Reg("#x/Level"), 3), Error("x"), b"m"),
        _named("#x/Hold") + "000000010000" + "9d0000000101" + "8300000001" + TWICE + _named("#x/Level") + "0003"
        "000178" + "000000016d",
    ),
    (Slice(Reg("#x/Names")), [None, [NODE]], _folded("9d" + _named("#x/Names")) + "9d00000002" + "ff8300000001" + TWICE),
    (Slice(Reg("#x/Empty")), [Empty(), Empty()], _folded("9d" + _named("#x/Empty")) + "9d00000002"),
    (
        Map(Reg("#x/Level"), Reg("#x/Foo")),
        {1: Foo(2, "")},
        _folded("9f" + _named("#x/Level") + _named("#x/Foo")) + "9f00000001" + "0001" + "000000020000",
    ),
]  # fmt: skip

ROWS: list[Row] = [(type_, value, tag + body) for type_, value, tag, body in SCALARS] + CONTAINERS + REGISTERED


def label(value: object) -> str | None:
    """Returns a short test id for a row."""
    if isinstance(value, Type):
        return t.describe(value, 24)
    return value[:16] if isinstance(value, str) else None
