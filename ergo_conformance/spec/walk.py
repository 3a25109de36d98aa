"""Walks schemas: what is inside what, under which name, with which documentation."""

from collections.abc import Iterator
from typing import NamedTuple

from construct import Renamed

from .interpreter import Label, Node, Schema, plain


class Visit(NamedTuple):
    """A schema met on a walk: the path to it, itself without its name, and what its author says of it."""

    path: str
    schema: Schema
    docs: str


def parts(schema: Schema) -> Iterator[tuple[Label, Schema]]:
    """The parts of any schema, node or plain construct, with their labels."""
    _, schema = plain(schema)
    if isinstance(schema, Node):
        yield from schema.children()
    else:
        for sub in getattr(schema, "subcons", ()):
            yield sub.name, sub


def docs_of(schema: Schema) -> str:
    """The text that `node * "text"` gave a schema."""
    while not schema.docs and isinstance(schema, Renamed):
        schema = schema.subcon
    return schema.docs or ""


def walk(schema: Schema, path: str = "") -> Iterator[Visit]:
    """A schema and all that is inside it, outer before inner; each node once, so that a schema inside itself ends."""
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
