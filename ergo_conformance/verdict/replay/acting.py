"""Doing what a recorded frame says that a process did: through the public API of our node."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from ...model.ergo import enp
from ...model.ergo.enp import Algorithm, Verb
from ...model.values import PID, Alias, Atom, ProcessID
from ...reference_node.core.core import CORE_ID
from ...reference_node.core.process import Process
from ...reference_node.ergo.enp.compression import Compression
from .stage import Stage

PATIENCE = 3600.0
"""Seconds: a caller of ours waits until the recording ends."""
_VERBS = {row.value_class: verb for (verb, _), row in enp.RELATIONS.items()}
_TARGETS = (
    enp.MessagePID, enp.MessageName, enp.MessageAlias, enp.RequestPID, enp.RequestName, enp.RequestAlias,
)  # fmt: skip


def actor_of(frame: Any) -> int | None:
    """The number of the process that did it; None if it is no act."""
    match frame:
        case enp.Control(message=enp.RelationRequest(Source=source)):
            return int(source.id)
        case enp.Control(message=enp.Spawn(Options=options)):
            return int(options.ParentPID.id)
        case enp.Control(message=enp.ApplicationStart()):
            return CORE_ID
        case enp.Exit():
            return frame.from_id
    return frame.from_id if isinstance(frame, _TARGETS) else None


def deed(stage: Stage, peer: PID, frame: Any, algorithm: int | None) -> Coroutine[Any, Any, Any]:
    """The call that a frame stands for, addressed to a node: `peer` is its core. As `actor_of` knows it."""
    core = stage.node.core
    match frame:
        case enp.Control(message=enp.Spawn() as asked):
            parent = None if asked.Options.ParentPID.id == CORE_ID else stage.process(asked.Options.ParentPID.id)
            if parent is not None:
                parent.leader = asked.Options.ParentLeader
            args, options = asked.Options.Args, asked.Options.ProcessOptions
            return core.remote.spawn(parent, peer.node, asked.Name, args, options, asked.Options.Register)
        case enp.Control(message=enp.ApplicationStart() as asked):
            return core.remote.start_application(peer.node, asked.Name, asked.Mode, asked.Options.ApplicationOptions)
        case enp.Control(message=enp.RelationRequest() as asked):
            return _relation(stage.process(asked.Source.id), asked)
        case enp.Exit():
            return stage.process(frame.from_id).exit(peer._replace(id=frame.to_id), frame.reason)
    process = stage.process(frame.from_id)
    to = _target(frame, peer)
    priority, important = enp.PRIORITIES[frame.priority], bool(frame.priority & enp.IMPORTANT)
    process.options = replace(
        process.options,
        keep_order=bool(frame.order) or not _order_of(frame),
        compression=None if algorithm is None else Compression(Algorithm(algorithm)),
    )
    if isinstance(frame, enp.RequestPID | enp.RequestName | enp.RequestAlias):
        return process.call(to, frame.payload, timeout=PATIENCE, priority=priority, important=important)
    return process.send(to, frame.payload, priority=priority, important=important)


def _relation(process: Process, asked: enp.RelationRequest) -> Coroutine[Any, Any, Any]:
    match _VERBS[type(asked)]:
        case Verb.LINK:
            return process.link(asked.Target)
        case Verb.UNLINK:
            return process.unlink(asked.Target)
        case Verb.MONITOR:
            return process.monitor(asked.Target)
    return process.demonitor(asked.Target)


def _target(frame: Any, peer: PID) -> PID | ProcessID | Alias:
    if isinstance(frame, enp.MessageName | enp.RequestName):
        return ProcessID(Atom(peer.node), frame.to_name)
    if isinstance(frame, enp.MessageAlias | enp.RequestAlias):
        return Alias(peer.node, peer.creation, frame.to_alias)
    return peer._replace(id=frame.to_id)


def _order_of(frame: Any) -> int:
    """What the order byte would be if order was kept."""
    if isinstance(frame, enp.MessageName | enp.RequestName):
        id_ = frame.from_id
    elif isinstance(frame, enp.MessageAlias | enp.RequestAlias):
        id_ = frame.to_alias[1]
    else:
        id_ = frame.to_id
    return int(id_ % enp.ORDER_MODULUS)
