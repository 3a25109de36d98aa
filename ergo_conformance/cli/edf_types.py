"""EDF types by their texts, for `ergo-conformance explain`."""

from typing import Final

from rich.console import Console
from rich.markup import escape

from ..model import types as t
from ..model.ergo.caches import NO_CACHES
from ..model.ergo.edf import FRAMEWORK
from ..model.ergo.records import framework
from ..model.json.types import type_from_json
from ..model.registry import Marshaler, Newtype, Registry, Struct
from ..model.types import Map, Reg, Slice, Type
from ..reference_node.ergo.edf.codec import generated_functions
from ..reference_node.ergo.edf.tables import EncodeTables
from ..spec.export.types import in_words

MAX_LENGTH: Final = 2**32 - 1
"""Largest number of items of an EDF array."""


def type_names() -> list[str]:
    """Names of the types that the framework registers."""
    return [row.name for row in framework()]


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
    word = text.partition("]")[0].replace(".", "/")
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


def print_type(type_: Type, console: Console, *, code: bool) -> None:
    """Prints a type: its descriptor, its fields, and with `code` the functions that are generated for it."""
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
            say(f"  {escape(in_words(row))}")
        case Marshaler():
            say(f"  {escape(in_words(row))}")
    if code:
        for what, function in (("reader", functions.reader(type_)), ("writer", functions.writer(type_))):
            say(f"[dim]--- {what}[/]")
            print(getattr(function, "edf_source", "").rstrip())
