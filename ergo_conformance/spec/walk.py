"""Walks schemas: yields every part with its path and its documentation."""

from collections.abc import Iterator
from typing import NamedTuple

from construct import Renamed

from .interpreter import Label, Schema, SchemaNode, plain


class Visit(NamedTuple):
    """A schema found on a walk: its path, the schema without its name, and its documentation."""

    path: str
    schema: Schema
    docs: str


def parts(schema: Schema) -> Iterator[tuple[Label, Schema]]:
    """Yields the parts of a schema, node or plain construct, with their labels."""
    _, schema = plain(schema)
    if isinstance(schema, SchemaNode):
        yield from schema.children()
    else:
        for sub in getattr(schema, "subcons", ()):
            yield sub.name, sub


def docs_of(schema: Schema) -> str:
    """Returns the documentation that `node * "text"` gave a schema, or an empty text."""
    while not schema.docs and isinstance(schema, Renamed):
        schema = schema.subcon
    return schema.docs or ""


def walk(schema: Schema, path: str = "") -> Iterator[Visit]:
    """Yields a schema and all schemas inside it, outer before inner; each node once, so that recursive schemas end."""
    seen: set[int] = set()
    todo = [(path, schema)]
    while todo:
        here, current = todo.pop()
        _, node = plain(current)
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield Visit(here, node, docs_of(current))
        inside = []
        for label, part in parts(node):
            step = "" if label is None else f"[{label}]" if isinstance(label, int) else f".{label}"
            inside.append(((here + step).lstrip("."), part))
        todo.extend(reversed(inside))
