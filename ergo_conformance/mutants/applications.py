"""Faults in remote spawn, in applications, and in the permissions of both."""

from typing import Any

from ..model.ergo import enp, error_values, gen
from ..model.ergo.gen import ApplicationOptionsExtra, ProcessOptionsExtra
from ..model.values import PID, Atom, Error
from ..reference_node.api.applications import ApplicationMode, ApplicationState
from ..reference_node.api.errors import ErgoError
from ..reference_node.api.messages import ProcessOptions
from ..reference_node.core import remote_spawn
from ..reference_node.core.applications import Applications
from ..reference_node.core.permissions import Permission
from ..reference_node.core.process import Process
from ..reference_node.core.remote_spawn import RemoteSpawn, options_from
from ..reference_node.ergo.enp.control import ControlMessages
from .faults import ClassFault
from .mutant import Area

APPLICATIONS = Area("applications")
SPAWN, CASES, ENDS, PERMISSIONS = "node.spawn", "node.applications", "node.application_ends", "node.permissions"
STAYS = "node.what_stays"

# --- the end of a process ---------------------------------------------------------------------------------------------


def declare(
    name: str, breaks: str, mode: ApplicationMode, other: ApplicationMode, *ends: str, normal: bool | None = None
) -> None:
    """Declares a mutant that handles ends in one mode as in another. `normal`: regular ends alone."""

    class Wrong(Applications):
        def process_ended(self, process: Process, reason: Error) -> None:
            application = self.loaded.get(process.application) if process.application else None
            regular = reason.text in (error_values.NORMAL.text, error_values.SHUTDOWN.text)
            if application is None or application.mode is not mode or normal not in (None, regular):
                super().process_ended(process, reason)
                return
            application.mode = other
            super().process_ended(process, reason)
            application.mode = mode

    found_by = tuple(f"{ENDS}.of_one_process[{end}]" for end in ends)
    APPLICATIONS.add(name, breaks, ClassFault(Wrong), "ENP-APP-4", found_by=found_by, subtle=normal is not None)


TEMPORARY, TRANSIENT, PERMANENT = ApplicationMode.TEMPORARY, ApplicationMode.TRANSIENT, ApplicationMode.PERMANENT
declare(
    "permanent_goes_on",
    "Lets a permanent application go on when a process ends normally.",
    PERMANENT,
    TEMPORARY,
    "permanent_normal",
    "permanent_shutdown",
    normal=True,
)
declare(
    "permanent_never_stops",
    "Lets a permanent application go on when a process ends.",
    PERMANENT,
    TEMPORARY,
    "permanent_*",
)
declare(
    "transient_stops_regularly",
    "Stops a transient application when a process ends normally.",
    TRANSIENT,
    PERMANENT,
    "transient_normal",
    "transient_shutdown",
    normal=True,
)
declare(
    "transient_never_stops",
    "Lets a transient application go on when a process fails.",
    TRANSIENT,
    TEMPORARY,
    "transient_kill",
    "transient_a",
)
declare("temporary_stops", "Stops a temporary application when a process ends.", TEMPORARY, PERMANENT, "temporary_*")


@APPLICATIONS.fault(
    "ENP-APP-4", "ENP-APP-1", found_by=(f"{CASES}.its_processes", f"{ENDS}.of_the_last_process[*]"), subtle=True
)
class SecondStartWithoutProcesses(Applications):
    """Starts no process when an application is started a second time."""

    async def start(
        self, name: str, mode: int = ApplicationMode.OWN, options: ApplicationOptionsExtra | None = None
    ) -> None:
        started: set[str] = vars(self).setdefault("started", set())
        if name in started:
            application = self.get(name)
            application.state = ApplicationState.RUNNING
            return
        started.add(name)
        await super().start(name, mode, options)


@APPLICATIONS.fault("ENP-APP-1", found_by=(f"{CASES}.own_mode",), subtle=True)
class ModeZeroRefused(Applications):
    """Refuses the mode 0."""

    async def start(
        self, name: str, mode: int = ApplicationMode.OWN, options: ApplicationOptionsExtra | None = None
    ) -> None:
        if mode == ApplicationMode.OWN:
            raise ErgoError(error_values.INCORRECT)
        await super().start(name, mode, options)


