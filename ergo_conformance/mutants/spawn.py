"""Faults in remote spawn and remote application start."""

from typing import Any

from ..model.ergo import enp
from ..model.ergo.ehs import Flags
from ..model.ergo.gen import ApplicationOptionsExtra, ProcessOptionsExtra
from ..model.values import Atom
from ..reference_node.api.applications import ApplicationMode, ApplicationState
from ..reference_node.api.messages import ProcessOptions
from ..reference_node.core import outgoing, remote_spawn
from ..reference_node.core.applications import Applications
from ..reference_node.core.permissions import Permission
from ..reference_node.core.process import Process
from ..reference_node.core.remote_spawn import RemoteSpawn, options_from
from ..reference_node.ergo.enp import control
from ..reference_node.ergo.enp.control import ControlMessages
from .faults import NameFault, with_constants
from .mutant import Area

SPAWN = Area("spawn")
CASES, APPLICATIONS = "node.spawn", "node.applications"


@SPAWN.fault("ENP-SPAWN-3", found_by=(f"{CASES}.we_do_not_announce_it", f"{APPLICATIONS}.we_do_not_announce_it"))
class RequestsWithoutFlag(ControlMessages):
    """Sends requests that the peer's flags exclude."""

    def _check_flag(self, flag: Flags) -> None:
        """Checks nothing."""


SPAWN.add(
    "waits_too_long",
    "Waits three times too long for the answer to a request.",
    NameFault((control, outgoing), "enp", with_constants(enp, REQUEST_TIMEOUT=3 * enp.REQUEST_TIMEOUT)),
    "ENP-ANY-3",
    found_by=(f"{CASES}.no_result", "node.watching.no_result"),
)


@SPAWN.fault(
    "ENP-SPAWN-2", "ENP-APP-1", found_by=(f"{CASES}.restricted", f"{CASES}.allowed", f"{APPLICATIONS}.restricted")
)
class AllNodesPermitted(Permission):
    """Permits every node to spawn processes and to start applications."""

    def allows(self, node: Atom) -> bool:
        return True


@SPAWN.fault("ENP-SPAWN-1", found_by=(f"{CASES}.registered",))
class SpawnedNameUnregistered(RemoteSpawn):
    """Does not register the name of a process that another node has spawned."""

    async def spawn_requested(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        return await super().spawn_requested(node, name, options._replace(Register=Atom("")))


def _changed(extra: ProcessOptionsExtra, **options: Any) -> ProcessOptionsExtra:
    return extra._replace(ProcessOptions=extra.ProcessOptions._replace(**options))


@SPAWN.function(
    remote_spawn, "options_from", "ENP-SPAWN-4", found_by=(f"{CASES}.environment", f"{CASES}.one_environment[own]")
)
def environment_lost(extra: ProcessOptionsExtra) -> ProcessOptions:
    """Drops the environment in the options of a spawn."""
    return options_from(_changed(extra, Env=None))


@SPAWN.function(remote_spawn, "options_from", "ENP-SPAWN-4", found_by=(f"{CASES}.environment",))
def parent_environment_overrides(extra: ProcessOptionsExtra) -> ProcessOptions:
    """Lets the environment of the parent override that of the process."""
    return options_from(_changed(extra, Env={**(extra.ProcessOptions.Env or {}), **(extra.ParentEnv or {})}))


@SPAWN.function(remote_spawn, "options_from", "ENP-SPAWN-5", found_by=(f"{CASES}.parent_is_lost[linked]",))
def parent_not_linked(extra: ProcessOptionsExtra) -> ProcessOptions:
    """Does not link a spawned process to its parent."""
    return options_from(_changed(extra, LinkParent=False))


@SPAWN.fault("ENP-APP-1", found_by=(f"{APPLICATIONS}.mode[transient]", f"{APPLICATIONS}.mode[permanent]"))
class ModeIgnored(Applications):
    """Starts every application in temporary mode."""

    async def start(
        self, name: str, mode: int = ApplicationMode.OWN, options: ApplicationOptionsExtra | None = None
    ) -> None:
        await super().start(name, ApplicationMode.TEMPORARY, options)


@SPAWN.fault("ENP-APP-1", found_by=(f"{APPLICATIONS}.running_already",))
class RunningApplicationStartedAgain(Applications):
    """Starts an application that is running a second time."""

    async def start(
        self, name: str, mode: int = ApplicationMode.OWN, options: ApplicationOptionsExtra | None = None
    ) -> None:
        self.get(name).state = ApplicationState.LOADED
        await super().start(name, mode, options)
