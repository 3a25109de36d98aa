"""Applications: groups of processes that are started together, and what the end of one means for the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from ...model.ergo import error_values
from ...model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra
from ...model.values import PID, Atom, Error
from ..api.errors import ErgoError
from .process import Actor, Process, ProcessOptions

if TYPE_CHECKING:
    from .core import Core

log = logging.getLogger("ergo_conformance.node")

STOP_TIMEOUT = 5.0
"""Seconds that the processes of an application get to end."""


class Mode(IntEnum):
    """When an application stops because a process of it has ended. OWN: the mode of its specification.

    Temporary: only with its last process.  Transient: also if one ends for another reason than normal and shutdown.
    Permanent: whenever one ends.
    """

    OWN = 0
    TEMPORARY = 1
    TRANSIENT = 2
    PERMANENT = 3


class State(IntEnum):
    """gen.ApplicationState."""

    LOADED = 1
    RUNNING = 2
    STOPPING = 3


@dataclass(frozen=True, slots=True)
class Member:
    """One process of an application; an empty name is none."""

    factory: Callable[[], Actor]
    name: str = ""
    args: tuple[Any, ...] = ()
    options: ProcessOptions | None = None


@dataclass(frozen=True, slots=True)
class Specification:
    """An application as it is loaded."""

    name: str
    members: tuple[Member, ...]
    mode: Mode = Mode.TEMPORARY
    weight: int = 0
    description: str = ""
    env: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Application:
    """A loaded application. `mode`: of the run, or of the next one; `processes`: those that live.

    `starting`: more of them are to come.
    """

    specification: Specification
    mode: Mode
    state: State = State.LOADED
    starting: bool = False
    processes: set[Process] = field(default_factory=set)
    reason: Error | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class Applications:
    """The applications of one node."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.loaded: dict[Atom, Application] = {}
        self.changed: Callable[[Application], None] = lambda _: None
        """Told of an application that was loaded, or is in another state."""
        self.unloaded: Callable[[Atom], None] = lambda _: None

    def load(self, specification: Specification) -> None:
        """Makes an application known. Raises ErgoError."""
        name = Atom(specification.name)
        if not name:
            raise ErgoError(error_values.APPLICATION_NAME)
        if not specification.members:
            raise ErgoError(error_values.APPLICATION_EMPTY)
        if name in self.loaded:
            raise ErgoError(error_values.TAKEN)
        self.loaded[name] = application = Application(specification, specification.mode or Mode.TEMPORARY)
        self.changed(application)

    def unload(self, name: str) -> None:
        """The reverse. Raises ErgoError while it runs."""
        if self.get(name).state is not State.LOADED:
            raise ErgoError(error_values.APPLICATION_RUNNING)
        del self.loaded[Atom(name)]
        self.unloaded(Atom(name))

    def get(self, name: str) -> Application:
        """A loaded application. Raises ErgoError."""
        found = self.loaded.get(Atom(name))
        if found is None:
            raise ErgoError(error_values.APPLICATION_UNKNOWN)
        return found

    async def start(self, name: str, mode: int = Mode.OWN, options: ApplicationOptionsExtra | None = None) -> None:
        """Starts the processes one after the other. Raises ErgoError; then none of them is left.

        Mode 0 is the application's own (upstream takes it for temporary, ENP-APP-2).
        """
        application = self.get(name)
        if application.state is State.RUNNING:
            raise ErgoError(error_values.APPLICATION_RUNNING)
        if application.state is State.STOPPING:
            raise ErgoError(error_values.APPLICATION_STATE)
        extra = options or ApplicationOptionsExtra(ApplicationOptions(), self.core.pid)
        specification = application.specification
        own = {**self.core.env, **specification.env}
        env = {**(extra.CoreEnv or {}), **own, **(extra.ApplicationOptions.Env or {})}
        application.reason, application.starting = None, True
        application.mode = Mode(mode) if mode in _CHOSEN else specification.mode or Mode.TEMPORARY
        self._set(application, State.RUNNING)
        application.stopped.clear()
        try:
            for member in specification.members:
                await self._start_member(application, member, env, extra.CorePID)
        except BaseException:
            await self._kill(application)
            raise
        finally:
            application.starting = False
            self._settle(application)

    async def _kill(self, application: Application) -> None:
        self._set(application, State.STOPPING)
        living = list(application.processes)
        for process in living:
            self.core.end(process, error_values.KILL)
        await asyncio.gather(*(process.task for process in living if process.task), return_exceptions=True)

    async def _start_member(
        self, application: Application, member: Member, env: Mapping[str, Any], parent: PID
    ) -> None:
        actor = member.factory()
        own = member.options or actor.options
        options = replace(own, env={**env, **own.env})
        process = self.core.spawn(actor, *member.args, name=member.name or None, options=options, parent=parent)
        process.application = Atom(application.specification.name)
        application.processes.add(process)
        await process.started
        if application.state is not State.RUNNING:  # an end, or somebody else, has stopped it meanwhile
            raise ErgoError(application.reason or error_values.SHUTDOWN)

    async def stop(self, name: str, *, force: bool = False) -> None:
        """Ends the processes: an exit signal, or with `force` at once. Raises ErgoError if they take too long."""
        application = self.get(name)
        if application.state is State.LOADED:
            return
        if application.state is State.STOPPING and not force:
            raise ErgoError(error_values.APPLICATION_STOPPING)
        self._stop(application, error_values.KILL if force else error_values.SHUTDOWN, force=force)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await application.stopped.wait()
        except TimeoutError:
            raise ErgoError(error_values.APPLICATION_STOPPING) from None

    def _stop(self, application: Application, reason: Error, *, force: bool = False) -> None:
        application.reason = reason
        self._set(application, State.STOPPING)
        for process in list(application.processes):
            if force:
                self.core.end(process, error_values.KILL)
            else:
                self.core.route_send_exit(process.parent, process.pid.id, error_values.SHUTDOWN)

    def process_ended(self, process: Process, reason: Error) -> None:
        """A process is over; if it belonged to an application, that may be the end of more."""
        application = self.loaded.get(process.application) if process.application else None
        if application is None or process not in application.processes:
            return
        application.processes.discard(process)
        good = reason in (error_values.NORMAL, error_values.SHUTDOWN)
        ends = application.mode is Mode.PERMANENT or (application.mode is Mode.TRANSIENT and not good)
        if ends and application.state is State.RUNNING:
            log.info("application %s stops: a process ended with %s", application.specification.name, reason.text)
            self._stop(application, reason)
        self._settle(application)

    def _settle(self, application: Application) -> None:
        if not application.processes and not application.starting:
            self._set(application, State.LOADED)
            application.stopped.set()

    def _set(self, application: Application, state: State) -> None:
        if application.state is not state:
            application.state = state
            self.changed(application)


_CHOSEN = frozenset((Mode.TEMPORARY, Mode.TRANSIENT, Mode.PERMANENT))
