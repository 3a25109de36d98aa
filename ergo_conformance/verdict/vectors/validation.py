"""Refuses vector files with rows that no check would understand, so that every row of a file is checked or named.

The schema of the files gives the allowed values of each key. Keys that only state the origin of a row may be missing.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ...errors import UsageError, suggestion
from ...locate import suites
from ...spec.requirements import catalogue
from .files import Json, row_bytes

SHOWN: Final = 80
"""Characters that a sentence shows of a wrong value."""
LISTS: Final = ("vectors", "cases")


class RowKind(NamedTuple):
    """The definition of a row in the schema, and the keys without which it can't be checked."""

    definition: str
    required: tuple[str, ...]


FRAME: Final = ("id", "group", "hex", "expect")
MALFORMED: Final = ("id", "group", "of", "hex", "reason", "expect")
KINDS: Final[Mapping[str, Mapping[str, RowKind]]] = {
    "edf": {
        "vectors": RowKind("vector", ("id", "group", "value", "expect")),
        "cases": RowKind("case", ("id", "group", "expect")),
    },
    "ehs": {
        "vectors": RowKind("frame_vector", (*FRAME, "value")),
        "cases": RowKind("frame_case", MALFORMED),
    },
    "enp": {
        "vectors": RowKind("enp_vector", (*FRAME, "fields")),
        "cases": RowKind("enp_case", MALFORMED),
    },
    "esrd": {
        "vectors": RowKind("esrd_vector", (*FRAME, "value", "transport")),
        "cases": RowKind("esrd_case", MALFORMED),
    },
    "saturn": {
        "vectors": RowKind("saturn_vector", (*FRAME, "value", "role")),
        "cases": RowKind("saturn_case", MALFORMED),
    },
}
"""Kinds of rows by protocol and list."""
FILES: Final[Mapping[str, Sequence[str]]] = {
    "edf": ("edf_file", "edf_negative_file"),
    "ehs": ("ehs_file",),
    "enp": ("enp_file",),
    "esrd": ("esrd_file",),
    "saturn": ("saturn_file",),
}
"""Definitions of whole files by protocol."""


def validate(content: Mapping[str, Json], protocol: str) -> None:
    """Raises UsageError, one sentence with list, index, id and key, for the first row that can't be checked."""
    known = {"protocol", *(key for name in FILES[protocol] for key in _definition(name)["properties"])}
    for key in content:
        if key not in known:
            raise UsageError(f"unknown key {key!r}{suggestion(key, sorted(known))}")
    seen: dict[str, str] = {}
    for name in LISTS:
        rows = content.get(name, [])
        if not isinstance(rows, list):
            raise UsageError(f"{name}: {_shown(rows)} is not a list of rows")
        for index, row in enumerate(rows):
            place = f"{name}[{index}]"
            if not isinstance(row, dict):
                raise UsageError(f"{place}: {_shown(row)} is not an object")
            if isinstance(row.get("id"), str):
                place += f" ({row['id'][:SHOWN]})"
            if fault := _fault(row, KINDS[protocol][name]) or _fault_of_bytes(row, protocol, name):
                raise UsageError(f"{place}: {fault}")
            if row["id"] in seen:
                raise UsageError(f"{place}: id: the same as that of {seen[row['id']]}; ids are unique in a file")
            seen[row["id"]] = f"{name}[{index}]"


def _fault(row: Mapping[str, Json], kind: RowKind) -> str | None:
    """Returns what is wrong with the keys of a row and their values."""
    properties = _definition(kind.definition)["properties"]
    for key in kind.required:
        if key not in row:
            return f"has no {key}"
    if not isinstance(row["id"], str) or not row["id"]:
        return f"id: {_shown(row['id'])} is not a text"
    for key, value in row.items():
        if key not in properties:
            return f"unknown key {key!r}{suggestion(key, sorted(properties))}"
        error = None if key == "id" else next(_validator(kind.definition, key).iter_errors(value), None)
        if error is not None:
            path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
            return f"{key}{path}: {_sentence(error)}"
    unknown = [id_ for id_ in row.get("requirements", ()) if id_ not in catalogue()]
    return f"requirements: {', '.join(unknown)} is in no catalogue" if unknown else None


def _fault_of_bytes(row: Mapping[str, Json], protocol: str, name: str) -> str | None:
    """Returns what is wrong with the bytes of a row, their length, and what an EDF row expects."""
    if (protocol, name) == ("edf", "vectors"):
        digits = row.get("hex")
        if digits is None and not {"len", "sha256"} <= row.keys():
            return "has no bytes: neither hex nor len and sha256"
        error = None if digits is None else next(_validator("hex").iter_errors(digits), None)
        if error is not None:
            return f"hex: {_sentence(error)}"
    if (protocol, name) == ("edf", "cases"):
        if ("hex" in row) == ("pieces" in row):
            return "has no bytes: neither hex nor pieces" if "hex" not in row else "has both hex and pieces"
        if row["expect"] in ("value", "prefix") and not {"value", "expect_value"} & row.keys():
            return f"expect is {row['expect']}, and there is neither expect_value nor value"
        if row["expect"] == "prefix" and not isinstance(row.get("consumed_rest_len"), int):
            return "expect is prefix, and there is no consumed_rest_len"
    data = row_bytes(row)
    if data is not None and row.get("len", len(data)) != len(data):
        return f"len: {row['len']}, but the row has {len(data)} bytes"
    return None


@cache
def _schema() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((suites() / "golden" / "ergo-vectors-1.schema.json").read_text("utf-8"))
    return document


def _definition(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _schema()["$defs"][name]
    return found


@cache
def _validator(definition: str, key: str | None = None) -> Draft202012Validator:
    """Returns the validator of a definition, or of one key of its objects."""
    pointer = f"#/$defs/{definition}" + (f"/properties/{key}" if key is not None else "")
    return Draft202012Validator({"$defs": _schema()["$defs"], "$ref": pointer})


def _sentence(error: ValidationError) -> str:
    """Returns the wrong value and what is allowed."""
    shown = _shown(error.instance)
    allowed: Any = error.validator_value
    match error.validator:
        case "enum":
            return f"{shown} (allowed: {', '.join(map(str, allowed))})"
        case "const":
            return f"{shown} (allowed: {allowed})"
        case "pattern":
            return f"{shown} does not match {allowed}"
        case "type":
            return f"{shown} is not of type {allowed}"
        case _:
            text = str(error.message)
            return text if len(text) <= 2 * SHOWN else f"{text[: 2 * SHOWN]}…"


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
