"""Starts and ends the processes of a node."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...model.ergo import error_values
from ...model.values import PID, Alias, Atom, Error
from ..api.errors import ErgoError
from ..api.messages import ProcessOptions
from ..api.relations import RelationKind
from .actor import Actor
from .process import Body, Process, ProcessHost
from .process_table import ProcessTable
from .relation_table import RelationTable


class Spawner:
    """Starts and ends the processes of one node.

    `env`: the environment of the node.  `on_end`: called with each process that has ended, and the reason.
    """

    def __init__(
        self,
        tables: ProcessTable,
        relations: RelationTable,
        host: ProcessHost,
        env: Mapping[str, Any],
        on_end: Callable[[Process, Error], None],
    ) -> None:
        self._tables, self._relations, self._host = tables, relations, host
        self._env, self._on_end = env, on_end
        self.stopped = False
        """No process can be started any more."""

    def spawn(
        self,
        body: Actor | Body,
        *args: Any,
        name: str | None = None,
        options: ProcessOptions | None = None,
        parent: PID | None = None,
        number: int | None = None,
    ) -> Process:
        """Starts a process. `parent`: the node itself by default; it may be on another node.

        A child of the node itself gets the node's environment, overridden by its own.  `number`: of its PID, an unused
        one; by default the next free one.  ErgoError "resource is taken" if the name is registered, "node
        terminated" after the node has stopped.
        """
        tables = self._tables
        if self.stopped:
            raise ErgoError(error_values.NODE_TERMINATED)
        atom = None if name is None else Atom(name)
        if atom is not None and atom in tables.names:
            raise ErgoError(error_values.TAKEN)
        if isinstance(body, Actor):
            options = options or body.options
            body = body.run
        options = options or ProcessOptions()
        if parent is None and self._env:
            options = replace(options, env={**self._env, **options.env})
        process = Process(self._host, tables.new_pid(number), atom, options, parent or tables.pid, body, args)
        tables.processes[process.pid.id] = process
        if options.link_parent:
            self._relations.add(RelationKind.LINK, process.parent, process.pid)
        if atom is not None:
            tables.names[atom] = process
        return process

    def create_alias(self, process: Process) -> Alias:
        """See Process.create_alias."""
        alias = self._tables.new_alias()
        self._tables.aliases[alias.id] = process
        process.aliases[alias] = None
        return alias

    def end(self, process: Process, reason: Error) -> None:
        """Ends a process from outside."""
        if process.reason is None:
            process.reason = reason
            process.cancel()

    def ended(self, process: Process, reason: Error) -> None:
        """Handles the end of a process: removes its addresses, then calls `on_end`. No effect if it was handled before."""
        process.reason = reason
        tables = self._tables
        if tables.processes.pop(process.pid.id, None) is None:
            return
        if not process.started.done():
            process.started.set_exception(ErgoError(reason))
        if process.name is not None and tables.names.get(process.name) is process:
            del tables.names[process.name]
        for alias in process.aliases:
            tables.aliases.pop(alias.id, None)
        self._on_end(process, reason)

    async def stop(self) -> None:
        """Ends all processes and waits for them."""
        self.stopped = True
        running = list(self._tables.processes.values())
        for process in running:
            self.end(process, error_values.SHUTDOWN)
        await asyncio.gather(*(process.join() for process in running), return_exceptions=True)
