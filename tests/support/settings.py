"""Nodes from flat settings: fields of NetworkOptions and NodeOptions, and `routes`: static routes by node name."""

from dataclasses import fields, replace
from typing import Any

from ergo_conformance.reference_node.api import Deadlines
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import NetworkOptions, NodeOptions
from ergo_conformance.reference_node.target.config import NodeConfig

LONG_DEADLINES = EhsHandshake(deadlines=Deadlines(connect=60.0, read=60.0, handshake=60.0))
"""Handshake for tests over sockets that do not test deadlines: under load a handshake may take seconds."""
_NODE = {field.name for field in fields(NodeOptions)}


def settings_of(name: str, **flat: Any) -> NodeConfig:
    """Returns the configuration of a node. By default it has no registrar and accepts any TLS certificate."""
    routes = flat.pop("routes", {})
    node = {key: value for key, value in flat.items() if key in _NODE}
    network: dict[str, Any] = {"registrar": None, "insecure_skip_verify": True}
    network |= {key: value for key, value in flat.items() if key not in _NODE}
    return NodeConfig(name=name, network=NetworkOptions(**network), node=NodeOptions(**node), routes=routes)


def with_session_class(settings: NodeConfig, session_class: type[EhsSession]) -> NodeConfig:
    """Returns the configuration with another class of handshake sessions."""
    handshake = settings.network.handshake
    assert isinstance(handshake, EhsHandshake)
    return replace(
        settings, network=replace(settings.network, handshake=replace(handshake, session_class=session_class))
    )


def make_node(name: str, **flat: Any) -> Node:
    """Returns a node without sockets."""
    more = _more(flat)
    return settings_of(name, **flat).make_node(**more)


async def start_node(name: str, **flat: Any) -> Node:
    """Starts a node with its acceptors. By default its handshakes have long deadlines."""
    more = _more(flat)
    return await settings_of(name, **{"handshake": LONG_DEADLINES, **flat}).make_node(**more).start()


def _more(flat: dict[str, Any]) -> dict[str, Any]:
    """Removes the arguments of Node itself from the settings; returns them."""
    return {key: flat.pop(key) for key in ("clock", "token", "dial") if key in flat}
