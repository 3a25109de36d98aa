"""The node's EDF codec compared with a plain construct schema and with msgpack in pure Python: `make bench`.

All codecs run in one process, in turns, round after round, and the fastest round of each counts: on a busy machine the
times vary, but their ratios within one run are stable.  Equality is checked before the measurement; if it fails, the exit
code is 1.  Speed does not affect the exit code: the goals (1: construct, 2: msgpack) are reported as met or not met.
"""

import argparse
import math
import platform
import sys
from collections.abc import Callable
from timeit import Timer
from typing import Any, Final, NamedTuple, cast

import plain_construct
from msgpack import fallback

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.values import PID, Atom, Typed
from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder

ORDER: Final = Struct(
    "#bench/Order",
    (
        ("ID", t.INT64),
        ("Quantity", t.UINT32),
        ("Customer", t.STRING),
        ("Price", t.FLOAT64),
        ("Paid", t.BOOL),
        ("Article", t.STRING),
    ),
)
LINE: Final = Struct("#bench/Line", (("ID", t.INT64), ("Name", t.STRING), ("Price", t.FLOAT64), ("Paid", t.BOOL)))
INVOICE: Final = Struct(
    "#bench/Invoice", (("ID", t.INT64), ("Title", t.STRING), ("Lines", t.Slice(t.Reg("#bench/Line"))))
)
REGISTRY: Final = Registry([ORDER, LINE, INVOICE])
CACHES: Final = Caches(types={5000: ORDER.name, 5001: INVOICE.name})


class Case(NamedTuple):
    """One value, and the length of its wire form for which the goals were set."""

    name: str
    value: Any
    size: int


def _mixed() -> dict[str, Any]:
    """Twenty entries of the kinds that occur in messages."""
    return {
        "id": 4711,
        "name": "conveyor",
        "active": True,
        "ratio": 0.25,
        "parent": None,
        "count": -3,
        "label": "north hall",
        "ready": False,
        "speed": 12.5,
        "tag": "odd1",
        "limit": 1 << 40,
        "zone": "b7",
        "node": Atom("bench@localhost"),
        "load": -0.75,
        "locked": False,
        "port": 15000,
        "note": "oiled",
        "weight": 81.25,
        "key": b"\x00\x01\x02\x03",
        "version": 3,
    }


def cases() -> list[Case]:
    """The five values of the goals."""
    order, line, invoice = (cast("Any", row.value_class) for row in (ORDER, LINE, INVOICE))
    lines = [line(i, f"it-{i:02}", i * 1.5, i % 3 == 0) for i in range(100)]
    return [
        Case("small struct", order(1 << 40, 12, "Ada Lovelac", 19.75, True, "conveyor-b-7"), 51),
        Case("[]int64, 1000 items", Typed(t.Slice(t.INT64), [(-1) ** i * i * 7919**3 for i in range(1000)]), 8010),
        Case("map[string]any, 20 entries", _mixed(), 303),
        Case("PID", PID(Atom("bench@localhost"), 1001, 1_700_000_000), 34),
        Case("100 structs in a struct", invoice(4711, "March 26.", lines), 2427),
    ]


def plain(value: Any) -> Any:
    """Converts a value of the node to dicts, lists and scalars."""
    match value:
        case Typed():
            return plain(value.value)
        case tuple():
            return {name: plain(part) for name, part in value._asdict().items()}  # type: ignore[attr-defined]
        case list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case Atom():
            return str(value)
    return value


# --- the compared codecs ----------------------------------------------------------------------------------------------

Contenders = dict[str, tuple[Callable[[Any], Any], Any]]
"""Codec → a function and its argument."""
OURS, CONSTRUCT, MSGPACK = "node", "construct", "msgpack"


def contenders(case: Case) -> tuple[Contenders, Contenders]:
    """Decoding and encoding of one value by each codec. AssertionError if the codecs disagree."""
    encoder, decoder, packer = Encoder(REGISTRY, CACHES), Decoder(REGISTRY, CACHES), fallback.Packer()
    data, dicts = encoder.encode(case.value), plain(case.value)
    parsed, packed = plain_construct.Value.parse(data), packer.pack(dicts)

    assert decoder.decode(data) == case.value, f"{case.name}: decoded value differs"
    assert plain_construct.plain(parsed) == dicts, f"{case.name}: construct reads something else"
    assert plain_construct.Value.build(parsed) == data, f"{case.name}: construct builds something else"
    assert fallback.unpackb(packed) == dicts, f"{case.name}: msgpack reads something else"

    decoding: Contenders = {
        OURS: (decoder.decode, data),
        CONSTRUCT: (plain_construct.Value.parse, data),
        MSGPACK: (fallback.unpackb, packed),
    }
    encoding: Contenders = {
        OURS: (encoder.encode, case.value),
        CONSTRUCT: (plain_construct.Value.build, parsed),
        MSGPACK: (packer.pack, dicts),
    }
    return decoding, encoding


