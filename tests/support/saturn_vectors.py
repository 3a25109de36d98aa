"""Generator of suites/golden/saturn_vectors.json: rows from the captures, malformed rows by rule from these.

`python -m tests.support.saturn_vectors` writes the file.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.locate import suites
from ergo_conformance.model.ergo import esrd, records, saturn
from ergo_conformance.model.ergo.ehs import VERSION_ROW
from ergo_conformance.model.ergo.saturn import Message
from ergo_conformance.model.json.types import type_to_json
from ergo_conformance.model.json.values import value_to_json
from ergo_conformance.model.registry import Newtype, Row, Struct
from ergo_conformance.model.types import Reg, describe
from ergo_conformance.model.values import Error
from ergo_conformance.peers.corruption.packets import HEADER, SATURN, CorruptPacket, corrupt_packets
from ergo_conformance.spec.ergo.saturn import CONTEXT, read_packet
from ergo_conformance.verdict import captures
from ergo_conformance.verdict.captures import Capture
from ergo_conformance.verdict.captures.saturn import CLIENT, SERVER

from .recordings import CAPTURES

Json = Any
PATH = suites() / "golden" / "saturn_vectors.json"
FILES = sorted((CAPTURES / "saturn").glob("*.jsonl"))
NO_VECTOR = {
    "ResolveProxyResult": "the real server never answers who asks for a proxy (SAT-RS-2)",
    "RegisterProxy": "declared, and registered by no release up to 3.1: a server refuses it as an unknown type",
    "UnregisterProxy": "as RegisterProxy",
}
"""Messages that are in no capture, with the reason."""
MESSAGE_FIELDS = {row.value_class.__name__: [name for name, _ in row.fields] for row in saturn.MESSAGES}


class RecordedMessage(NamedTuple):
    """A line that is one whole message. `closed`: the server closed the connection next, without an answer."""

    capture: Capture
    line: int
    conn: str
    dir: str
    data: bytes
    message: Message
    scripted: bool
    closed: bool

    @property
    def role(self) -> str:
        return {CLIENT: "client", SERVER: "server"}[self.dir]


def recorded() -> Iterator[RecordedMessage]:
    """Yields the messages of all captures that have a line of their own."""
    for capture in map(captures.load, FILES):
        for number, line in enumerate(capture.lines, 2):
            data = bytes.fromhex(line.get("hex") or "")
            parsed = read_packet(data)
            if not isinstance(parsed, Rejected):
                scripted = capture.is_scripted(line["conn"], line["dir"])
                found = (capture, number, line["conn"], line["dir"], data, parsed.value)
                yield RecordedMessage(*found, scripted, reaction(capture, number) == "closed")


def reaction(capture: Capture, number: int) -> str:
    """Returns what the server did after this line of a client: nothing, answered or closed."""
    conn = capture.lines[number - 2]["conn"]
    then = next((line for line in capture.lines[number - 1 :] if line["conn"] == conn), {"dir": CLIENT})
    if then["dir"] == CLIENT:
        return "nothing"
    return "answered" if then.get("hex") else "closed"


def form(value: Any) -> Any:
    """Returns the form of a value: which parts are nil, empty, single or several, and enumerated numbers."""
    if isinstance(value, saturn.ApplicationRoute):
        return (*map(form, value[:2]), int(value.Mode), int(value.State))
    if isinstance(value, tuple) and hasattr(value, "_fields") and not isinstance(value, Error):
        return (type(value).__name__, *map(form, value))
    if isinstance(value, list):
        return (min(len(value), 2), frozenset(map(form, value)))
    if isinstance(value, dict):
        return (min(len(value), 2), frozenset((form(key), form(item)) for key, item in value.items()))
    if isinstance(value, bool):
        return value
    return (type(value).__name__, bool(value.text if isinstance(value, Error) else value))


def chosen() -> list[RecordedMessage]:
    """Returns the first message of each form that a real side wrote; for other forms the first accepted by the server."""
    accepted = [
        each
        for each in recorded()
        if not each.scripted or (not each.closed and "client" in saturn.writers(type(each.message)))
    ]
    first: dict[Any, RecordedMessage] = {}
    for each in sorted(accepted, key=lambda each: each.scripted):
        first.setdefault((each.role, form(each.message)), each)
    order = [row.value_class for row in saturn.MESSAGES]
    return sorted(first.values(), key=lambda each: order.index(type(each.message)))


# --- rows -------------------------------------------------------------------------------------------------------------

CITED = {
    saturn.Handshake: "SAT-HS-1", saturn.HandshakeResult: "SAT-HS-2", saturn.Register: "SAT-RG-1",
    saturn.RegisterResult: "SAT-RG-2", saturn.Resolve: "SAT-RS-1", saturn.ResolveProxy: "SAT-RS-2",
    saturn.ResolveResult: "SAT-RS-1", saturn.NodeJoined: "SAT-EV-1", saturn.NodeLeft: "SAT-EV-1",
    saturn.RegisterApplicationRoute: "SAT-EV-2", saturn.UnregisterApplicationRoute: "SAT-EV-3",
}  # fmt: skip
FAULTS = {"magic": "SAT-FR-5", "version": "SAT-FR-5", "length": "SAT-FR-1", "header": "SAT-FR-1"}


def dashed(name: str) -> str:
    """`register-result` for RegisterResult."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def rows() -> list[Json]:
    """Returns the rows of `vectors`."""
    made: list[Json] = []
    for each in chosen():
        group = type(each.message).__name__
        number = 1 + sum(row["group"] == group for row in made)
        row: Json = {"id": f"saturn-{dashed(group)}-{number:02}", "group": group, "role": each.role}
        row |= {"value": value_to_json(each.message, CONTEXT.registry), "hex": each.data.hex(), "len": len(each.data)}
        if isinstance(each.message, saturn.Handshake | saturn.HandshakeResult):
            row["facts"] = {"first": first_of(each), "token": each.capture.meta["secrets"][each.role]["token"]}
        row |= {"source": source(each), "requirements": sorted({"SAT-FR-1", *requirements(each.message)})}
        made.append(row | {"expect": "both"})
    return made


