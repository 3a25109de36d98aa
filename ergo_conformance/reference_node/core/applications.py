"""Applications: groups of processes that are started and stopped together."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ...model.ergo import error_values
from ...model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra
from ...model.values import PID, Atom, Error
from ..api.applications import ApplicationMode, ApplicationState
from ..api.errors import ErgoError
from ..api.messages import ProcessOptions
from .actor import Actor
from .outgoing import Outgoing
from .process import Process
from .process_table import ProcessTable
from .spawner import Spawner

log = logging.getLogger("ergo_conformance.node")

STOP_TIMEOUT: Final = 5.0
"""Seconds in which the processes of a stopped application have to end."""
_GOOD: Final = frozenset({error_values.NORMAL.text, error_values.SHUTDOWN.text})
"""Reasons with which a process of a transient application may end."""
_CHOSEN: Final = frozenset(ApplicationMode) - {ApplicationMode.OWN}


@dataclass(frozen=True, slots=True)
class ApplicationMember:
    """One process of an application. `name`: its registered name; empty means no name."""

    factory: Callable[[], Actor]
    name: str = ""
    args: tuple[Any, ...] = ()
    options: ProcessOptions | None = None


@dataclass(frozen=True, slots=True)
class ApplicationSpec:
    """Specification of an application."""

    name: str
    members: tuple[ApplicationMember, ...]
    mode: ApplicationMode = ApplicationMode.TEMPORARY
    weight: int = 0
    description: str = ""
    env: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Application:
    """A loaded application. `mode`: of the current or next run; `processes`: the running ones.

    `starting`: not all processes have been started yet.
    """

    spec: ApplicationSpec
    mode: ApplicationMode
    state: ApplicationState = ApplicationState.LOADED
    starting: bool = False
    processes: set[Process] = field(default_factory=set)
    reason: Error | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class ApplicationListener(Protocol):
    """Listener to the applications of a node."""

    def application_changed(self, application: Application) -> None:
        """An application was loaded, or its state has changed."""

    def application_unloaded(self, name: Atom) -> None:
        """An application was unloaded."""


class Applications:
    """The applications of one node."""

    def __init__(
        self,
        tables: ProcessTable,
        spawner: Spawner,
        outgoing: Outgoing,
        env: Mapping[str, Any],
        listener: ApplicationListener | None = None,
    ) -> None:
        """`env`: the environment of the node."""
        self._tables, self._spawner, self._outgoing, self._env = tables, spawner, outgoing, env
        self._listener = listener
        self.loaded: dict[Atom, Application] = {}

    def load(self, spec: ApplicationSpec) -> None:
        """Loads an application. Raises ErgoError."""
        name = Atom(spec.name)
        if not name:
            raise ErgoError(error_values.APPLICATION_NAME)
        if not spec.members:
            raise ErgoError(error_values.APPLICATION_EMPTY)
        if name in self.loaded:
            raise ErgoError(error_values.TAKEN)
        self.loaded[name] = application = Application(spec, spec.mode or ApplicationMode.TEMPORARY)
        self._announce(application)

    def unload(self, name: str) -> None:
        """Unloads an application. Raises ErgoError while it runs."""
        if self.get(name).state is not ApplicationState.LOADED:
            raise ErgoError(error_values.APPLICATION_RUNNING)
        del self.loaded[Atom(name)]
        if self._listener is not None:
            self._listener.application_unloaded(Atom(name))

    def get(self, name: str) -> Application:
        """Returns a loaded application. Raises ErgoError."""
        found = self.loaded.get(Atom(name))
        if found is None:
            raise ErgoError(error_values.APPLICATION_UNKNOWN)
        return found

    async def start(
        self, name: str, mode: int = ApplicationMode.OWN, options: ApplicationOptionsExtra | None = None
    ) -> None:
        """Starts the processes one after the other. Raises ErgoError and ends the processes that were started.

        Mode 0 means the mode of the specification (upstream: temporary, ENP-APP-2).
        """
        application = self.get(name)
        if application.state is ApplicationState.RUNNING:
            raise ErgoError(error_values.APPLICATION_RUNNING)
        if application.state is ApplicationState.STOPPING:
            raise ErgoError(error_values.APPLICATION_STATE)
        extra = options or ApplicationOptionsExtra(ApplicationOptions(), self._tables.pid)
        spec = application.spec
        own = {**self._env, **spec.env}
        env = {**(extra.CoreEnv or {}), **own, **(extra.ApplicationOptions.Env or {})}
        application.reason, application.starting = None, True
        application.mode = ApplicationMode(mode) if mode in _CHOSEN else spec.mode or ApplicationMode.TEMPORARY
        self._set(application, ApplicationState.RUNNING)
        application.stopped.clear()
        try:
            for member in spec.members:
                await self._start_member(application, member, env, extra.CorePID)
        except BaseException:
            await self._kill(application)
            raise
        finally:
            application.starting = False
            self._settle(application)

    async def _kill(self, application: Application) -> None:
        self._set(application, ApplicationState.STOPPING)
        running = list(application.processes)
        for process in running:
            self._spawner.end(process, error_values.KILL)
        await asyncio.gather(*(process.join() for process in running), return_exceptions=True)

    async def _start_member(
        self, application: Application, member: ApplicationMember, env: Mapping[str, Any], parent: PID
    ) -> None:
        actor = member.factory()
        own = member.options or actor.options
        options = replace(own, env={**env, **own.env})
        process = self._spawner.spawn(actor, *member.args, name=member.name or None, options=options, parent=parent)
        process.application = Atom(application.spec.name)
        application.processes.add(process)
        await process.started
        if application.state is not ApplicationState.RUNNING:  # stopped meanwhile
            raise ErgoError(application.reason or error_values.SHUTDOWN)

    async def stop(self, name: str, *, force: bool = False) -> None:
        """Ends the processes: by exit signals, or with `force` at once. Raises ErgoError after STOP_TIMEOUT."""
        application = self.get(name)
        if application.state is ApplicationState.LOADED:
            return
        if application.state is ApplicationState.STOPPING and not force:
            raise ErgoError(error_values.APPLICATION_STOPPING)
        self._stop(application, error_values.KILL if force else error_values.SHUTDOWN, force=force)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await application.stopped.wait()
        except TimeoutError:
            raise ErgoError(error_values.APPLICATION_STOPPING) from None

    def _stop(self, application: Application, reason: Error, *, force: bool = False) -> None:
        application.reason = reason
        self._set(application, ApplicationState.STOPPING)
        for process in list(application.processes):
            if force:
                self._spawner.end(process, error_values.KILL)
            else:
                self._outgoing.signal_exit(process.parent, process.pid.id, error_values.SHUTDOWN)

    def process_ended(self, process: Process, reason: Error) -> None:
        """A process has ended: depending on the mode its application stops."""
        application = self.loaded.get(process.application) if process.application else None
        if application is None or process not in application.processes:
            return
        application.processes.discard(process)
        good = reason.text in _GOOD  # by text: another node may send it without an id (NAPI-ERR-2)
        ends = application.mode is ApplicationMode.PERMANENT or (
            application.mode is ApplicationMode.TRANSIENT and not good
        )
        if ends and application.state is ApplicationState.RUNNING:
            log.info("application %s stops: a process ended with %s", application.spec.name, reason.text)
            self._stop(application, reason)
        self._settle(application)

    def _settle(self, application: Application) -> None:
        if not application.processes and not application.starting:
            self._set(application, ApplicationState.LOADED)
            application.stopped.set()

    def _set(self, application: Application, state: ApplicationState) -> None:
        if application.state is not state:
            application.state = state
            self._announce(application)

    def _announce(self, application: Application) -> None:
        if self._listener is not None:
            self._listener.application_changed(application)
