"""Registry of the kinds of targets. A kind is one module with a function `create`, and one row here.

The modules are imported when a target of their kind is created, because every pytest session imports this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One kind of target."""

    form: str
    """Form of its name on the command line: `tcp://HOST:PORT`."""
    module: str
    """Module of this package; its `create(options: TargetOptions) -> Target` is called."""
    accepts: frozenset[str] = frozenset()
    """Options of RESTRICTED that this kind supports."""


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
    """Returns the forms of all targets, for messages and help: `self, tcp://HOST:PORT, …`."""
    return ", ".join(kind.form for kind in KINDS.values())
