"""The exports of `ergo_conformance`: the public interface for programs on the reference node."""

from .errors import CannotEncode, ErgoConformanceError, Rejected, UsageError
from .model.ergo.ehs import Flags, Version
from .model.ergo.enp import Priority
from .model.ergo.esrd import Route
from .model.ergo.gen import ApplicationOptions, MessageEvent, RemoteProcessOptions
from .model.ergo.saturn import ApplicationRoute, ProxyRoute
from .model.registry import Marshaler, Newtype, Struct, struct_of
from .model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed
from .reference_node.api import (
    Connection,
    Core,
    Deadlines,
    FlowLimits,
    HandshakeSession,
    Network,
    NetworkHandshake,
    NetworkProto,
    NodeRegistration,
    OpenSocket,
    Registrar,
    RegistrarInfo,
    RemoteNode,
    Resolver,
    Socket,
)
from .reference_node.api.applications import ApplicationMode, ApplicationState
from .reference_node.api.errors import ErgoError, HandshakeError, RegistrarError, Stop
from .reference_node.api.messages import (
    Call,
    Compression,
    Down,
    ExitSignal,
    Message,
    MessageOptions,
    ProcessOptions,
    Published,
)
from .reference_node.api.routes import NetworkRoute
from .reference_node.connection.framework import FrameworkConnection
from .reference_node.connection.tls import CertManager, KeyPair, self_signed
from .reference_node.connection.unsupported import UnsupportedConnection
from .reference_node.core.actor import NO_REPLY, Actor
from .reference_node.core.applications import ApplicationMember, ApplicationSpec
from .reference_node.core.process import Process
from .reference_node.ergo.enp.proto import EnpProto
from .reference_node.ergo.handshake import EhsHandshake
from .reference_node.node import Node
from .reference_node.options import AcceptorOptions, NetworkMode, NetworkOptions, NodeOptions
from .reference_node.registrars.esrd_client import EsrdRegistrar
from .reference_node.registrars.esrd_server import EsrdServer
from .reference_node.registrars.saturn_client import SaturnOptions, SaturnRegistrar
from .reference_node.registrars.saturn_server import SaturnServer

__all__ = [
    "NO_REPLY",
    "PID",
    "AcceptorOptions",
    "Actor",
    "Alias",
    "ApplicationMember",
    "ApplicationMode",
    "ApplicationOptions",
    "ApplicationRoute",
    "ApplicationSpec",
    "ApplicationState",
    "Atom",
    "Call",
    "CannotEncode",
    "CertManager",
    "Compression",
    "Connection",
    "Core",
    "Deadlines",
    "Down",
    "EhsHandshake",
    "EnpProto",
    "ErgoConformanceError",
    "ErgoError",
    "Error",
    "EsrdRegistrar",
    "EsrdServer",
    "Event",
    "ExitSignal",
    "Flags",
    "FlowLimits",
    "FrameworkConnection",
    "HandshakeError",
    "HandshakeSession",
    "KeyPair",
    "Marshaler",
    "Message",
    "MessageEvent",
    "MessageOptions",
    "Network",
    "NetworkHandshake",
    "NetworkMode",
    "NetworkOptions",
    "NetworkProto",
    "NetworkRoute",
    "Newtype",
    "Node",
    "NodeOptions",
    "NodeRegistration",
    "OpenSocket",
    "Priority",
    "Process",
    "ProcessID",
    "ProcessOptions",
    "ProxyRoute",
    "Published",
    "Ref",
    "Registrar",
    "RegistrarError",
    "RegistrarInfo",
    "Rejected",
    "RemoteNode",
    "RemoteProcessOptions",
    "Resolver",
    "Route",
    "SaturnOptions",
    "SaturnRegistrar",
    "SaturnServer",
    "Socket",
    "Stop",
    "Struct",
    "Time",
    "Typed",
    "UnsupportedConnection",
    "UsageError",
    "Version",
    "self_signed",
    "struct_of",
]