def requirements(message: Message) -> list[str]:
    """Returns the requirements of a valid message, other than that of its format."""
    if isinstance(message, saturn.RegisterResult) and message.Error is not None:
        return ["SAT-RG-3"]
    return [CITED[type(message)]] if type(message) in CITED else []


def first_of(each: RecordedMessage) -> str:
    """Returns what the digest is computed from, besides the token: the salt, or the client's digest."""
    if isinstance(each.message, saturn.Handshake):
        return each.message.Salt
    said = read_packet(each.capture.stream(each.conn, CLIENT), prefix=True)
    assert not isinstance(said, Rejected)
    return str(said.value.Digest)


def source(each: RecordedMessage) -> Json:
    """Returns the place of a message, its writer and the writer's release; for a script the release of the server."""
    writer = "script" if each.scripted else {"client": "node", "server": "server"}[each.role]
    release = each.capture.meta["release"]["server" if each.scripted else each.role]
    name = f"saturn/{each.capture.path.stem}"
    return {"capture": name, "line": each.line, "dir": each.dir, "writer": writer, "release": release}


# --- cases ------------------------------------------------------------------------------------------------------------


def cases() -> list[Json]:
    """Returns the rows of `cases`: each corruption of each message, made from the first row that has the part."""
    made: list[Json] = []
    seen = set()
    for row, each in zip(rows(), chosen(), strict=True):
        for damage in corrupt_packets(each.message, SATURN):
            id_ = f"neg-saturn-{dashed(row['group'])}-{damage.label.replace('_', '-')}"
            if id_ not in seen and not re.search(r"\[[1-9]", damage.path):  # one item of a list stands for all
                seen.add(id_)
                made.append(case(id_, row, damage))
    return [*made, *probes()]


def case(id_: str, row: Json, damage: CorruptPacket) -> Json:
    """Returns a malformed row."""
    refusal = read_packet(damage.data)
    assert isinstance(refusal, Rejected)
    made: Json = {"id": id_, "group": row["group"], "role": row["role"], "of": row["id"], "hex": damage.data.hex()}
    made |= {"len": len(damage.data), "reason": refusal.reason.value}
    taken = damage.label in ("length_minus_1", "length_0") or refusal.reason in (Reason.LEFTOVER, Reason.UNEXPECTED)
    made |= {"differs": True} if taken else {}
    return made | {
        "requirements": [FAULTS.get(damage.kind, "SAT-ML-1")],
        "expect": "reject",
        "notes": damage.description,
    }


