"""Settings that can't be: UsageError, one sentence."""

from collections.abc import Mapping
from typing import Final

from ...errors import UsageError
from ...model.ergo import edf, error_values
from ...model.text import text_to_bytes

MAX_PORT: Final = 0xFFFF


def check_name(name: str) -> None:
    """A node's name has one `@`, something on both sides, and fits an atom (NAPI-OPT-10)."""
    left, at, right = name.partition("@")
    if not at or "@" in right:
        raise UsageError(f"incorrect FQDN node name (example: node@localhost): {name!r}")
    if not left:
        raise UsageError(f"too short node name: {name!r}")
    if not right:
        raise UsageError(f"too short host name: {name!r}")
    check_atom(name)


def check_atom(text: str) -> None:
    """An atom has at most 255 bytes."""
    if len(text_to_bytes(text)) > edf.MAX_ATOM:
        raise UsageError(f"{error_values.ATOM_TOO_LONG.text}: {len(text_to_bytes(text))} bytes")


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Both sides of an atom mapping are atoms."""
    for local, remote in mapping.items():
        check_atom(local)
        check_atom(remote)


def check_cookie(cookie: str | None) -> None:
    """A cookie can be written as UTF-8."""
    try:
        text_to_bytes(cookie or "")
    except UnicodeEncodeError:
        raise UsageError("the cookie can't be written as UTF-8") from None


def within(what: str, value: int, low: int, high: int) -> None:
    """A number is not out of its range."""
    if not low <= value <= high:
        raise UsageError(f"{what} is {value}; it has to be between {low} and {high}")
