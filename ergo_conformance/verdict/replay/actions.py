"""Actions of processes: the call of the node's public API for each recorded frame that a process caused."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from ...model.ergo import enp
from ...model.ergo.enp import Algorithm, Verb
from ...model.values import PID, Alias, Atom, ProcessID
from ...reference_node.api.messages import Compression
from ...reference_node.core.process import Process
from ...reference_node.core.process_table import CORE_ID
from .setup import ReplayNode

CALL_TIMEOUT: Final = 3600.0
"""Seconds: longer than any recording, so that calls wait until it ends."""
_VERBS: Final = {row.value_class: verb for (verb, _), row in enp.RELATIONS.items()}
_MESSAGES: Final = (
    enp.MessagePID, enp.MessageName, enp.MessageAlias, enp.RequestPID, enp.RequestName, enp.RequestAlias,
)  # fmt: skip


def actor_of(frame: Any) -> int | None:
    """Returns the number of the process that caused a frame; None if no process can have caused it."""
    match frame:
        case enp.Control(message=enp.RelationRequest(Source=source)):
            return int(source.id)
        case enp.Control(message=enp.Spawn(Options=options)):
            return int(options.ParentPID.id)
        case enp.Control(message=enp.ApplicationStart()):
            return CORE_ID
        case enp.Exit():
            return frame.from_id
    return frame.from_id if isinstance(frame, _MESSAGES) else None


def action(node: ReplayNode, peer: PID, frame: Any, algorithm: int | None) -> Coroutine[Any, Any, Any]:
    """Returns the call that makes the node write a frame to the peer; `peer`: its core.

    The frame has an actor. `algorithm`: of its compression, None without.
    """
    core = node.node.core
    match frame:
        case enp.Control(message=enp.Spawn() as request):
            parent = None
            if request.Options.ParentPID.id != CORE_ID:
                parent = node.process(request.Options.ParentPID.id)
                parent.leader = request.Options.ParentLeader
            args, options = request.Options.Args, request.Options.ProcessOptions
            return core.remote.spawn(parent, peer.node, request.Name, args, options, request.Options.Register)
        case enp.Control(message=enp.ApplicationStart() as request):
            options = request.Options.ApplicationOptions
            return core.remote.start_application(peer.node, request.Name, request.Mode, options)
        case enp.Control(message=enp.RelationRequest() as request):
            return _relation(node.process(request.Source.id), request)
        case enp.Exit():
            return node.process(frame.from_id).exit(peer._replace(id=frame.to_id), frame.reason)
    return _send(node.process(frame.from_id), _target(frame, peer), frame, algorithm)


def _relation(process: Process, request: enp.RelationRequest) -> Coroutine[Any, Any, Any]:
    match _VERBS[type(request)]:
        case Verb.LINK:
            return process.link(request.Target)
        case Verb.UNLINK:
            return process.unlink(request.Target)
        case Verb.MONITOR:
            return process.monitor(request.Target)
    return process.demonitor(request.Target)


def _send(process: Process, to: PID | ProcessID | Alias, frame: Any, algorithm: int | None) -> Coroutine[Any, Any, Any]:
    """Sends or calls, with the options that give the recorded frame."""
    priority, important = enp.PRIORITIES[frame.priority], bool(frame.priority & enp.IMPORTANT)
    process.options = replace(
        process.options,
        keep_order=bool(frame.order) or not _ordered_byte(frame),
        compression=None if algorithm is None else Compression(Algorithm(algorithm)),
    )
    if isinstance(frame, enp.RequestPID | enp.RequestName | enp.RequestAlias):
        return process.call(to, frame.payload, timeout=CALL_TIMEOUT, priority=priority, important=important)
    return process.send(to, frame.payload, priority=priority, important=important)


def _target(frame: Any, peer: PID) -> PID | ProcessID | Alias:
    if isinstance(frame, enp.MessageName | enp.RequestName):
        return ProcessID(Atom(peer.node), frame.to_name)
    if isinstance(frame, enp.MessageAlias | enp.RequestAlias):
        return Alias(peer.node, peer.creation, frame.to_alias)
    return peer._replace(id=frame.to_id)


def _ordered_byte(frame: Any) -> int:
    """Returns the order byte that a frame has if order is kept."""
    if isinstance(frame, enp.MessageName | enp.RequestName):
        id_ = frame.from_id
    elif isinstance(frame, enp.MessageAlias | enp.RequestAlias):
        id_ = frame.to_alias[1]
    else:
        id_ = frame.to_id
    return int(id_ % enp.ORDER_MODULUS)
