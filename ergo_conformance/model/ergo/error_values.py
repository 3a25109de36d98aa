"""The framework's errors and termination reasons: 43 values (gen/errors.go and gen/process.go; the same in 3.0 and 3.1).

On the wire an error is its text, or an id that the sender announced; only registered errors are announced.
"""

from typing import Final

from ..values import Error


def _registered(text: str) -> Error:
    return Error(text, registered=True)


INCORRECT: Final = _registered("incorrect value or argument")
TIMEOUT: Final = _registered("timed out")
UNSUPPORTED: Final = _registered("not supported")
UNKNOWN: Final = _registered("unknown")
NAME_UNKNOWN: Final = _registered("unknown name")
NOT_ALLOWED: Final = _registered("not allowed")
PROCESS_UNKNOWN: Final = _registered("unknown process")
PROCESS_TERMINATED: Final = _registered("process terminated")
META_UNKNOWN: Final = _registered("unknown meta process")
APPLICATION_UNKNOWN: Final = _registered("unknown application")
TAKEN: Final = _registered("resource is taken")
NORMAL: Final = _registered("normal")
SHUTDOWN: Final = _registered("shutdown")
KILL: Final = _registered("kill")
PANIC: Final = _registered("panic")

REGISTERED: Final = (
    INCORRECT, TIMEOUT, UNSUPPORTED, UNKNOWN, NAME_UNKNOWN, NOT_ALLOWED, PROCESS_UNKNOWN, PROCESS_TERMINATED, META_UNKNOWN,
    APPLICATION_UNKNOWN, TAKEN, NORMAL, SHUTDOWN, KILL, PANIC,
)  # fmt: skip
"""In the order of registration, which determines their cache ids."""

PARENT_UNKNOWN: Final = Error("parent/leader is not set")
NODE_TERMINATED: Final = Error("node terminated")
MAILBOX_FULL: Final = Error("process mailbox is full")
PROCESS_INCARNATION: Final = Error("process ID belongs to the previous incarnation")
META_MAILBOX_FULL: Final = Error("meta process mailbox is full")
APPLICATION_DEPENDS: Final = Error("dependency fail")
APPLICATION_STATE: Final = Error("application is in running/stopping state")
APPLICATION_LOAD_PANIC: Final = Error("panic in application loading")
APPLICATION_EMPTY: Final = Error("application has no items")
APPLICATION_NAME: Final = Error("application has no name")
APPLICATION_STOPPING: Final = Error("application stopping is in progress")
APPLICATION_RUNNING: Final = Error("application is still running")
TARGET_UNKNOWN: Final = Error("unknown target")
TARGET_EXIST: Final = Error("target is already exist")
REGISTRAR_TERMINATED: Final = Error("registrar client terminated")
ALIAS_UNKNOWN: Final = Error("unknown alias")
ALIAS_OWNER: Final = Error("not an owner")
EVENT_UNKNOWN: Final = Error("unknown event")
EVENT_OWNER: Final = ALIAS_OWNER
ATOM_TOO_LONG: Final = Error("too long Atom (max: 255)")
MALFORMED: Final = Error("malformed value")
RESPONSE_IGNORED: Final = Error("response ignored")
UNREGISTERED: Final = Error("unregistered")
TOO_LARGE: Final = Error("too large")
NETWORK_STOPPED: Final = Error("network stack is stopped")
NO_CONNECTION: Final = Error("no connection")
NO_ROUTE: Final = Error("no route")
INTERNAL: Final = Error("internal error")
