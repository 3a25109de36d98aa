"""The interfaces of a node, and the values that their methods name.

They are the interfaces of the framework's network stack (gen.NetworkHandshake, gen.NetworkProto, gen.Connection, gen.Core,
gen.RemoteNode, gen.Network, gen.Registrar, gen.Resolver) in Python.  Three things differ, because asyncio pushes bytes where
Go's goroutines pull them: a handshake is an object that takes and returns bytes, a connection gets its bytes by `receive`, and
requests to a peer are coroutines.  Errors are raised: ErgoError with the framework's error value.  A member without arguments
that has no effect is a property.

A node chooses handshake and proto by name and release: a route from a registrar names them ("EHS" "R1").
"""

from .connection import Connection, OpenSocket, PooledConnection, RemoteNode, Socket
from .core import Core, LocalProcess, ProcessTables
from .network import Network
from .registrar import ApplicationRegistrar, NodeRegistration, Registrar, RegistrarInfo, Resolver
from .stack import Deadlines, FlowLimits, HandshakeSession, NetworkHandshake, NetworkProto

__all__ = [
    "ApplicationRegistrar",
    "Connection",
    "Core",
    "Deadlines",
    "FlowLimits",
    "HandshakeSession",
    "LocalProcess",
    "Network",
    "NetworkHandshake",
    "NetworkProto",
    "NodeRegistration",
    "OpenSocket",
    "PooledConnection",
    "ProcessTables",
    "Registrar",
    "RegistrarInfo",
    "RemoteNode",
    "Resolver",
    "Socket",
]
