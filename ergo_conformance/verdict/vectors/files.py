"""Vector files: reading them, and the parts common to all kinds of rows."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import CannotEncode, Rejected, UsageError
from ...locate import suites
from ...model.ergo.caches import Caches
from ...model.ergo.records import ROWS
from ...model.json.types import payload_from_json, row_from_json
from ...model.registry import Marshaler, Registry
from ...model.values import Atom
from .difference import Difference

FORMAT: Final = "ergo-vectors/1"
MAX_SHOWN: Final = 160
"""Characters of an error that a sentence shows."""

Json = Any


class FileResult(NamedTuple):
    """The result of checking one file: a summary in words, the number of rows, the differences."""

    summary: str
    checked: int
    differences: list[Difference]


def read_json(path: Path) -> Json:
    """Reads a JSON file. Raises UsageError if it cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_object)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        bom = ": it begins with a byte order mark" if "BOM" in str(error) else f": {error}"
        raise UsageError(f"{path}: not valid JSON{bom}") from None
    except RecursionError:
        raise UsageError(f"{path}: nested deeper than any vector file") from None


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Returns a JSON object; ValueError for two equal keys, of which one would not be checked."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is twice in one object")
    return found


def file_registry(content: Json) -> Registry:
    """Returns the types of a vector file; without a key `types`, those of edf_vectors.json. Raises UsageError."""
    if "types" not in content:
        content = {**read_json(suites() / "golden" / "edf_vectors.json"), "marshalers": content.get("marshalers", {})}
    payloads = {row["name"]: payload_from_json(row) for row in content.get("marshalers", {}).get("types", ())}
    payloads |= {row.name: row.payload for row in ROWS if isinstance(row, Marshaler)}
    try:
        return Registry(row_from_json(row, payloads) for row in content["types"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"types: {error}") from None


def row_caches(row: Json) -> Caches:
    """Returns the cache tables in a row's `options`."""
    options = row.get("options") or {}
    return Caches(
        atoms={int(id_): Atom(atom) for id_, atom in options.get("atom_cache", {}).items()},
        types={int(id_): name for id_, name in options.get("reg_cache", {}).items()},
        errors={int(id_): text for id_, text in options.get("err_cache", {}).items()},
        atom_mapping={Atom(local): Atom(remote) for local, remote in options.get("atom_mapping", {}).items()},
    )


def row_bytes(row: Json) -> bytes | None:
    """Returns the bytes of a row; None if the row gives only their length and hash."""
    if row.get("hex") is not None:
        return bytes.fromhex(row["hex"])
    if "pieces" in row:
        return b"".join(bytes.fromhex(digits) * n for digits, n in row["pieces"])
    return None


def build_all(rows: Iterable[Json], build: Callable[[Json], object]) -> None:
    """Builds the expected value of each row; UsageError for the first one that has none."""
    for row in rows:
        try:
            build(row)
        except KeyError as error:
            raise UsageError(f"{row['id']}: unknown or missing: {error}") from None
        except (
            ArithmeticError,
            AttributeError,
            CannotEncode,
            Rejected,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise UsageError(f"{row['id']}: the value can't be built: {str(error)[:MAX_SHOWN]}") from None


def row_counts(rows: Iterable[Json], key: str = "group") -> str:
    """Returns the number of rows per group, as in `7 Introduce, 6 Join`."""
    counts = Counter(row[key] for row in rows)
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