# --- permissions ------------------------------------------------------------------------------------------------------


@APPLICATIONS.fault(
    "ENP-SPAWN-2",
    "ENP-APP-1",
    found_by=(f"{PERMISSIONS}.factory[*_host]", f"{PERMISSIONS}.application[*_host]"),
    subtle=True,
)
class NodeNamesUpToTheAt(Permission):
    """Compares the names of nodes up to the @."""

    def allows(self, node: Atom) -> bool:
        short = node.partition("@")[0]
        return not self.nodes or any(each.partition("@")[0] == short for each in self.nodes)


@APPLICATIONS.fault(
    "ENP-SPAWN-2",
    "ENP-APP-1",
    found_by=(f"{PERMISSIONS}.factory[upper_case]", f"{PERMISSIONS}.application[upper_case]"),
    subtle=True,
)
class NodeNamesInAnyCase(Permission):
    """Compares the names of nodes without regard to upper and lower case."""

    def allows(self, node: Atom) -> bool:
        return not self.nodes or node.lower() in {each.lower() for each in self.nodes}


@APPLICATIONS.fault(
    "ENP-SPAWN-2",
    "ENP-APP-1",
    found_by=(
        f"{PERMISSIONS}.factory[longer_host]",
        f"{PERMISSIONS}.factory[shorter_host]",
        f"{PERMISSIONS}.application[longer_host]",
    ),
    subtle=True,
)
class PrefixOfANodeName(Permission):
    """Permits a node whose name begins with a permitted one, or with which a permitted one begins."""

    def allows(self, node: Atom) -> bool:
        return not self.nodes or any(each.startswith(node) or node.startswith(each) for each in self.nodes)


@APPLICATIONS.fault(
    "ENP-SPAWN-2",
    "ENP-APP-1",
    found_by=(f"{PERMISSIONS}.factory[*_name]", f"{PERMISSIONS}.application[*_name]"),
    subtle=True,
)
class PartOfANodeName(Permission):
    """Permits a node whose name has a part in common with a permitted one."""

    def allows(self, node: Atom) -> bool:
        return not self.nodes or any(each[1:-11] in node for each in self.nodes)


@APPLICATIONS.fault(
    "ENP-SPAWN-2", "ENP-APP-1", found_by=(f"{SPAWN}.allowed", f"{CASES}.allowed", f"{PERMISSIONS}.after_a_refusal")
)
class NamedNodesRefused(Permission):
    """Refuses the nodes for which a factory or an application is enabled."""

    def allows(self, node: Atom) -> bool:
        return not self.nodes


@APPLICATIONS.fault("ENP-SPAWN-2", found_by=(f"{PERMISSIONS}.after_a_refusal",), subtle=True)
class PermissionUsedUp(Permission):
    """Permits a named node once."""

    def allows(self, node: Atom) -> bool:
        if not self.nodes:
            return True
        permitted = super().allows(node) and node not in self._denied
        self._denied.add(node)
        return permitted


# --- refusals ---------------------------------------------------------------------------------------------------------


@APPLICATIONS.fault("ENP-SPAWN-1", "ENP-APP-1", found_by=(f"{SPAWN}.unknown_factory", f"{CASES}.unknown"))
class UnknownNameNotAllowed(RemoteSpawn):
    """Refuses an unknown name with "not allowed"."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        if name not in self.factories:
            raise ErgoError(error_values.NOT_ALLOWED)
        return await super().spawn_requested(node, name, options)

    async def start_requested(self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        if name not in self.startable:
            raise ErgoError(error_values.NOT_ALLOWED)
        await super().start_requested(node, name, mode, options)


@APPLICATIONS.fault("ENP-SPAWN-1", found_by=(f"{SPAWN}.no_parent[*]", f"{STAYS}.refused_spawn"))
class ParentUnchecked(RemoteSpawn):
    """Spawns a process without a parent."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        some = self._tables.pid
        if gen.NO_PID in (options.ParentPID, options.ParentLeader):
            options = options._replace(ParentPID=some, ParentLeader=some)
        return await super().spawn_requested(node, name, options)