def wire_size(case: Case) -> int:
    """Number of bytes of the encoded value."""
    return len(Encoder(REGISTRY, CACHES).encode(case.value))


# --- measurement ------------------------------------------------------------------------------------------------------


def measure(runs: list[Contenders], rounds: int, seconds: float) -> list[dict[str, float]]:
    """Nanoseconds per call of every codec, the minimum of all rounds. In a round each codec runs for about `seconds`, a short
    time, so that some rounds are not disturbed.
    """
    timers = [
        (i, name, Timer("call(argument)", globals={"call": call, "argument": argument}))
        for i, run in enumerate(runs)
        for name, (call, argument) in run.items()
    ]
    numbers = [max(1, round(seconds * 3 / min(timer.repeat(3, 3)))) for _, _, timer in timers]
    best: list[dict[str, float]] = [dict.fromkeys(run, math.inf) for run in runs]
    for _ in range(rounds):
        for (i, name, timer), number in zip(timers, numbers, strict=True):
            best[i][name] = min(best[i][name], timer.timeit(number) / number * 1e9)
    return best


class Goal(NamedTuple):
    """Minimum ratio of another codec's time to the node's time: on every value, and in the geometric mean."""

    number: int
    direction: str
    rival: str
    least: float
    mean: float


GOALS: Final = (
    Goal(1, "decode", CONSTRUCT, 15, 20),
    Goal(1, "encode", CONSTRUCT, 20, 35),
    Goal(2, "decode", MSGPACK, 4, 12),
    Goal(2, "encode", MSGPACK, 5, 12),
)


def ratios(results: list[dict[str, float]], rival: str) -> list[float]:
    """Ratio of the rival's time to the node's time, for each value."""
    return [result[rival] / result[OURS] for result in results]


def geometric_mean(numbers: list[float]) -> float:
    """The geometric mean of ratios."""
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def table(direction: str, results: list[dict[str, float]]) -> str:
    """Times and ratios as text."""
    codecs, rivals = (OURS, CONSTRUCT, MSGPACK), (CONSTRUCT, MSGPACK)
    columns = (*codecs, *(f"x {rival}" for rival in rivals))
    lines = [f"{direction + ', ns per value':<28}" + "".join(f"{column:>13}" for column in columns)]
    for case, result in zip(cases(), results, strict=True):
        times = "".join(f"{result[codec]:13,.0f}" for codec in codecs)
        lines.append(f"{case.name:<28}{times}" + "".join(f"{result[rival] / result[OURS]:13.1f}" for rival in rivals))
    means = "".join(f"{geometric_mean(ratios(results, rival)):13.1f}" for rival in rivals)
    lines.append(f"{'geometric mean':<{28 + 13 * len(codecs)}}{means}")
    return "\n".join(lines) + "\n"


def verdict(goal: Goal, results: list[dict[str, float]]) -> str:
    """One line with the goal and whether it is met."""
    found = ratios(results, goal.rival)
    least, mean = min(found), geometric_mean(found)
    met = "met" if least >= goal.least and mean >= goal.mean else "NOT MET"
    return (
        f"goal {goal.number}, {goal.direction} against {goal.rival}: minimum {least:.1f} of {goal.least:g}, "
        f"mean {mean:.1f} of {goal.mean:g}: {met}"
    )


def main() -> int:
    """Returns 0, or 1 if the codecs disagree."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=100, help="at least 5 (default: %(default)s)")
    options.add_argument("--quick", action="store_true", help="5 short rounds")
    given = options.parse_args()
    rounds, seconds = (5, 0.002) if given.quick else (max(5, given.rounds), 0.005)
    try:
        pairs = [contenders(case) for case in cases()]
    except AssertionError as difference:
        print(f"the codecs disagree: {difference}")
        return 1
    print(f"Python {platform.python_version()}, minimum of {rounds} rounds in turns")
    for case in cases():
        print(f"{case.name}: {wire_size(case)} bytes" + (f", not {case.size}" if wire_size(case) != case.size else ""))
    print()
    results = {
        "decode": measure([decoding for decoding, _ in pairs], rounds, seconds),
        "encode": measure([encoding for _, encoding in pairs], rounds, seconds),
    }
    for direction, result in results.items():
        print(table(direction, result))
    for goal in GOALS:
        print(verdict(goal, results[goal.direction]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
