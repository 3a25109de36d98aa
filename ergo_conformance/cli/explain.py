"""`ergo-conformance explain`: explains a requirement, a case, or an EDF type."""

import json
from itertools import groupby
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from ..errors import UsageError, suggestion
from ..locate import suites
from ..model import types as t
from ..model.ergo.edf import FRAMEWORK
from ..model.ergo.records import framework
from ..model.json.types import type_from_json
from ..model.registry import Marshaler, Newtype, Registry, Struct
from ..model.types import Map, Reg, Slice, Type
from ..spec.requirements import catalogue
from ..verdict.reports.terminal import make_console
from .child import collect

console = make_console()
SHOWN_VECTORS: Final = 6
"""Number of vectors that are listed for a requirement."""
MAX_LENGTH: Final = 2**32 - 1
"""Largest number of items of an EDF array."""


def explain(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="Id of a requirement or a case, or an EDF type: []int32, gen/Version…")
    ],
    code: Annotated[bool, typer.Option("--code", help="Show the code that is generated for an EDF type.")] = False,
) -> None:
    """Explain a requirement, a case, or an EDF type."""
    if id_ in catalogue():
        _requirement(id_, collect())
        return
    type_ = find_type(id_)
    if type_ is not None:
        _type(type_, code=code)
        return
    cases = collect()
    for row in cases:
        if row["id"] == id_:
            _case(row)
            return
    known = [*catalogue(), *(row["id"] for row in cases), *(row.name for row in framework())]
    raise UsageError(f"{id_!r} is not a requirement, case or EDF type{suggestion(id_, known)}")


def _requirement(id_: str, cases: list[dict[str, Any]]) -> None:
    row, say = catalogue()[id_], console.print
    say(f"[bold]{id_}[/]  {row.level}  {' '.join(row.profiles)}")
    say(escape(row.text))
    say(f"[dim]source  [/] {escape(row.source)} ({row.evidence})")
    if row.role:
        say(f"[dim]obliges [/] {row.role}")
    if row.differs:
        say("[dim]note    [/] behaviour of the upstream node; a target that behaves differently does not fail")
    if row.reason:
        say(f"[dim]level   [/] {escape(row.reason)}")
    if row.untested:
        say(f"[dim]untested[/] {escape(row.untested)}")
    shown = [case for case in cases if id_ in case["requirements"]]
    for _, group in groupby(shown, key=lambda case: case["id"].partition("[")[0]):
        first, *rest = group
        more = f" and {len(rest)} with other parameters" if rest else ""
        say(f"[dim]case    [/] {escape(first['id'])}{more}: {escape(first['title'])}")
    vectors = vector_ids(id_)
    if vectors:
        left = len(vectors) - SHOWN_VECTORS
        text = ", ".join(vectors[:SHOWN_VECTORS]) + (f" and {left} more" if left > 0 else "")
        say(f"[dim]vectors [/] {escape(text)}")


def vector_ids(requirement: str) -> list[str]:
    """Ids of the golden vectors that cite a requirement."""
    found: list[str] = []
    for path in sorted((suites() / "golden").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [*content.get("vectors", ()), *content.get("cases", ())]
        found += [row["id"] for row in rows if requirement in row.get("requirements", ())]
    return found


def _case(row: dict[str, Any]) -> None:
    say = console.print
    say(f"[bold]{escape(row['id'])}[/]  {row['level']}  {' '.join(row['profiles'])}")
    say(escape(row["title"]))
    for id_ in row["requirements"]:
        say(f"[dim]shows [/] {id_} {catalogue()[id_].level}: {escape(catalogue()[id_].text)}")
    needs = [*row["needs"]["offers"], *row["needs"]["agents"]]
    needs += [f"{k}={json.dumps(v)}" for k, v in row["needs"]["config"].items()]
    say(f"[dim]needs [/] a target that offers {' '.join(needs)}")
    say(f"[dim]run   [/] ergo-conformance run --case '{escape(row['id'])}'", soft_wrap=True)


# --- EDF types --------------------------------------------------------------------------------------------------------


def find_type(text: str) -> Type | None:
    """The type of a Go-like text (`map[string][]gen/PID`), a registered name, or the end of one (`gen/Version`)."""
    try:
        type_, rest = _go_type(text, framework())
    except ValueError:
        return None
    return type_ if not rest else None


def _go_type(text: str, registry: Registry) -> tuple[Type, str]:
    if text.startswith("[]"):
        item, rest = _go_type(text[2:], registry)
        return Slice(item), rest
    if text.startswith("map["):
        key, rest = _go_type(text[4:], registry)
        if not rest.startswith("]"):
            raise ValueError(text)
        value, rest = _go_type(rest[1:], registry)
        return Map(key, value), rest
    if text.startswith("["):
        length, _, rest = text[1:].partition("]")
        item, rest = _go_type(rest, registry)
        if not 0 <= int(length) <= MAX_LENGTH:
            raise ValueError(text)
        return t.Array(int(length), item), rest
    word = text.partition("]")[0]
    rest = text[len(word) :]
    try:
        return type_from_json(word), rest
    except ValueError:
        pass
    matching = [row.name for row in registry if row.name == word or row.name.endswith("/" + word)]
    exact = [name for name in matching if name in (word, FRAMEWORK + word)] or matching
    if len(exact) != 1:
        raise ValueError(text)
    return Reg(exact[0]), rest


def _type(type_: Type, *, code: bool) -> None:
    from ..model.ergo.caches import NO_CACHES
    from ..reference_node.ergo.edf.codec import generated_functions
    from ..reference_node.ergo.edf.tables import EncodeTables

    registry, say = framework(), console.print
    functions = generated_functions(registry)
    say(f"[bold]{escape(t.describe(type_))}[/]")
    say(f"[dim]descriptor[/] {EncodeTables(registry, NO_CACHES, functions.writer).descriptor(type_).hex(' ')}")
    row = registry.get(type_.name) if isinstance(type_, Reg) else None
    match row:
        case Struct():
            for name, field in row.fields:
                say(f"  {name:20} {escape(t.describe(field))}")
        case Newtype():
            say(f"  based on {escape(t.describe(row.base))}")
        case Marshaler():
            say(f"  marshaler: u32 n, then n bytes; payload {escape(repr(row.payload))}")
    if code:
        for what, function in (("reader", functions.reader(type_)), ("writer", functions.writer(type_))):
            say(f"[dim]--- {what}[/]")
            print(getattr(function, "edf_source", "").rstrip())
