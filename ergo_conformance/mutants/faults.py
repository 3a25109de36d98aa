"""Kinds of faults, by the way they are installed in a node.

The options of a node select its handshake and its connection class.  Other faults replace a class of the node by a subclass,
or give a name in one of its modules another value, for the time of the run.  The node itself has no switch for any fault.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from logging import Logger
from types import ModuleType, SimpleNamespace
from typing import Any, Final, Protocol

from ..reference_node.api import Core
from ..reference_node.api.handshake import PeerInfo
from ..reference_node.ergo.ehs import EhsSession
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.ergo.enp.proto import EnpProto
from ..reference_node.ergo.handshake import EhsHandshake
from ..reference_node.options import NetworkOptions

PACKAGE: Final = __name__.rpartition(".")[0]
"""The package of the mutants."""


class Fault(Protocol):
    """A fault, and how it is installed in a node."""

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        """Returns the options of a node that has the fault."""

    def installed(self) -> AbstractContextManager[None]:
        """Installs the fault in the node's code while the block runs."""


@dataclass(frozen=True, slots=True)
class HandshakeFault:
    """The node uses another class for its handshakes."""

    session_class: type[EhsSession]

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        assert isinstance(options.handshake, EhsHandshake)
        return replace(options, handshake=replace(options.handshake, session_class=self.session_class))

    def installed(self) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(frozen=True, slots=True)
class ConnectionFault:
    """The node uses another class for its connections."""

    connection: type[EnpConnection]

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        return replace(options, proto=_Proto(self.connection))

    def installed(self) -> AbstractContextManager[None]:
        return nullcontext()


class _Proto(EnpProto):
    """ENP with another class of connections."""

    def __init__(self, connection: type[EnpConnection]) -> None:
        self._connection = connection

    def new_connection(self, core: Core, peer: PeerInfo, log: Logger) -> EnpConnection:
        return self._connection(peer, core)


@dataclass(frozen=True, slots=True)
class ClassFault:
    """Objects of one class of the node are created as objects of a subclass with the fault."""

    faulty: type

    @property
    def base(self) -> type:
        """The class of the node: the nearest base that no mutant declares."""
        return next(cls for cls in self.faulty.__mro__[1:] if not cls.__module__.startswith(PACKAGE))

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        return options

    @contextmanager
    def installed(self) -> Iterator[None]:
        base, faulty = self.base, self.faulty
        original: Callable[..., None] = base.__init__  # type: ignore[misc]  # of the class, not of an object

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            if type(self) is base:
                self.__class__ = faulty
                faulty.__init__(self, *args, **kwargs)  # type: ignore[misc]  # comes back here, at last by `super`
            else:
                original(self, *args, **kwargs)

        with _replaced(base, "__init__", init):
            yield


@dataclass(frozen=True, slots=True)
class NameFault:
    """A name in one or more modules of the node has another value: a function, or a module of constants."""

    modules: tuple[ModuleType, ...]
    name: str
    value: Any

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        return options

    @contextmanager
    def installed(self) -> Iterator[None]:
        if not self.modules:
            yield
            return
        first, *others = self.modules
        with _replaced(first, self.name, self.value), NameFault(tuple(others), self.name, self.value).installed():
            yield


def with_constants(module: ModuleType, **constants: Any) -> Any:
    """Returns a copy of a module in which these constants have other values. AttributeError for an unknown one."""
    for name in constants:
        getattr(module, name)
    return SimpleNamespace(**{**vars(module), **constants})


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replaces an attribute while the block runs. AttributeError if there is none."""
    own = name in vars(owner)
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)
