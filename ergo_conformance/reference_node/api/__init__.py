"""The seams of a node: what can be replaced by something of one's own.

They are the interfaces of the framework's network stack (gen.NetworkHandshake, gen.NetworkProto, gen.Connection, gen.Core,
gen.RemoteNode, gen.Network, gen.Registrar, gen.Resolver), in Python's spelling.  Three things differ, because asyncio pushes
bytes where Go's goroutines pull them: a handshake is an object that takes and gives bytes, a connection gets its bytes by
`receive`, and what asks the peer for something is a coroutine.  Errors are raised: ErgoError with the framework's error value.

A node picks handshake and proto by name and release of their versions: a route from a registrar names them ("EHS" "R1").
"""

from .connection import RELATION_METHODS, Connection, Link, NetworkDial, Pooled, RemoteNode
from .core import Core
from .network import Network
from .registrars import ApplicationRegistrar, NodeFacts, Registrar, RegistrarError, Resolver
from .stack import Handshake, NetworkHandshake, NetworkProto

__all__ = [
    "RELATION_METHODS",
    "ApplicationRegistrar",
    "Connection",
    "Core",
    "Handshake",
    "Link",
    "Network",
    "NetworkDial",
    "NetworkHandshake",
    "NetworkProto",
    "NodeFacts",
    "Pooled",
    "Registrar",
    "RegistrarError",
    "RemoteNode",
    "Resolver",
]
