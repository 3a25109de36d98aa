"""Values as upstream's agents print them (protocol notes: agents, section 4): for people, and for comparing reasons."""

from typing import Any, Final

from ...model.text import text_to_bytes
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Typed

_WORDS: Final[dict[type, str]] = {PID: "PID", ProcessID: "ProcessID", Alias: "Alias", Event: "Event", Atom: "Node"}


def word_of(source: Any) -> str:
    """The last word in the name of a message about the end of this target."""
    return _WORDS[type(source)]


def printed(value: Any) -> str:
    """One value."""
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
            return printed(inner)
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{' '.join(map(printed, value))}]"
    return str(value)


def _table() -> tuple[int, ...]:
    """Of the CRC whose polynomial upstream took (gen/types.go); it is not that of zlib."""
    table = list(range(256))
    for _ in range(8):
        table = [(crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0) for crc in table]
    return tuple(table)


_POLYNOMIAL: Final = 0xD5828281
_TABLE: Final = _table()


def _crc(node: str) -> str:
    """A node's name, as it stands in printed identifiers."""
    crc = 0xFFFFFFFF
    for byte in text_to_bytes(node):
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return f"{crc ^ 0xFFFFFFFF:08X}" if node else ""
