"""Pages in Markdown: frames and messages, states, requirements, where the upstream node differs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ...model import ehs
from ...model.edf import Tag
from ...model.ehs import Role
from ...model.types import describe
from ..edf.scalars import SCALARS
from ..ehs import FRAME
from ..kit import Counted, Number, Text
from ..machine import plain
from ..requirements import PROTOCOLS, Requirement, catalogue
from ..walk import docs_of, walk

PIPE: Final = "&#124;"
NOTE: Final = "<!-- made by docs/generate.py; do not edit -->\n"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    columns = list(head)
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [str(cell).replace("|", PIPE) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def frames() -> str:
    """EDF's tags and the bodies behind them; the handshake frame and its messages."""
    parts = [NOTE, "# Frames\n", "All numbers are big-endian.\n", "## EDF: descriptors\n"]
    parts.append(table(("tag", "hex", "type", "body"), (_tag_row(tag) for tag in Tag)))
    parts.append("\n## EHS: the frame\n")
    layout = [(visit.path, _kind(visit.schema)) for visit in walk(FRAME) if visit.path.count(".") == 0 and visit.path]
    parts.append(table(("part", "layout"), layout[:4]))
    parts.append(f"\nThe length counts the message alone; it is at most {ehs.MAX_PAYLOAD:,}.\n")
    parts.append("\n## EHS: the messages\n")
    for row in ehs.MESSAGES:
        parts.append(f"\n### `{row.name}`\n")
        parts.append(table(("field", "EDF type"), ((name, f"`{describe(type_)}`") for name, type_ in row.fields)))
    parts.append("\n## EHS: the digests\n\nLower-case hex SHA-256 of the parts, joined by colons.\n")
    digests = (
        (d.requirement, d.name, " : ".join(d.parts) + (" and then the fingerprint" if d.fingerprint else ""))
        for d in ehs.Digest
    )
    parts.append(table(("requirement", "digest", "of"), digests))
    return "\n".join(parts)


def _tag_row(tag: Tag) -> tuple[object, ...]:
    special = {
        Tag.FOLDED: "u16 length, folded type; then a body of that type",
        Tag.REG: "u16: length of a registered name, or its cache id; then a body of that type",
        Tag.ANY: "a further descriptor and its body",
        Tag.SLICE: "in a folded type: the item's type; before a body: u32 count, items",
        Tag.ARRAY: "in a folded type: u32 length, the item's type; the body is the items alone",
        Tag.MAP: "in a folded type: the key's and the value's type; before a body: u32 count, pairs",
        Tag.NIL: "nothing",
    }
    body = special.get(tag) or _body(tag)
    return int(tag), f"`{tag:02x}`", tag.name.lower(), body


def _body(tag: Tag) -> str:
    note = docs_of(SCALARS[tag])
    _, schema = plain(SCALARS[tag])
    if isinstance(schema, Counted):
        what = "text, any bytes" if isinstance(schema, Text) else "bytes"
        return f"length in {_kind(schema.length)}, {what}"
    fields = getattr(schema, "fields", ())
    if fields:
        return ", ".join(field.name for field in fields)
    doc = (type(schema).__doc__ or "").split("\n")[0]
    kind = f"{_kind(schema)}, {note}" if note else _kind(schema)
    return kind if isinstance(schema, Number) else doc.rstrip(".")


def _kind(schema: object) -> str:
    if isinstance(schema, Number):
        return f"{schema.least} byte{'s' if schema.least > 1 else ''}"
    number, value = getattr(schema, "number", None), getattr(schema, "value", None)
    if isinstance(number, Number) and isinstance(value, int):
        return f"{_kind(number)}, always {value}"
    return "one EDF value, without caches"


def states() -> str:
    """The handshake's state table, as a table and as diagrams."""
    parts = [NOTE, "# States of the handshake\n"]
    parts.append(
        "A message that is not in the row of a state ends the handshake: the socket is closed, nothing is sent.\n"
    )
    rows = (
        (role.value, state.name, message.__name__, step.effect, step.then.name)
        for (role, state), row in ehs.STEPS.items()
        for message, step in row.items()
    )
    parts.append(table(("role", "state", "message", "effect", "then"), rows))
    for role in Role:
        parts.append(f"\n## {role.value}\n\n```mermaid\nstateDiagram-v2")
        parts += [
            f"    {state.name} --> {step.then.name}: {message.__name__}"
            for (owner, state), row in ehs.STEPS.items()
            if owner is role
            for message, step in row.items()
        ]
        parts.append("```\n")
    parts.append(
        f"A peer has {ehs.READ_TIMEOUT:g} s for every read; an idle link lives on once the handshake is done.\n"
    )
    return "\n".join(parts)


def requirements() -> str:
    """The catalogue."""
    parts = [NOTE, "# Requirements\n"]
    for protocol in PROTOCOLS:
        rows = [row for row in catalogue().values() if row.protocol == protocol]
        parts.append(f"\n## {protocol.upper()}\n")
        parts.append(table(("id", "level", "requirement", "source", "no case because"), map(_requirement_row, rows)))
    return "\n".join(parts)


def _requirement_row(row: Requirement) -> tuple[object, ...]:
    return row.id, row.level, row.text, f"`{row.source}`", row.untested


def differs() -> str:
    """The statements about upstream that are quirks or bugs."""
    rows = ((row.id, row.text) for row in catalogue().values() if row.differs)
    return NOTE + "\n# Quirks and bugs of the upstream node\n\n" + table(("id", "what it does"), rows)


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "frames.md": frames,
    "states.md": states,
    "requirements.md": requirements,
    "upstream-quirks.md": differs,
}
