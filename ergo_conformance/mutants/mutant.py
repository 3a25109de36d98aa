"""A mutant, and the declaration of the mutants of one area."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, TypeVar

from ..reference_node.ergo.ehs import EhsSession
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.target.config import NodeConfig
from .faults import ClassFault, ConnectionFault, Fault, HandshakeFault, NameFault

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The reference node with one fault.

    `area` and `name` identify it.  `breaks`: a sentence that describes the fault.  `requirements`: ids of the
    violated requirements.  `found_by`: ids of cases that find it; `*` and `?` are wildcards, and then all matching cases
    find it.  `needs_tcp`: the fault shows only over sockets.  `subtle`: the node is wrong only at a boundary, on the
    second use, after a re-connect, or under load.
    """

    area: str
    name: str
    breaks: str
    requirements: tuple[str, ...]
    found_by: tuple[str, ...]
    fault: Fault
    needs_tcp: bool = False
    subtle: bool = False

    @property
    def id(self) -> str:
        """Unique name: `handshake.swapped_digest`."""
        return f"{self.area}.{self.name}"

    def node_config(self, config: NodeConfig) -> NodeConfig:
        """Returns the settings of a node that has the fault."""
        return replace(config, network=self.fault.network_options(config.network))

    def installed(self) -> AbstractContextManager[None]:
        """Installs the fault in the node's code while the block runs."""
        return self.fault.installed()


class Area:
    """The mutants of one area, in order of their declarations."""

    def __init__(self, name: str, *, needs_tcp: bool = False) -> None:
        """`needs_tcp`: default of its mutants."""
        self.name, self.needs_tcp = name, needs_tcp
        self.mutants: list[Mutant] = []

    def fault(
        self, *requirements: str, found_by: tuple[str, ...], needs_tcp: bool | None = None, subtle: bool = False
    ) -> Callable[[F], F]:
        """Declares a subclass of a class of the node as a mutant; its docstring describes the fault."""

        def declare(faulty: F) -> F:
            assert isinstance(faulty, type)
            name, fault = self._name_of(faulty), _fault_of(faulty)
            self.add(name, _text(faulty), fault, *requirements, found_by=found_by, needs_tcp=needs_tcp, subtle=subtle)
            return faulty

        return declare

    def _name_of(self, faulty: type) -> str:
        """Returns the name of a mutant: that of its class, without the protocol, which is part of the area's name."""
        return _snake_case(faulty.__name__).removeprefix(f"{self.name.partition('_')[0]}_")

    def function(
        self,
        module: ModuleType,
        name: str,
        *requirements: str,
        found_by: tuple[str, ...],
        needs_tcp: bool | None = None,
        subtle: bool = False,
    ) -> Callable[[F], F]:
        """Declares a replacement of a function of the node as a mutant; its docstring describes the fault.

        `module`: where the node looks the function up.
        """

        def declare(faulty: F) -> F:
            fault = NameFault((module,), name, faulty)
            called, breaks = faulty.__name__, _text(faulty)
            self.add(called, breaks, fault, *requirements, found_by=found_by, needs_tcp=needs_tcp, subtle=subtle)
            return faulty

        return declare

    def add(
        self,
        name: str,
        breaks: str,
        fault: Fault,
        *requirements: str,
        found_by: tuple[str, ...],
        needs_tcp: bool | None = None,
        subtle: bool = False,
    ) -> None:
        """Declares a mutant."""
        self.mutants.append(
            Mutant(
                area=self.name,
                name=name,
                breaks=breaks,
                requirements=requirements,
                found_by=found_by,
                fault=fault,
                needs_tcp=self.needs_tcp if needs_tcp is None else needs_tcp,
                subtle=subtle,
            )
        )


def _text(documented: object) -> str:
    return " ".join((documented.__doc__ or "").split())


def _fault_of(faulty: type) -> Fault:
    if issubclass(faulty, EhsSession):
        return HandshakeFault(faulty)
    if issubclass(faulty, EnpConnection):
        return ConnectionFault(faulty)
    return ClassFault(faulty)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
