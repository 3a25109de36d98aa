"""Formats values as Go's fmt prints them in upstream's agents (protocol notes: agents, section 4)."""

from typing import Any, Final

from ...model.text import text_to_bytes
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Typed

_WORDS: Final[dict[type, str]] = {PID: "PID", ProcessID: "ProcessID", Alias: "Alias", Event: "Event", Atom: "Node"}


def type_word(source: Any) -> str:
    """Returns the last word in the name of a message about the end of this target: PID in gen.MessageExitPID."""
    return _WORDS[type(source)]


def go_format(value: Any) -> str:
    """Formats one value."""
    match value:
        case PID(node, id_, _):
            return f"<{_crc(node)}.{id_ >> 32}.{id_ & 0xFFFFFFFF}>"
        case ProcessID(node, name):
            return f"<{_crc(node)}.'{name}'>"
        case Alias(node, _, words):
            return f"Alias#<{_crc(node)}.{'.'.join(map(str, words))}>"
        case Event(node, name):
            return f"Event#<{_crc(node)}:'{name}'>"
        case Atom():
            return f"'{value}'"
        case Error(text, _):
            return text
        case Typed(_, inner):
            return go_format(inner)
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{' '.join(map(go_format, value))}]"
    return str(value)


def _crc_table() -> tuple[int, ...]:
    """Makes the table of upstream's CRC-32 (gen/types.go); its polynomial is not that of zlib."""
    table = list(range(256))
    for _ in range(8):
        table = [(crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0) for crc in table]
    return tuple(table)


_POLYNOMIAL: Final = 0xD5828281
_TABLE: Final = _crc_table()


def _crc(node: str) -> str:
    """Returns the CRC of a node's name, as printed identifiers have it."""
    crc = 0xFFFFFFFF
    for byte in text_to_bytes(node):
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return f"{crc ^ 0xFFFFFFFF:08X}" if node else ""
