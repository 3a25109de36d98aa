"""EDF vector files: their rows, and the comparison of a codec with them.

`expect` alone determines the required result; ids and the results of upstream's own codec have no influence.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ...errors import CannotEncode, Rejected
from ...model.compare import same
from ...model.ergo.caches import Caches
from ...model.json.values import value_from_json, value_to_json
from ...model.registry import Registry
from ...spec.ergo import edf
from ...targets.base import Codec
from ...targets.self_node import NodeCodec
from .cost import NODE_LIMITS, SPEC_LIMITS, CostLimits, check_cost
from .difference import Difference, byte_difference
from .files import FileResult, Json, build_all, file_registry, row_bytes, row_caches, row_counts

MAX_PREFIXES: Final = 600
"""Every proper prefix of an encoding of up to this many bytes has to be refused."""
READING: Final = frozenset({"both", "read"})
WRITING: Final = frozenset({"both", "write"})
JUDGED: Final = frozenset({"reject", "value", "prefix"})


class SpecCodec:
    """The schemas as a codec."""

    def decode(self, data: bytes, registry: Registry, caches: Caches) -> tuple[Any, int]:
        parsed = edf.decode(data, edf.EdfContext(registry, caches), prefix=True)
        if isinstance(parsed, Rejected):
            raise parsed
        return parsed.value, parsed.end

    def encode(self, value: Any, registry: Registry, caches: Caches) -> bytes:
        return edf.encode(value, edf.EdfContext(registry, caches))


@dataclass
class EdfFile:
    """An EDF vector file: `vectors`, which are read and written, or `cases`, which are read."""

    content: Json
    registry: Registry
    rows: list[Json] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [*self.content.get("vectors", ()), *self.content.get("cases", ())]

    def groups(self) -> list[str]:
        """Returns the names of the groups, in the order of the file."""
        return list(dict.fromkeys(row["group"] for row in self.rows))


def checks_of(row: Json) -> tuple[str, ...]:
    """Returns the checks of a codec that a row requires: reads, writes, judges."""
    expect = row["expect"]
    if "outcome" in row or expect in JUDGED:
        return ("judges",)
    return tuple(name for name, group in (("reads", READING), ("writes", WRITING)) if expect in group)


# --- a whole file ---------------------------------------------------------------------------------------------------


def check(content: Json) -> FileResult:
    """Checks every `expect` of a file with the schemas and the node's codec, and the cost of reading each input."""
    file = EdfFile(content, file_registry(content))
    build_all(file.rows, lambda row: [row_caches(row), *_expected_values(row, file.registry)])
    differences: list[Difference] = []
    for row in file.rows:
        for name, codec, limits in (("node", NodeCodec(), NODE_LIMITS), ("schema", SpecCodec(), SPEC_LIMITS)):
            found = [each for kind in checks_of(row) for each in check_row(codec, row, file.registry, kind)]
            found += _check_cost(codec, row, file.registry, limits)
            differences += (Difference(each.id, f"{name}: {each.text}") for each in found)
    summary = f"{len(file.rows)} rows ({row_counts(file.rows, 'expect')}), two readers"
    return FileResult(summary, len(file.rows), differences)


def _expected_values(row: Json, registry: Registry) -> list[Any]:
    """Returns the values with which a codec is compared."""
    if checks_of(row) == ("judges",):
        return [_judged_value(row, registry)] if row["expect"] in ("value", "prefix") else []
    return [value_from_json(row["value"], registry)]


def _judged_value(row: Json, registry: Registry) -> Any:
    return value_from_json(row["expect_value"] if "expect_value" in row else row["value"], registry)


def _check_cost(codec: Codec, row: Json, registry: Registry, limits: CostLimits) -> Iterator[Difference]:
    data = row_bytes(row)
    if data is None:
        return
    caches = row_caches(row)
    excess = check_cost(lambda: codec.decode(data, registry, caches), len(data), limits)
    if excess:
        yield Difference(row["id"], excess)


# --- one row --------------------------------------------------------------------------------------------------------


def check_row(codec: Codec, row: Json, registry: Registry, kind: str) -> Iterator[Difference]:
    """Yields the differences between a codec's result and a row; `kind`: reads, writes or judges."""
    check_kind = {"writes": _check_writing, "reads": _check_reading, "judges": _check_judging}[kind]
    try:
        yield from check_kind(codec, row, registry)
    except (Rejected, CannotEncode) as error:
        yield Difference(row["id"], f"{kind}: refused: {error}")
    except ValueError as error:
        yield Difference(row["id"], f"malformed row: {error}")
    except Exception as error:  # noqa: BLE001  a codec that raises any other exception is what the rows look for
        yield Difference(row["id"], f"{kind}: {type(error).__name__}: {error}")


def _check_writing(codec: Codec, row: Json, registry: Registry) -> Iterator[Difference]:
    actual = codec.encode(value_from_json(row["value"], registry), registry, row_caches(row))
    expected = row_bytes(row)
    if expected is not None:
        if actual != expected:
            yield Difference(row["id"], f"written differently: {byte_difference(expected, actual)}")
    elif len(actual) != row["len"] or hashlib.sha256(actual).hexdigest() != row["sha256"]:
        yield Difference(
            row["id"], f"written differently: {len(actual)} bytes, expected {row['len']}, or another SHA-256"
        )


def _check_reading(codec: Codec, row: Json, registry: Registry) -> Iterator[Difference]:
    caches, value = row_caches(row), value_from_json(row["value"], registry)
    data = row_bytes(row)
    if data is None:
        data = codec.encode(value, registry, caches)
    actual, end = codec.decode(data, registry, caches)
    yield from _compare(row, registry, value, actual, len(data) - end, 0)
    if len(data) <= MAX_PREFIXES:
        for n in range(len(data)):
            if not _refuses(codec, data[:n], registry, caches):
                yield Difference(row["id"], f"the first {n} of {len(data)} bytes are read as a value")


def _refuses(codec: Codec, data: bytes, registry: Registry, caches: Caches) -> bool:
    try:
        codec.decode(data, registry, caches)
    except Rejected:
        return True
    return False


def _check_judging(codec: Codec, row: Json, registry: Registry) -> Iterator[Difference]:
    data = row_bytes(row) or b""
    try:
        actual, end = codec.decode(data, registry, row_caches(row))
    except Rejected as refusal:
        if row["expect"] in ("value", "prefix"):
            yield Difference(row["id"], f"refused: {refusal}")
        return
    if row["expect"] == "reject":
        shown = repr(actual)[:80]
        yield Difference(row["id"], f"read as {shown} with {len(data) - end} bytes left, expected a refusal")
    elif row["expect"] in ("value", "prefix"):
        expected = _judged_value(row, registry)
        rest = row["consumed_rest_len"] if row["expect"] == "prefix" else 0
        yield from _compare(row, registry, expected, actual, len(data) - end, rest)


def _compare(
    row: Json, registry: Registry, expected: Any, actual: Any, bytes_left: int, expected_left: int
) -> Iterator[Difference]:
    if not same(expected, actual, registry):
        yield Difference(row["id"], f"read as {_short(actual, registry)}, expected {_short(expected, registry)}")
    if bytes_left != expected_left:
        yield Difference(row["id"], f"{bytes_left} bytes left over, expected {expected_left}")


def _short(value: Any, registry: Registry) -> str:
    try:
        return json.dumps(value_to_json(value, registry))[:200]
    except (RecursionError, TypeError, ValueError):
        return repr(type(value))
