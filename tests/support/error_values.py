"""The 43 error values of the framework, typed from the document (node-api §9)."""

import re

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.values import Error

TEXTS = {
    "ErrNameUnknown": "unknown name",
    "ErrParentUnknown": "parent/leader is not set",
    "ErrNodeTerminated": "node terminated",
    "ErrProcessMailboxFull": "process mailbox is full",
    "ErrProcessUnknown": "unknown process",
    "ErrProcessIncarnation": "process ID belongs to the previous incarnation",
    "ErrProcessTerminated": "process terminated",
    "ErrMetaUnknown": "unknown meta process",
    "ErrMetaMailboxFull": "meta process mailbox is full",
    "ErrApplicationUnknown": "unknown application",
    "ErrApplicationDepends": "dependency fail",
    "ErrApplicationState": "application is in running/stopping state",
    "ErrApplicationLoadPanic": "panic in application loading",
    "ErrApplicationEmpty": "application has no items",
    "ErrApplicationName": "application has no name",
    "ErrApplicationStopping": "application stopping is in progress",
    "ErrApplicationRunning": "application is still running",
    "ErrTargetUnknown": "unknown target",
    "ErrTargetExist": "target is already exist",
    "ErrRegistrarTerminated": "registrar client terminated",
    "ErrAliasUnknown": "unknown alias",
    "ErrAliasOwner": "not an owner",
    "ErrEventUnknown": "unknown event",
    "ErrEventOwner": "not an owner",
    "ErrTaken": "resource is taken",
    "ErrAtomTooLong": "too long Atom (max: 255)",
    "ErrTimeout": "timed out",
    "ErrUnsupported": "not supported",
    "ErrUnknown": "unknown",
    "ErrNotAllowed": "not allowed",
    "ErrIncorrect": "incorrect value or argument",
    "ErrMalformed": "malformed value",
    "ErrResponseIgnored": "response ignored",
    "ErrUnregistered": "unregistered",
    "ErrTooLarge": "too large",
    "ErrNetworkStopped": "network stack is stopped",
    "ErrNoConnection": "no connection",
    "ErrNoRoute": "no route",
    "ErrInternal": "internal error",
    "TerminateReasonNormal": "normal",
    "TerminateReasonKill": "kill",
    "TerminateReasonPanic": "panic",
    "TerminateReasonShutdown": "shutdown",
}
"""Typed from the document."""
IDS = {
    0x8000: "incorrect value or argument", 0x8001: "timed out", 0x8002: "not supported", 0x8003: "unknown",
    0x8004: "unknown name", 0x8005: "not allowed", 0x8006: "unknown process", 0x8007: "process terminated",
    0x8008: "unknown meta process", 0x8009: "unknown application", 0x800A: "resource is taken", 0x800B: "normal",
    0x800C: "shutdown", 0x800D: "kill", 0x800E: "panic",
}  # fmt: skip
"""The same, of a node that registers nothing else."""
CONSTANT_NAMES = {
    "ErrProcessMailboxFull": "MAILBOX_FULL",
    **{f"TerminateReason{word}": word.upper() for word in ("Normal", "Kill", "Panic", "Shutdown")},
}


def constant_name(name: str) -> str:
    """`ErrTargetUnknown` is TARGET_UNKNOWN."""
    return CONSTANT_NAMES.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removeprefix("Err")).upper()


def constant(name: str) -> Error:
    """Returns the value in model.ergo.error_values."""
    found = getattr(error_values, constant_name(name))
    assert isinstance(found, Error)
    return found
