"""Golden vector files (`ergo-vectors/1`): loading them, and holding a codec against their rows.

`expect` alone says what a row demands; ids and upstream's own results play no part.
"""

import contextlib
import hashlib
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from ...errors import CannotEncode, Rejected, UsageError
from ...locate import suites
from ...model.compare import same
from ...model.ergo.caches import Caches
from ...model.ergo.records import ROWS
from ...model.json.types import payload_from_json, row_from_json
from ...model.json.values import value_from_json, value_to_json
from ...model.registry import Marshaler, Registry
from ...model.values import Atom
from ...peers.violation import ViolationError
from ...spec.ergo import edf
from ...targets.base import Codec

FORMAT: Final = "ergo-vectors/1"
MAX_PREFIXES: Final = 600
"""Every proper prefix of values up to so many bytes has to be refused."""
SHOWN: Final = 24  # bytes on either side of a difference
FEW: Final = 5  # differences that a report lists

Json = Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What one input of up to 64 KiB may cost a reader; longer input proportionally more."""

    seconds: float
    memory: int  # bytes beyond the input

    def scaled(self, length: int) -> "Limits":
        factor = max(1.0, length / 65_536)
        return Limits(self.seconds * factor, int(self.memory * factor))


NODE_LIMITS: Final = Limits(0.1, 10_000_000)
SPEC_LIMITS: Final = Limits(2.0, 100_000_000)


class SpecCodec:
    """The schemas as a codec."""

    def decode(self, data: bytes, registry: Registry, caches: Caches) -> tuple[Any, int]:
        parsed = edf.decode(data, edf.EdfContext(registry, caches), prefix=True)
        if isinstance(parsed, Rejected):
            raise parsed
        return parsed.value, parsed.end

    def encode(self, value: Any, registry: Registry, caches: Caches) -> bytes:
        return edf.encode(value, edf.EdfContext(registry, caches))


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a codec departs from a row."""

    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


def violation(differences: Sequence[Difference], legal: str) -> ViolationError:
    """Differences as the verdict of a case."""
    lines = [str(difference) for difference in differences[:FEW]]
    if len(differences) > FEW:
        lines.append(f"and {len(differences) - FEW} more")
    return ViolationError("\n".join(lines), (legal,))


def byte_difference(wanted: bytes, found: bytes) -> str:
    """The first place where two byte strings part, in hex around it."""
    at = next((i for i, (x, y) in enumerate(zip(wanted, found, strict=False)) if x != y), min(len(wanted), len(found)))
    window = slice(max(0, at - 4), at + SHOWN)
    return (
        f"first difference at offset {at}, path {path_at(wanted, at)}: expected …{wanted[window].hex()}…"
        f" ({len(wanted)} bytes), got …{found[window].hex()}… ({len(found)} bytes)"
    )


def path_at(data: bytes, offset: int) -> str:
    """Which part of an uncached framework value holds this byte; `?` for anything else."""
    parsed = edf.decode(data, edf.EdfContext(Registry(ROWS)), prefix=True)
    try:
        return "?" if isinstance(parsed, Rejected) else parsed.at(offset).path or "(value)"
    except KeyError:
        return "(end)"


# --- files ------------------------------------------------------------------------------------------------------------


