"""What registrars that want to know are told of the applications of a node (SAT-EV-2)."""

from collections.abc import Iterator
from typing import cast

from ...model.ergo.saturn import ApplicationRoute
from ...model.values import Atom
from ..api import ApplicationRegistrar
from ..core.applications import Application
from ..options import Mode, NetworkOptions


class ApplicationNews:
    """Of one node, for its registrar and those of its acceptors. A hidden node tells nobody."""

    def __init__(self, name: Atom, options: NetworkOptions) -> None:
        self.name, self.options = name, options

    def changed(self, application: Application) -> None:
        """It was loaded, or is in another state."""
        specification = application.specification
        route = ApplicationRoute(
            self.name, Atom(specification.name), specification.weight, application.mode, application.state
        )
        for registrar in self._registrars():
            registrar.register_application_route(route)

    def unloaded(self, name: Atom) -> None:
        """It is no more."""
        for registrar in self._registrars():
            registrar.unregister_application_route(name)

    def _registrars(self) -> Iterator[ApplicationRegistrar]:
        if self.options.mode is Mode.ENABLED:
            known = [self.options.registrar, *(options.registrar for options in self.options.acceptors)]
            for registrar in known:
                if registrar is not None and registrar.info().register_application:
                    yield cast("ApplicationRegistrar", registrar)
