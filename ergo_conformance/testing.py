"""Public interface for authors of cases; everything else in the package is private and may change.

A case is a pytest function with the decorator `case`. A coroutine case takes the fixture `ergo_context`, a `Context` (or a
`RegistrationContext` if its configuration has a `registrar`). A plain function may take the fixture `ergo_codec`, the EDF
codec of the target. docs/write-a-case.md explains each of them. Protocol facts and values come from `ergo_conformance.model`.
"""

from .peers.ergo.connection import Peer
from .peers.ergo.dialer import Dialer
from .peers.violation import UnreachableError, ViolationError
from .targets.base import Codec
from .verdict.run.case import AGENTS, case
from .verdict.run.context import Context, SkippedError
from .verdict.run.registration import START_TIMEOUT, RegistrationContext

__all__ = [
    "AGENTS",
    "START_TIMEOUT",
    "Codec",
    "Context",
    "Dialer",
    "Peer",
    "RegistrationContext",
    "SkippedError",
    "UnreachableError",
    "ViolationError",
    "case",
]