def probes() -> Iterator[Json]:
    """Yields rows of malformed messages that a script sent to a real server."""
    first = {row["group"]: row["id"] for row in reversed(rows())}
    for capture in map(captures.load, FILES):
        for number, data, refusal, before in unreadable(capture):
            group = type(before).__name__ if before else "Handshake"
            did = reaction(capture, number)
            where = {"capture": f"saturn/{capture.path.stem}", "line": number, "dir": CLIENT, "writer": "script"}
            row: Json = {"id": f"neg-saturn-{dashed(group)}-probe-{number}", "group": group, "role": "client"}
            row |= {"of": first[group], "hex": data.hex(), "len": len(data), "reason": refusal.reason.value}
            row |= {"differs": True} if did != "closed" else {}
            row |= {"source": where | {"release": capture.meta["release"]["server"]}}
            row |= {"requirements": ["SAT-FR-5" if refusal.reason is Reason.MAGIC else "SAT-ML-1"]}
            word = {"closed": "closed the connection", "answered": "answered", "nothing": "passed over it"}[did]
            yield row | {"expect": "reject", "notes": f"sent by a script; the real server {word}"}


def unreadable(capture: Capture) -> Iterator[tuple[int, bytes, Rejected, Message | None]]:
    """Yields line, bytes, refusal and previous message of each script's last line if it is malformed."""
    for conn in capture.sockets():
        lines = [
            (number, bytes.fromhex(line["hex"]))
            for number, line in enumerate(capture.lines, 2)
            if (line["conn"], line["dir"]) == (conn, CLIENT) and line.get("hex")
        ]
        before: Message | None = None
        at, data = 0, b"".join(chunk for _, chunk in lines)
        while at < len(data) and not isinstance(parsed := read_packet(data, offset=at, prefix=True), Rejected):
            at, before = parsed.end, parsed.value
        if lines and len(lines[-1][1]) == len(data) - at >= HEADER:
            number, chunk = lines[-1]
            refusal = read_packet(chunk)
            assert isinstance(refusal, Rejected)
            yield number, chunk, refusal, before


# --- the file ---------------------------------------------------------------------------------------------------------


def types() -> list[Json]:
    """Returns the registered types that a message may contain."""
    registry = records.framework()
    named = {type_.name for _, type_ in saturn.APPLICATION_ROUTE.fields if isinstance(type_, Reg)}
    found: list[Row] = [VERSION_ROW, esrd.ROUTE, *(row for row in registry if row.name in named)]
    found += [saturn.APPLICATION_ROUTE, saturn.PROXY_ROUTE, saturn.ANNOUNCED_ROUTES, *saturn.MESSAGES]
    return [type_row(row) for row in found]


def type_row(row: Row) -> Json:
    if isinstance(row, Struct):
        return {"name": row.name, "kind": "struct", "fields": [[n, type_to_json(type_)] for n, type_ in row.fields]}
    assert isinstance(row, Newtype)
    return {"name": row.name, "kind": describe(row.base)}


KEYS = {
    "group": "message name",
    "role": "who writes such a message: client or server",
    "hex": "the whole packet: header and value",
    "facts": "of a handshake: Digest is the lower-case hex SHA-256 of first, a colon and token",
    "source": "where the packet was recorded: capture, line of the file (1: the metadata), direction, who wrote it, and"
    " the release of that side or, of a script's, of the server that it was sent to",
    "of": "the good row a case was made from, or that stands for its message",
    "reason": "why a reader refuses: the first thing found in wire order",
    "differs": "upstream takes these bytes: it decodes beyond the length, begins the next message behind the value, and"
    " passes over a value that is no message; refusing them is right",
    "expect": "rows: both (read to the value, written to the bytes); cases: reject",
}
PROVENANCE = (
    "Rows: recorded between real Ergo nodes of 3.1.1 and the real Saturn server (built on 3.0; TLS in clear), or written"
    " by a script and taken by that server (source.writer); cases: made by rule from good packets of each message, or"
    " sent to that server by a script (source)."
)


def document() -> Json:
    """Returns the content of the file."""
    vectors, malformed = rows(), cases()
    return {
        "format": "ergo-vectors/1",
        "protocol": "Saturn",
        "meta": {
            "count_total": len(vectors),
            "cases_total": len(malformed),
            "provenance": PROVENANCE,
            "missing": NO_VECTOR,
        },
        "keys": KEYS,
        "limits": {"max_payload": saturn.MAX_PAYLOAD, "note": "Bytes of a value. Values use no cache at all."},
        "types": types(),
        "vectors": vectors,
        "cases": malformed,
    }


def text(content: Json) -> str:
    """Returns the text of the file, with one row per line."""
    parts = []
    for key, part in content.items():
        if isinstance(part, list):
            lines = ",\n".join(f"  {json.dumps(row)}" for row in part)
            parts.append(f' "{key}": [\n{lines}\n ]')
        else:
            parts.append(f' "{key}": {json.dumps(part)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(text(document()), encoding="utf-8")
