"""Options of a target, and the table from which the command line and the pytest plugin make their options.

A table is a dataclass whose fields are made with `option`: name, type, default, help and environment variable stand in one
place. `options_of` reads it.
"""

import dataclasses
import types
from dataclasses import dataclass, field
from typing import Any, Final, get_type_hints

from ..locate import COOKIE_VARIABLE, TOKEN_VARIABLE
from .kinds import forms

ROW: Final = "option"


@dataclass(frozen=True, slots=True)
class Option:
    """One row of a table of options."""

    name: str
    """Name of the field: `tls_ca` for `--tls-ca`."""
    type: Any
    """`str`, `int`, `float`, `bool` (a switch), or `list` (the option may be repeated; the field is a tuple of str)."""
    default: Any
    help: str
    """Help text of one sentence."""
    metavar: str = ""
    environment: str = ""
    """Environment variable that holds the value if the option is absent. Such a value is a secret."""
    flags: tuple[str, ...] = ()
    """Names on the command line, if they differ from the name of the field."""

    @property
    def flag(self) -> str:
        """Long name on the command line: `--tls-ca`."""
        return self.flags[0] if self.flags else "--" + self.name.replace("_", "-")

    @property
    def pytest_flag(self) -> str:
        """Name of the option of the pytest plugin: `--ergo-tls-ca`."""
        return "--ergo-" + self.name.replace("_", "-")


def option(
    default: Any, help: str, *, metavar: str = "", environment: str = "", flags: tuple[str, ...] = ()
) -> Any:  # Any, so that it can stand for a field of any type
    """Field of a table of options."""
    return field(default=default, metadata={ROW: (help, metavar, environment, flags)})


def options_of(table: type) -> tuple[Option, ...]:
    """Rows of a table, inherited ones first."""
    hints = get_type_hints(table)
    return tuple(
        Option(row.name, _value_type(hints[row.name]), row.default, *row.metadata[ROW])
        for row in dataclasses.fields(table)
        if ROW in row.metadata
    )


def _value_type(hint: Any) -> Any:
    """Type of one value: `str` of `str | None`, `list` of `tuple[str, ...]`."""
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in hint.__args__ if part is not types.NoneType)
    return list if getattr(hint, "__origin__", None) is tuple else hint


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """Options that describe the target."""

    target: str = option("self", f"Target to test: {forms()}.", metavar="TARGET")
    cookie: str | None = option(None, "Cookie of the node under test.", environment=COOKIE_VARIABLE)
    node: str | None = option(None, "Name of the node under test.", metavar="NAME@HOST")
    tls: bool = option(False, "Start the target with TLS.")
    tls_ca: str | None = option(None, "Verify the target's certificate against this CA (PEM).", metavar="FILE")
    offers: str | None = option(
        None, "What the target offers, comma-separated: accept, agents, registrar, saturn.", metavar="LIST"
    )
    registrar: str | None = option(None, "Address of the registrar of a running target.", metavar="HOST:PORT")
    token: str | None = option(None, "Token of that registrar, which is then a Saturn.", environment=TOKEN_VARIABLE)
    over: str | None = option(None, "Transport to the embedded node.", metavar="memory|tcp")
