"""Announces the applications of a node to its registrars (SAT-EV-2)."""

from collections.abc import Iterator
from typing import cast

from ...model.ergo.saturn import ApplicationRoute
from ...model.values import Atom
from ..api import ApplicationRegistrar
from ..core.applications import Application
from ..options import NetworkMode, NetworkOptions


class ApplicationAnnouncements:
    """Listener to the applications of one node (ApplicationListener). A hidden node announces nothing."""

    def __init__(self, name: Atom, options: NetworkOptions) -> None:
        self._name, self._options = name, options

    def application_changed(self, application: Application) -> None:
        """Announces an application that was loaded, or whose state has changed."""
        spec = application.spec
        route = ApplicationRoute(self._name, Atom(spec.name), spec.weight, application.mode, application.state)
        for registrar in self._registrars():
            registrar.register_application_route(route)

    def application_unloaded(self, name: Atom) -> None:
        """Announces that an application was unloaded."""
        for registrar in self._registrars():
            registrar.unregister_application_route(name)

    def _registrars(self) -> Iterator[ApplicationRegistrar]:
        """Yields the registrars of the node and of its acceptors that take applications."""
        if self._options.mode is NetworkMode.ENABLED:
            known = [self._options.registrar, *(options.registrar for options in self._options.acceptors)]
            for registrar in known:
                if registrar is not None and registrar.info.register_application:
                    yield cast("ApplicationRegistrar", registrar)
