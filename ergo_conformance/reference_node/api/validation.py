"""Validation of settings: UsageError with one sentence for a wrong value."""

from collections.abc import Mapping
from typing import Final

from ...errors import UsageError
from ...model.ergo import edf, error_values
from ...model.text import text_to_bytes

MAX_PORT: Final = 0xFFFF
MAX_SHOWN: Final = 80
"""Characters of a wrong value that are shown."""


def check_name(name: str) -> None:
    """A node's name is `name@host`, both parts not empty, and fits an atom (NAPI-OPT-10)."""
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
    size = len(text_to_bytes(text))
    if size > edf.MAX_ATOM:
        raise UsageError(f"{error_values.ATOM_TOO_LONG.text}: {size} bytes")


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Keys and values of an atom mapping are atoms."""
    for local, remote in mapping.items():
        check_atom(local)
        check_atom(remote)


def check_cookie(cookie: str | None) -> None:
    """A cookie can be encoded as UTF-8."""
    try:
        text_to_bytes(cookie or "")
    except UnicodeEncodeError:
        raise UsageError("the cookie can't be encoded as UTF-8") from None


def check_host(what: str, host: str) -> None:
    """A host, if there is one, can be looked up: without NUL, and with labels of 1 to 63 characters."""
    try:
        possible = "\0" not in host and host.encode("idna") is not None
    except UnicodeError:
        possible = False
    if not possible:
        raise UsageError(
            f"{what} {host[:MAX_SHOWN]!r} can't be a host: its labels need 1 to 63 characters, none of them NUL"
        )


def check_range(what: str, value: int, low: int, high: int) -> None:
    """A whole number is between `low` and `high`, both included."""
    if type(value) is not int:
        raise UsageError(f"{what} is {value!r}; it has to be a whole number")
    if not low <= value <= high:
        raise UsageError(f"{what} is {value}; it has to be between {low} and {high}")
