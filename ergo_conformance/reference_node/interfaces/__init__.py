"""The seams of a node: what can be replaced by something of one's own.

They are the interfaces of the framework's network stack (gen.NetworkHandshake, gen.NetworkProto, gen.Connection,
gen.RemoteNode, gen.Registrar, gen.Resolver, gen.Core), in Python's spelling.  Three things differ, because asyncio pushes bytes
where Go's goroutines pull them: a handshake is an object that takes and gives bytes, a connection gets its bytes by `receive`,
and what asks the peer for something is a coroutine.  Errors are raised: ErgoError with the framework's error value.

A node picks handshake and proto by name and release of their versions: a route from a registrar names them ("EHS" "R1").
"""

from .connections import RELATION_METHODS, Connection, Link, NetworkDial, Pooled, RemoteNode
from .core import Core
from .registrars import ApplicationRegistrar, NodeFacts, Registrar, RegistrarError, Resolver
from .stack import Handshake, NetworkHandshake, NetworkProto

__all__ = [
    "RELATION_METHODS",
    "ApplicationRegistrar",
    "Connection",
    "Core",
    "Handshake",
    "Link",
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
