"""Modes and states of applications."""

from enum import IntEnum


class ApplicationMode(IntEnum):
    """Rule for the end of one process: whether it stops the whole application (gen.ApplicationMode).

    OWN: the mode of the specification.  Temporary: only the last process stops it.  Transient: a process that ends with a
    reason other than normal and shutdown stops it.  Permanent: any process that ends stops it.
    """

    OWN = 0
    TEMPORARY = 1
    TRANSIENT = 2
    PERMANENT = 3


class ApplicationState(IntEnum):
    """gen.ApplicationState."""

    LOADED = 1
    RUNNING = 2
    STOPPING = 3
