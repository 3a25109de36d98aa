"""Pages in Markdown: frames and messages, states, requirements, where the upstream node differs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ...model.ergo import ehs, enp, error_values, esrd, saturn
from ...model.ergo.edf import Tag
from ...model.ergo.ehs import Role
from ...model.registry import Newtype, Struct
from ...model.types import Reg, describe
from ..combinators import CountedBytes, CountedText, Number
from ..ergo.edf.scalars import SCALARS, WORDS
from ..ergo.ehs import FRAME
from ..ergo.enp import frames as enp_frames
from ..ergo.saturn import CONTEXT, PACKET
from ..interpreter import Schema, plain
from ..requirements import PROTOCOLS, Requirement, catalogue
from ..walk import docs_of, walk
from ..walk import parts as parts_of

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
    """EDF's tags and the bodies behind them; the frames and messages of each protocol."""
    parts = [NOTE, "# Frames\n", "All numbers are big-endian.\n", "## EDF: descriptors\n"]
    parts.append(table(("tag", "hex", "type", "body"), (_tag_row(tag) for tag in Tag)))
    return "\n".join((*parts, *_handshake(), *_enp(), *_esrd(), *_saturn()))


def _handshake() -> Iterable[str]:
    parts = ["\n## EHS: the frame\n"]
    layout = [(visit.path, _kind(visit.schema)) for visit in walk(FRAME) if visit.path.count(".") == 0 and visit.path]
    parts.append(table(("part", "layout"), layout[:4]))
    parts.append(f"\nThe length counts the message alone; it is at most {ehs.MAX_PAYLOAD:,}.\n")
    parts.append("\n## EHS: the messages\n")
    parts += map(_message, ehs.MESSAGES)
    parts.append("\n## EHS: the digests\n\nLower-case hex SHA-256 of the parts, joined by colons.\n")
    digests = (
        (d.requirement, d.name, " : ".join(d.parts) + (" and then the fingerprint" if d.fingerprint else ""))
        for d in ehs.Digest
    )
    parts.append(table(("requirement", "digest", "of"), digests))
    return parts


def _message(row: Struct) -> str:
    rows = ((name, f"`{describe(type_)}`") for name, type_ in row.fields)
    return f"\n### `{row.name}`\n\n" + table(("field", "EDF type"), rows)


def _enp() -> Iterable[str]:
    """Header, bodies, control messages."""
    header = enp_frames.FRAME
    parts = ["\n## ENP: the header\n"]
    layout = [(*_part(part), docs_of(part)) for part in (header.magic, header.version, header.length)]
    layout += [("order", "1 byte", "which of the receiver's queues; 0 is any"), ("type", "1 byte", "see below")]
    parts.append(table(("part", "layout", ""), layout))
    parts.append("\n## ENP: the frames, behind the header\n")
    rows = ((int(type_), f"`{type_.name}`", _fields(body)) for type_, body in enp_frames.BODIES.items())
    parts += [table(("type", "name", "body"), rows), "", _legend()]
    codes = ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in enp.Code)
    parts.append(f"\nCodes of RESPONSE_ERROR: {codes}; behind the last an EDF error.\n")
    algorithms = ", ".join(f"{row.value} {row.name.lower()}" for row in enp.Algorithm)
    parts.append(f"Algorithms of COMPRESSED: {algorithms}. What the stream unpacks to is a whole frame.\n")
    parts.append("\n## ENP: the messages in a frame CONTROL\n")
    return parts + [_message(row) for row in enp.CONTROL]


def _esrd() -> Iterable[str]:
    """Header and messages of the embedded registrar."""
    parts = ["\n## ESRD: the packet\n"]
    head = (
        ("version", f"1 byte, always {esrd.VERSION}"),
        ("type", "1 byte: " + ", ".join(f"{type_.value} {cls.__name__}" for type_, cls in esrd.CLASSES.items())),
        ("length", "2 bytes, of the message alone"),
        ("message", "one EDF value, without caches"),
    )
    parts.append(table(("part", "layout"), head))
    return parts + [_message(row) for row in (*esrd.MESSAGES, esrd.ROUTE)]


