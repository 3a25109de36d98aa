"""Registry of the kinds of targets. A kind is one module with a function `create`, and one row here.

The modules are imported when a target of their kind is made: every pytest session imports this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ..errors import UsageError, suggestion

if TYPE_CHECKING:
    from .base import Target
    from .options import TargetOptions


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One kind of target."""

    form: str
    """How a user writes such a target: `tcp://HOST:PORT`."""
    module: str
    """Module of this package; its `create(options: TargetOptions) -> Target` is called."""
    accepts: frozenset[str] = frozenset()
    """Those of RESTRICTED that this kind supports."""

    def create(self, options: TargetOptions) -> Target:
        """The target. UsageError if the options are not valid."""
        target: Target = import_module(f".{self.module}", __package__).create(options)
        return target


RESTRICTED: Final = ("over", "tls", "tls_ca", "registrar", "offers")
"""Options that not every kind of target supports."""
KINDS: Final[Mapping[str, TargetKind]] = {
    "self": TargetKind("self", "self_node", frozenset({"over", "tls"})),
    "mutant:": TargetKind("mutant:NAME", "mutant", frozenset({"over"})),
    "tcp://": TargetKind("tcp://HOST:PORT", "tcp", frozenset({"offers", "registrar"})),
    "tls://": TargetKind("tls://HOST:PORT", "tcp", frozenset({"offers", "registrar", "tls_ca"})),
    "process:": TargetKind("process:CMD", "process", frozenset({"offers", "tls"})),
}
"""Prefix of the text that names a target to its kind. A prefix without `:` at its end is the whole text."""


def forms() -> str:
    """All forms of targets, for messages and help: `self, tcp://HOST:PORT, …`."""
    return ", ".join(kind.form for kind in KINDS.values())


def target_of(options: TargetOptions) -> Target:
    """The target that the options name. UsageError, one sentence, if they are not valid."""
    text = options.target
    for prefix, kind in KINDS.items():
        if text == prefix or (prefix.endswith((":", "/")) and text.startswith(prefix)):
            _check_supported(prefix, kind, options)
            return kind.create(options)
    close = suggestion(text, tuple(KINDS))
    raise UsageError(f"{text!r} is not a valid target{close if '?' in close else ''} (supported: {forms()})")


def _check_supported(prefix: str, kind: TargetKind, options: TargetOptions) -> None:
    for name in RESTRICTED:
        if getattr(options, name) not in (None, False) and name not in kind.accepts:
            able = ", ".join(other for other, row in KINDS.items() if name in row.accepts)
            raise UsageError(f"--{name.replace('_', '-')} is not supported by {prefix} targets (supported by: {able})")