@APPLICATIONS.fault("ENP-SPAWN-1", found_by=(f"{STAYS}.refused_spawn",), subtle=True)
class NameOfRefusedSpawnTaken(RemoteSpawn):
    """Takes the name of a refused spawn request."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        try:
            return await super().spawn_requested(node, name, options)
        except ErgoError:
            if options.Register:
                self._tables.names.setdefault(options.Register, next(iter(self._tables.processes.values())))
            raise


@APPLICATIONS.fault("ENP-SPAWN-1", "ENP-T-102", found_by=(f"{STAYS}.longest_name[255_bytes]",), subtle=True)
class LongestNameRefused(RemoteSpawn):
    """Refuses to register a name of 255 bytes."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        if len(options.Register) > 254:
            raise ErgoError(error_values.ATOM_TOO_LONG)
        return await super().spawn_requested(node, name, options)


# --- spawned processes ------------------------------------------------------------------------------------------------


@APPLICATIONS.fault("ENP-SPAWN-1", "ENP-SPAWN-4", "ENP-ANY-1", found_by=(f"{SPAWN}.environments_of_two",), subtle=True)
class SpawnedOnce(RemoteSpawn):
    """Answers a second spawn request without a name with the process of the first."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        first: dict[Atom, Process] = vars(self).setdefault("first", {})
        if options.Register or name not in first:
            first[name] = await super().spawn_requested(node, name, options)
        return first[name]


@APPLICATIONS.fault("ENP-SPAWN-1", found_by=(f"{SPAWN}.arguments",), subtle=True)
class EmptyArgumentsRefused(RemoteSpawn):
    """Refuses an empty list of arguments."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        if options.Args == []:
            raise ErgoError(error_values.INCORRECT)
        return await super().spawn_requested(node, name, options)


@APPLICATIONS.function(
    remote_spawn, "options_from", "ENP-SPAWN-4", found_by=(f"{SPAWN}.environment", f"{SPAWN}.one_environment[parent]")
)
def parent_environment_lost(extra: ProcessOptionsExtra) -> ProcessOptions:
    """Drops the environment of the parent."""
    return options_from(extra._replace(ParentEnv=None))


@APPLICATIONS.function(remote_spawn, "options_from", "ENP-SPAWN-5", found_by=(f"{SPAWN}.parent_is_lost[not_linked]",))
def parent_always_linked(extra: ProcessOptionsExtra) -> ProcessOptions:
    """Links every spawned process to its parent."""
    return options_from(extra._replace(ProcessOptions=extra.ProcessOptions._replace(LinkParent=True)))


@APPLICATIONS.fault("ENP-SPAWN-1", found_by=(f"{SPAWN}.spawned",))
class ResultWithAnotherPid(ControlMessages):
    """Answers a spawn request with the PID of another process."""

    def _answer(self, ref: Any, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        if isinstance(result, PID) and error is None:
            result = result._replace(id=result.id - 1)
        super()._answer(ref, error, result, requester_id, owner_id)


# --- requests to other nodes ------------------------------------------------------------------------------------------


@APPLICATIONS.fault(
    "ENP-C-Spawn", "ENP-C-ApplicationStart", "ENP-APP-1", found_by=(f"{SPAWN}.request[*]", f"{CASES}.request[*]")
)
class RequestIncomplete(ControlMessages):
    """Requests a spawn without its arguments, and an application in the next mode."""

    async def spawn(self, message: enp.Spawn) -> PID:
        return await super().spawn(message._replace(Options=message.Options._replace(Args=None)))

    async def start_application(self, message: enp.ApplicationStart) -> None:
        await super().start_application(message._replace(Mode=message.Mode + 1))


@APPLICATIONS.fault("ENP-APP-1", found_by=(f"{CASES}.mode[temporary]",))
class RequestedModeIgnored(Applications):
    """Starts every application in the mode of its specification."""

    async def start(
        self, name: str, mode: int = ApplicationMode.OWN, options: ApplicationOptionsExtra | None = None
    ) -> None:
        await super().start(name, ApplicationMode.OWN, options)