def _saturn() -> Iterable[str]:
    """Header, order and messages of the central registrar."""
    parts = ["\n## Saturn: the packet\n"]
    head = (
        _part(PACKET.magic),
        _part(PACKET.version),
        ("length", f"2 bytes, of the message alone; at most {saturn.MAX_PAYLOAD:,}"),
        ("message", "one EDF value, without caches; its type says which message it is"),
    )
    parts += [table(("part", "layout"), head), "\n## Saturn: the order of messages\n"]
    steps = (
        (state.name, message.__name__, effect) for state, row in saturn.STEPS.items() for message, effect in row.items()
    )
    parts.append(table(("state of the connection at the server", "message of the client", "effect"), steps))
    ignored = ", ".join(row.value_class.__name__ for row in saturn.MESSAGES if row.value_class in saturn.OF_THE_SERVER)
    parts.append(
        f"\nA proof leads to the next state, and so does a registration. In state {saturn.SessionState.REGISTERED.name} the"
        f" messages of a server are ignored: {ignored}. Any other message that is not in the row of a state ends the"
        f" connection, and so does {saturn.REGISTER_WITHIN:g} s without a registration; nothing is sent then.\n"
    )
    written = (
        (f"`{row.name}`", " and ".join(saturn.writers(row.value_class)) or "nobody", _doc(row.value_class))
        for row in (*saturn.MESSAGES, *saturn.UNREGISTERED)
    )
    parts += [*_saturn_rules(), "\n## Saturn: the messages\n", table(("message", "written by", "meaning"), written)]
    inside = (saturn.APPLICATION_ROUTE, saturn.PROXY_ROUTE, saturn.ANNOUNCED_ROUTES)
    parts += [_message(row) for row in (*saturn.MESSAGES, *saturn.UNREGISTERED, *inside)]
    names = [type_.name for _, type_ in saturn.APPLICATION_ROUTE.fields if isinstance(type_, Reg)]
    rows = [row for row in CONTEXT.registry if isinstance(row, Newtype) and row.name in names]
    under = "; ".join(f"`{row.name}` is `{describe(row.base)}`" for row in rows)
    return [*parts, f"\nOn the wire {under}.\n"]


def _saturn_rules() -> Iterable[str]:
    """Proofs, errors, names of items."""
    proofs = (
        ("SAT-HS-1", saturn.Handshake.__name__, "Salt : token"),
        ("SAT-HS-2", saturn.HandshakeResult.__name__, f"Digest of the {saturn.Handshake.__name__} : token"),
    )
    errors = (
        (
            saturn.RegisterResult.__name__,
            error_values.TAKEN.text,
            "the name is taken in this cluster; the connection ends",
        ),
        (saturn.ResolveResult.__name__, error_values.NO_ROUTE.text, "no such node in the cluster, or none with routes"),
        (saturn.ResolveProxyResult.__name__, error_values.NO_ROUTE.text, "nobody announces a way to that node"),
    )
    items = ", ".join(f"`{name}`" for name in saturn.item_names("ITEM", "CLUSTER", "NODE"))
    return (
        "\n## Saturn: the digests\n\nLower-case hex SHA-256 of the parts, joined by colons.\n",
        table(("requirement", "digest of", "of"), proofs),
        "\n## Saturn: errors\n",
        table(("in", "text", "because"), errors),
        f"\n## Saturn: names of configuration items\n\nThe first that there is counts: {items}.\n",
    )


def _part(schema: Schema) -> tuple[str, str]:
    name, node = plain(schema)
    return str(name or ""), _kind(node)


_KINDS: Final[Mapping[type, str]] = {
    enp_frames.NameField: "name",
    enp_frames.CachedNameField: "cached name",
    type(WORDS): "3 × u64",
    enp_frames.ValueField: "value",
    enp_frames.ErrorField: "error",
    enp_frames.ControlField: "control message",
    enp_frames.OutcomeField: "code",
    enp_frames.StreamField: "the rest",
}
"""Short words for what frames are made of; `_legend` has the long ones."""


def _fields(schema: Schema) -> str:
    """The fields of a frame's body, as they follow each other."""
    return ", ".join(f"{label} *{_short(plain(part)[1])}*" for label, part in parts_of(schema))


def _short(node: Schema) -> str:
    return f"u{8 * node.min_size}" if isinstance(node, Number) else _KINDS[type(node)]


def _legend() -> str:
    """What the words and fields of the table mean, in their authors' words."""
    words = ((f"*{word}*", _doc(kind)) for kind, word in _KINDS.items() if kind is not type(WORDS))
    said = {
        label: docs_of(part) for body in enp_frames.BODIES.values() for label, part in parts_of(body) if docs_of(part)
    }
    return table(("word or field", "meaning"), (*words, *((str(label), note) for label, note in said.items())))


def _doc(kind: type) -> str:
    return (kind.__doc__ or "").split("\n")[0].rstrip(".")


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
    if isinstance(schema, CountedBytes):
        what = "text, any bytes" if isinstance(schema, CountedText) else "bytes"
        return f"length in {_kind(schema.length)}, {what}"
    fields = getattr(schema, "fields", ())
    if fields:
        return ", ".join(field.name for field in fields)
    doc = (type(schema).__doc__ or "").split("\n")[0]
    kind = f"{_kind(schema)}, {note}" if note else _kind(schema)
    return kind if isinstance(schema, Number) else doc.rstrip(".")


def _kind(schema: object) -> str:
    if isinstance(schema, Number):
        return f"{schema.min_size} byte{'s' if schema.min_size > 1 else ''}"
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
