"""Facts of the protocols by their names or numbers, for `ergo-conformance explain`: tags, frames, states, digests, codes."""

from collections.abc import Callable, Iterator
from typing import Final

from ..model.ergo import ehs, enp, saturn
from ..model.ergo.edf import Tag
from ..model.ergo.ehs import Digest, HandshakeState
from ..model.ergo.enp import Code, FrameType
from ..model.ergo.saturn import SessionState
from ..spec.export import markdown

Lines = list[str]


def number_of(text: str) -> int | None:
    """The number that a text is, decimal or hexadecimal with 0x; None for other text."""
    try:
        return int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        return None


def _tags(id_: str) -> Iterator[Lines]:
    for tag in Tag:
        if id_.lower() == tag.name.lower() or number_of(id_) == tag:
            yield [
                f"EDF tag {tag:d} (0x{tag:02x}), {tag.name.lower()}",
                f"body: {markdown.body_of(tag).replace('*', '')}",
            ]


def _frames(id_: str) -> Iterator[Lines]:
    for type_, cls in enp.CLASSES.items():
        if id_ in (type_.name, cls.__name__) or number_of(id_) == type_:
            yield [
                f"ENP frame {type_:d} (0x{type_:02x}), {type_.name}",
                (cls.__doc__ or "").split("\n")[0],
                f"header: u8 magic {enp.MAGIC}, u8 version {enp.VERSION}, u32 length of the frame, u8 order, u8 type {type_:d}",
                f"body: {markdown.fields_of(type_).replace('*', '')}",
                f"ergo-conformance explain ENP-T-{type_:d}",
            ]


def _handshake_states(id_: str) -> Iterator[Lines]:
    for (role, state), row in ehs.STEPS.items():
        if state.name == id_:
            yield [
                f"state {state.name} of a handshake, {role.value}",
                *(f"{message.__name__}: {step.effect}, then {step.then.name}" for message, step in row.items()),
                "any other message ends the handshake: the socket is closed and nothing is sent",
            ]


def _saturn_states(id_: str) -> Iterator[Lines]:
    for state, row in saturn.STEPS.items():
        if state.name == id_:
            yield [
                f"state {state.name} of a connection at a Saturn server",
                *(f"{message.__name__}: {effect}" for message, effect in row.items()),
            ]


def _digests(id_: str) -> Iterator[Lines]:
    for digest in Digest:
        if digest.name == id_:
            end = ", followed by the fingerprint of the certificate" if digest.fingerprint else ""
            yield [
                f"digest {digest.name} of the handshake ({digest.requirement})",
                f"lower-case hex SHA-256 of {' : '.join(digest.parts)}{end}",
            ]


def _codes(id_: str) -> Iterator[Lines]:
    for code in Code:
        if code.name == id_:
            error = enp.CODE_ERRORS.get(code)
            yield [f"code {code:d} of RESPONSE_ERROR, {code.name}", error.text if error else (Code.__doc__ or "")]


FACTS: Final[tuple[Callable[[str], Iterator[Lines]], ...]] = (
    _tags, _frames, _handshake_states, _saturn_states, _digests, _codes,
)  # fmt: skip
"""Each yields the facts that have a name or number: lines, the first of which is a heading."""


def facts(id_: str) -> list[Lines]:
    """Returns all facts with this name or number."""
    return [lines for find in FACTS for lines in find(id_)]


def fact_names() -> list[str]:
    """Returns the names that `facts` knows."""
    tags = [tag.name.lower() for tag in Tag]
    frames = [name for type_, cls in enp.CLASSES.items() for name in (type_.name, cls.__name__)]
    enums = [member.name for enum in (HandshakeState, SessionState, Digest, Code) for member in enum]
    return [*tags, *frames, *enums, *(f"{type_:d}" for type_ in FrameType)]
