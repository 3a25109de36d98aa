"""Nodes from flat settings: names of NetworkOptions, of NodeOptions, and `routes`, static ones by the nodes' names."""

from dataclasses import fields, replace
from typing import Any

from ergo_conformance.reference_node.api import Deadlines
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import NetworkOptions, NodeOptions
from ergo_conformance.reference_node.target.config import NodeConfig

PATIENT = EhsHandshake(deadlines=Deadlines(connect=60.0, read=60.0, handshake=60.0))
"""For tests over real sockets that are not about deadlines: a busy machine may take seconds for a handshake."""
_NODE = {field.name for field in fields(NodeOptions)}


def settings_of(name: str, **flat: Any) -> NodeConfig:
    """Without a registrar, unless one is given; TLS takes any certificate."""
    routes = flat.pop("routes", {})
    node = {key: value for key, value in flat.items() if key in _NODE}
    network: dict[str, Any] = {"registrar": None, "insecure_skip_verify": True}
    network |= {key: value for key, value in flat.items() if key not in _NODE}
    return NodeConfig(name=name, network=NetworkOptions(**network), node=NodeOptions(**node), routes=routes)


def with_session_class(settings: NodeConfig, session_class: type[EhsSession]) -> NodeConfig:
    """The same with another conductor of handshakes."""
    handshake = settings.network.handshake
    assert isinstance(handshake, EhsHandshake)
    return replace(
        settings, network=replace(settings.network, handshake=replace(handshake, session_class=session_class))
    )


def make(name: str, **flat: Any) -> Node:
    """A node without sockets."""
    more = _more(flat)
    return settings_of(name, **flat).make_node(**more)


async def start_node(name: str, **flat: Any) -> Node:
    """A node that listens."""
    more = _more(flat)
    return await settings_of(name, **flat).make_node(**more).start()


def _more(flat: dict[str, Any]) -> dict[str, Any]:
    """What goes to Node itself, taken out."""
    return {key: flat.pop(key) for key in ("clock", "token", "dial") if key in flat}
