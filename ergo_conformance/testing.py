"""Public interface for authors of cases.

A case is a pytest function with the decorator `case`. A coroutine case takes the fixture `ergo_context`, a `Context` (or a
`RegistrationContext` if its configuration has a `registrar`). A plain function may take the fixture `ergo_codec`, the EDF
codec of the target. docs/write-a-case.md explains each of them.

Public, too: `ergo_conformance.model` (facts and values), the functions of `ergo_conformance.spec`, and the helpers in
`ergo_conformance.peers.ergo.agents` and `ergo_conformance.peers.corruption`. Everything else is private and may change.
"""

from .peers.ergo.acceptor import Acceptor
from .peers.ergo.agents import AgentDriver
from .peers.ergo.connection import ANNOUNCED, ORDER, PROCESS, REGISTRY, Address, Peer
from .peers.ergo.dial import Dial
from .peers.ergo.dialer import Dialer
from .peers.ergo.esrd_client import ScriptedEsrdClient, ScriptedResolver, open_resolver, route
from .peers.ergo.esrd_server import EsrdRegistration, ResolveRequest
from .peers.ergo.handshake import frame, payload_of
from .peers.ergo.pool import Received
from .peers.ergo.saturn_client import ScriptedSaturnClient
from .peers.ergo.saturn_server import SaturnRegistration
from .peers.listener import HOST, Listener
from .peers.scripted_peer import REPLY_TIMEOUT
from .peers.sockets import PeerSocket
from .peers.violation import SetUpError, TimingViolationError, UnreachableError, ViolationError, set_up
from .targets.base import Codec
from .verdict.run.case import AGENTS, case
from .verdict.run.context import AT_ONCE, SILENCE, TRIES, Context, SkippedError
from .verdict.run.registration import START_TIMEOUT, RegistrationContext

__all__ = [
    "AGENTS",
    "ANNOUNCED",
    "AT_ONCE",
    "HOST",
    "ORDER",
    "PROCESS",
    "REGISTRY",
    "REPLY_TIMEOUT",
    "SILENCE",
    "START_TIMEOUT",
    "TRIES",
    "Acceptor",
    "Address",
    "AgentDriver",
    "Codec",
    "Context",
    "Dial",
    "Dialer",
    "EsrdRegistration",
    "Listener",
    "Peer",
    "PeerSocket",
    "Received",
    "RegistrationContext",
    "ResolveRequest",
    "SaturnRegistration",
    "ScriptedEsrdClient",
    "ScriptedResolver",
    "ScriptedSaturnClient",
    "SetUpError",
    "SkippedError",
    "TimingViolationError",
    "UnreachableError",
    "ViolationError",
    "case",
    "frame",
    "open_resolver",
    "payload_of",
    "route",
    "set_up",
]