def read_json(path: Path) -> Json:
    """A JSON file. UsageError for what is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: no JSON: {error}") from None


def registry_of(content: Json) -> Registry:
    """The types of a vector file; one without `types` is about those of the project's own."""
    if "types" not in content:
        content = {**read_json(suites() / "golden" / "edf_vectors.json"), "marshalers": content.get("marshalers", {})}
    payloads = {row["name"]: payload_from_json(row) for row in content.get("marshalers", {}).get("types", ())}
    payloads |= {row.name: row.payload for row in ROWS if isinstance(row, Marshaler)}
    try:
        return Registry(row_from_json(row, payloads) for row in content["types"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"types: {error}") from None


def caches_of(row: Json) -> Caches:
    """The tables that a row's `options` give."""
    options = row.get("options") or {}
    return Caches(
        atoms={int(id_): Atom(atom) for id_, atom in options.get("atom_cache", {}).items()},
        types={int(id_): name for id_, name in options.get("reg_cache", {}).items()},
        errors={int(id_): text for id_, text in options.get("err_cache", {}).items()},
        atom_mapping={Atom(local): Atom(remote) for local, remote in options.get("atom_mapping", {}).items()},
    )


def input_of(row: Json) -> bytes | None:
    """The bytes of a row; None for one that gives only length and hash."""
    if row.get("hex") is not None:
        return bytes.fromhex(row["hex"])
    if "pieces" in row:
        return b"".join(bytes.fromhex(digits) * n for digits, n in row["pieces"])
    return None


@dataclass
class EdfFile:
    """An EDF vector file: `vectors` to be read and written, or `cases` to be judged."""

    content: Json
    registry: Registry
    rows: list[Json] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [*self.content.get("vectors", ()), *self.content.get("cases", ())]

        for row in self.rows:
            try:
                row["id"], row["group"], row["expect"]
            except (KeyError, TypeError) as error:
                raise UsageError(f"a row that is none: {error}: {row!r:.100}") from None

    def groups(self) -> list[str]:
        return list(dict.fromkeys(row["group"] for row in self.rows))


READING: Final = frozenset({"both", "read"})
WRITING: Final = frozenset({"both", "write"})
JUDGED: Final = frozenset({"reject", "value", "prefix"})


def checks(row: Json) -> tuple[str, ...]:
    """What a row asks of a codec: reads, writes, judges."""
    expect = row["expect"]
    if "outcome" in row or expect in JUDGED:
        return ("judges",)
    return tuple(name for name, wanted in (("reads", READING), ("writes", WRITING)) if expect in wanted)


# --- holding a codec against a row ------------------------------------------------------------------------------------


def check_row(codec: Codec, row: Json, registry: Registry, what: str) -> Iterator[Difference]:
    """What is wrong with a codec's answer to one row."""
    try:
        if what == "writes":
            yield from _check_writing(codec, row, registry)
        elif what == "reads":
            yield from _check_reading(codec, row, registry)
        else:
            yield from _check_judging(codec, row, registry)
    except (Rejected, CannotEncode) as error:
        yield Difference(row["id"], f"{what}: refused: {error}")
    except ValueError as error:
        yield Difference(row["id"], f"the row itself can't be used: {error}")
    except Exception as error:  # noqa: BLE001  a codec that raises anything else is what the row is there to find
        yield Difference(row["id"], f"{what}: {type(error).__name__}: {error}")


def _check_writing(codec: Codec, row: Json, registry: Registry) -> Iterator[Difference]:
    found = codec.encode(value_from_json(row["value"], registry), registry, caches_of(row))
    wanted = input_of(row)
    if wanted is not None:
        if found != wanted:
            yield Difference(row["id"], f"written otherwise: {byte_difference(wanted, found)}")
    elif len(found) != row["len"] or hashlib.sha256(found).hexdigest() != row["sha256"]:
        yield Difference(row["id"], f"written otherwise: {len(found)} bytes, {row['len']} expected, or another hash")


def _check_reading(codec: Codec, row: Json, registry: Registry) -> Iterator[Difference]:
    caches, value = caches_of(row), value_from_json(row["value"], registry)
    data = input_of(row)
    if data is None:
        data = codec.encode(value, registry, caches)
    found, end = codec.decode(data, registry, caches)
    yield from _compare(row, registry, value, found, len(data) - end, 0)
    if len(data) <= MAX_PREFIXES:
        for n in range(len(data)):
            if not _refuses(codec, data[:n], registry, caches):
                yield Difference(row["id"], f"its first {n} of {len(data)} bytes are read as a value")


def _refuses(codec: Codec, data: bytes, registry: Registry, caches: Caches) -> bool:
    try:
        codec.decode(data, registry, caches)
    except Rejected:
        return True
    return False


def _check_judging(codec: Codec, row: Json, registry: Registry) -> Iterator[Difference]:
    data = input_of(row) or b""
    try:
        found, end = codec.decode(data, registry, caches_of(row))
    except Rejected as refusal:
        if row["expect"] in ("value", "prefix"):
            yield Difference(row["id"], f"refused: {refusal}")
        return
    if row["expect"] == "reject":
        shown = repr(found)[:80]
        yield Difference(row["id"], f"read as {shown} with {len(data) - end} bytes left, a refusal is expected")
    elif row["expect"] in ("value", "prefix"):
        wanted = value_from_json(row["expect_value"] if "expect_value" in row else row["value"], registry)
        rest = row["consumed_rest_len"] if row["expect"] == "prefix" else 0
        yield from _compare(row, registry, wanted, found, len(data) - end, rest)


def _compare(row: Json, registry: Registry, wanted: Any, found: Any, left: int, rest: int) -> Iterator[Difference]:
    if not same(wanted, found, registry):
        yield Difference(row["id"], f"read as {_short(found, registry)}, expected {_short(wanted, registry)}")
    if left != rest:
        yield Difference(row["id"], f"{left} bytes left over, {rest} expected")


def _short(value: Any, registry: Registry) -> str:
    try:
        return json.dumps(value_to_json(value, registry))[:200]
    except (RecursionError, TypeError, ValueError):
        return repr(type(value))


def check_cost(read: Callable[[], object], length: int, limits: Limits) -> str | None:
    """What reading cost too much; None if it is within the limits. The best of several times counts: machines are busy."""
    allowed = limits.scaled(length)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        _quietly(read)
        best = min(best, time.perf_counter() - started)
        if best <= allowed.seconds:
            break
    if best > allowed.seconds:
        return f"took {best * 1000:.0f} ms, {allowed.seconds * 1000:.0f} are allowed"
    tracemalloc.start()
    try:
        _quietly(read)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return f"took {peak:,} bytes, {allowed.memory:,} are allowed" if peak > allowed.memory else None


def _quietly(read: Callable[[], object]) -> None:
    with contextlib.suppress(Rejected):
        read()


# --- groups: what the golden suite runs -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one group that ask one thing of a codec."""

    name: str
    what: str
    file: EdfFile
    rows: tuple[Json, ...]

    @property
    def label(self) -> str:
        return f"group {self.name} ({len(self.rows)} row{'s' if len(self.rows) > 1 else ''})"

    @property
    def requirements(self) -> tuple[str, ...]:
        """The ids that its rows show."""
        return tuple(dict.fromkeys(id_ for row in self.rows for id_ in row.get("requirements", ())))

    def hold(self, codec: Codec, *, good_value_between: bool = False) -> None:
        """Raises ViolationError for the first rows that the codec does not meet."""
        found: list[Difference] = []
        for row in self.rows:
            found += check_row(codec, row, self.file.registry, self.what)
            if good_value_between:
                found += _good_value(codec, self.file.registry, row["id"])
        if found:
            raise violation(found, f"what `expect` of {self.file.content.get('protocol', 'EDF')} vectors says")


def _good_value(codec: Codec, registry: Registry, after: str) -> Iterator[Difference]:
    value, data = ["after", 1, None], bytes.fromhex("8200029d849d000000038d00056166746572960000000000000001ff")
    found, end = codec.decode(data, registry, Caches())
    if found != value or end != len(data):
        yield Difference(after, f"afterwards a good value is read as {found!r}")


@cache
def golden(name: str) -> EdfFile:
    """One of the project's own vector files."""
    content = read_json(suites() / "golden" / name)
    return EdfFile(content, registry_of(content))


def golden_groups(name: str, what: str) -> list[Group]:
    """The groups of a golden file with rows that ask this."""
    file = golden(name)
    groups = []
    for group in file.groups():
        rows = tuple(row for row in file.rows if row["group"] == group and what in checks(row))
        if rows:
            groups.append(Group(group, what, file, rows))
    return groups
